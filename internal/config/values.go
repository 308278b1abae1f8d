// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"sort"
	"strings"
)

// Origin is the kind of place that a value came from, in rising precedence.
type Origin uint8

// The origins.
const (
	FromDefault Origin = iota
	FromFile
	FromEnvironment
	FromFlag
	FromRuntime // decided while the server started, see Values.With
	FromChange  // asked for while the server ran, see Live
)

// Source is where a value came from.
type Source struct {
	Origin Origin
	Name   string // the file, the variable or the key of the flag
	Line   int    // in the file, from 1
}

func (s Source) String() string {
	switch s.Origin {
	case FromFile:
		return fmt.Sprintf("%s:%d", s.Name, s.Line)
	case FromEnvironment:
		return s.Name
	case FromFlag:
		return "flag " + s.Name
	case FromRuntime:
		return "chosen at start"
	case FromChange:
		return "changed at run time"
	}
	return "default"
}

// Value is the effective value of one key, under RocketMQ's name.
type Value struct {
	Key    string
	Text   string // "" is not set
	Source Source
	Class  Class
	Part   string // of a Pending key: the part that is not there yet
	Secret bool   // Text is not to be shown
}

// Shown is Text, or asterisks for a secret.
func (v Value) Shown() string {
	if v.Secret && v.Text != "" {
		return "******"
	}
	return v.Text
}

// Values are all keys of one file, by name. It is immutable and safe to share.
type Values struct {
	list []Value
}

// All returns every key, sorted by name. The slice is the caller's.
func (v Values) All() []Value { return append([]Value(nil), v.list...) }

// Lookup returns the value of the key with RocketMQ's name (not another spelling).
func (v Values) Lookup(key string) (Value, bool) {
	i := sort.Search(len(v.list), func(i int) bool { return v.list[i].Key >= key })
	if i < len(v.list) && v.list[i].Key == key {
		return v.list[i], true
	}
	return Value{}, false
}

// With returns a copy in which key has a value that was decided at start, as the advertised address or a free port.
// An unknown key changes nothing.
func (v Values) With(key, text string) Values {
	list := v.All()
	for i := range list {
		if list[i].Key == key {
			list[i].Text, list[i].Source = text, Source{Origin: FromRuntime}
		}
	}
	return Values{list: list}
}

// Ignored returns the names of the keys that were set and that only a JVM needs, sorted; for one log line.
func (v Values) Ignored() []string {
	var names []string
	for _, value := range v.list {
		if value.Class == Ignored && value.Source.Origin != FromDefault {
			names = append(names, value.Key)
		}
	}
	return names
}

// PendingPart is a part that is not there yet although keys that tune it were set.
type PendingPart struct {
	Part  string   // as "retention"
	Means string   // what that means, as "old files are kept ..."
	Keys  []string // the keys that were set, sorted
}

// String is a whole warning, as "retention: not there yet, old files are kept ... (set: deleteWhen)".
func (p PendingPart) String() string {
	return fmt.Sprintf("%s: not there yet, %s (set: %s)", p.Part, p.Means, strings.Join(p.Keys, ", "))
}

// Pending returns the parts that keys were set for, sorted by name; for one warning line each.
func (v Values) Pending() []PendingPart {
	var parts []PendingPart
	at := map[string]int{}
	for _, value := range v.list {
		if value.Class != Pending || value.Source.Origin == FromDefault {
			continue
		}
		i, ok := at[value.Part]
		if !ok {
			i = len(parts)
			at[value.Part] = i
			parts = append(parts, PendingPart{Part: value.Part, Means: meaning(value.Part)})
		}
		parts[i].Keys = append(parts[i].Keys, value.Key)
	}
	sort.Slice(parts, func(i, j int) bool { return parts[i].Part < parts[j].Part })
	return parts
}

// AppendProperties appends key=value lines sorted by key, the form in which RocketMQ's admin requests 26 and 319
// answer: keys without a value are left out. Secrets are asterisks, line ends in a value become blanks.
func (v Values) AppendProperties(dst []byte) []byte {
	for _, value := range v.list {
		if value.Text != "" {
			dst = AppendProperty(dst, value.Key, value.Shown())
		}
	}
	return dst
}

// Error is one thing wrong with the configuration. Load joins all of them (errors.Join).
type Error struct {
	Source Source
	Key    string
	Value  string // as given; asterisks for a secret, "" when the key itself is unknown
	Reason string
}

func (e *Error) Error() string {
	what := e.Key
	if e.Value != "" {
		what += "=" + e.Value
	}
	switch {
	case e.Source.Origin == FromDefault || e.Source.Origin == FromChange || e.Source.Origin == FromEnvironment && e.Source.Name == e.Key:
	case e.Source.Origin == FromFlag:
		what = "flag " + what
	default:
		what = e.Source.String() + ": " + what
	}
	return what + ": " + e.Reason
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"time"
)

// settings collects the values of one table and everything that is wrong with them.
type settings struct {
	table *table
	peer  *table // of the other server, for hints
	set   map[string]setValue
	errs  []error
}

// setValue is a value that a source gave.
type setValue struct {
	text   string
	source Source
	as     string // the spelling used
}

func newSettings(t *table) *settings {
	return &settings{table: t, set: map[string]setValue{}}
}

func (s *settings) fail(source Source, key, value, format string, args ...any) {
	if k := s.table.named[key]; k != nil && k.secret && value != "" {
		value = "******"
	}
	s.errs = append(s.errs, &Error{Source: source, Key: key, Value: value, Reason: fmt.Sprintf(format, args...)})
}

// absent refuses a file or flags for a server that this process does not run.
func (s *settings) absent(f File, flags map[string]string) {
	if f.Name != "" || len(f.Text) > 0 {
		s.errs = append(s.errs, fmt.Errorf("%s: this process runs no %s", f.Name, s.table.owner))
	}
	for _, name := range sortedKeys(flags) {
		s.fail(Source{Origin: FromFlag, Name: name}, name, flags[name], "this process runs no %s", s.table.owner)
	}
}

func (s *settings) file(f File) {
	entries, err := ParseProperties(f.Text)
	if err != nil {
		s.errs = append(s.errs, fmt.Errorf("%s: %w", f.Name, err))
		return
	}
	for _, e := range entries {
		s.put(e.Key, e.Value, Source{Origin: FromFile, Name: f.Name, Line: e.Line})
	}
}

func (s *settings) putAll(origin Origin, values map[string]string) {
	for _, name := range sortedKeys(values) {
		s.put(name, values[name], Source{Origin: origin, Name: name})
	}
}

// put keeps a value. Sources are put in rising precedence.
func (s *settings) put(name, text string, source Source) {
	k := s.table.named[name]
	if k == nil {
		s.unknown(name, source)
		return
	}
	text = strings.TrimSpace(text)
	if text == "" && k.kind == kindText {
		text = k.def // as if not set
	}
	if before, ok := s.set[k.name]; ok {
		if before.source.Origin == source.Origin {
			if before.text != text {
				place := before.source.String()
				if before.source.Origin == FromFlag {
					place = "flag" // its name is the key
				}
				s.fail(source, name, text, "two values for one key: %s=%s (%s)", before.as, s.shown(k, before.text), place)
			}
			return
		}
	}
	s.set[k.name] = setValue{text: text, source: source, as: name}
}

// verify checks the values that took precedence.
func (s *settings) verify() {
	for _, k := range s.table.keys {
		v, ok := s.set[k.name]
		if !ok {
			continue
		}
		if wrong := k.check(v.text); wrong != "" {
			if v.text == "" {
				wrong = "no value; " + wrong
			}
			s.fail(v.source, v.as, v.text, "%s", wrong)
			continue
		}
		if k.class == Refused && k.why != notRead && !k.same(v.text) {
			fix := "remove the key"
			if k.def != "" {
				fix += " or set " + k.def
			}
			s.fail(v.source, v.as, v.text, "%s; %s", k.why, fix)
		}
	}
}

func (s *settings) shown(k *key, text string) string {
	if k.secret && text != "" {
		return "******"
	}
	return text
}

func (s *settings) unknown(name string, source Source) {
	reason := "unknown key"
	if s.peer != nil && s.peer.named[name] != nil {
		reason += fmt.Sprintf(" in the %s's configuration; it is one of the %s's", s.table.owner, s.peer.owner)
	} else if near := s.table.nearest(name); near != "" {
		reason += "; did you mean " + near + "?"
	}
	s.fail(source, name, "", "%s", reason)
}

// compute gives a key its default and returns the effective value.
func (s *settings) compute(name, def string) string {
	if k := s.table.named[name]; k != nil {
		k.def = def
		if _, set := s.set[name]; !set {
			if wrong := k.check(def); wrong != "" {
				s.fail(Source{}, name, def, "this default does not fit, %s", wrong)
			}
		} else if s.set[name].text == "" {
			delete(s.set, name)
		}
	}
	return s.text(name)
}

// checkPlace refuses another place than the one that RocketMQ uses whatever the key says.
func (s *settings) checkPlace(name, place string) {
	s.table.named[name].def = place
	v, ok := s.set[name]
	if !ok || v.text == "" || samePath(v.text, place) {
		delete(s.set, name)
		return
	}
	s.fail(v.source, v.as, v.text, "%s, or set %s", notRead, place)
}

// samePath compares two paths. A path of the file is relative to the working directory, as the other one is.
func samePath(a, b string) bool {
	absA, errA := filepath.Abs(a)
	absB, errB := filepath.Abs(b)
	return errA == nil && errB == nil && absA == absB
}

// lookup returns the effective text and source of a key. A value that failed its check reads as the default: Load
// fails anyway.
func (s *settings) lookup(name string) (*key, setValue) {
	k := s.table.named[name]
	if v, ok := s.set[name]; ok {
		if k.check(v.text) == "" {
			return k, v
		}
	}
	return k, setValue{text: k.def, as: name}
}

func (s *settings) text(name string) string {
	_, v := s.lookup(name)
	return v.text
}

func (s *settings) flag(name string) bool { return strings.EqualFold(s.text(name), "true") }

func (s *settings) int64(name string) int64 {
	n, err := strconv.ParseInt(s.text(name), 10, 64)
	if err != nil {
		return 0 // a computed default that did not fit; reported by compute
	}
	return n
}

func (s *settings) int(name string) int { return int(s.int64(name)) }

func (s *settings) millis(name string) time.Duration {
	return time.Duration(s.int64(name)) * time.Millisecond
}

// sendWait is waitTimeMillsInSendQueue, 0 where brokerFastFailureEnable=false.
func (s *settings) sendWait() time.Duration {
	if !s.flag("brokerFastFailureEnable") {
		return 0
	}
	return s.millis("waitTimeMillsInSendQueue")
}

func (s *settings) seconds(name string) time.Duration {
	return time.Duration(s.int64(name)) * time.Second
}

// isSet reports whether a source gave the key a value.
func (s *settings) isSet(name string) bool {
	_, ok := s.set[name]
	return ok
}

func (s *settings) result() Values {
	list := make([]Value, 0, len(s.table.keys))
	for _, k := range s.table.keys {
		v, ok := s.set[k.name]
		if !ok {
			v = setValue{text: k.def}
		}
		value := Value{Key: k.name, Text: v.text, Source: v.source, Class: k.class, Secret: k.secret}
		if k.class == Pending {
			value.Part = k.why
		}
		list = append(list, value)
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Key < list[j].Key })
	return Values{list: list}
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

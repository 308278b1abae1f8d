// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"unicode/utf8"
)

// ErrFixed is matched by the error of Live.Update about keys that can't change while a server runs.
var ErrFixed = errors.New("can't be changed while the server runs")

// ErrNotWritten is matched by the error of Live.Update when the configuration file can't be written.
var ErrNotWritten = errors.New("the configuration file can't be written")

// Live is the configuration of one server while it runs: what it was started with, and what keys of a short list were
// changed to since (keys_live.go). Now and Values may be called by anybody at any time and cost a load.
type Live[T any] struct {
	owner string
	allow []string
	table func() *table
	load  func(changes map[string]string) (*T, Values, error)
	next  func(text []byte, alone bool) error  // a start with that text in the file; alone: without variables and flags
	file  string                               // "": started without one
	write func(name string, text []byte) error // WriteFile, but for tests
	now   atomic.Pointer[state[T]]

	mu      sync.Mutex // one change at a time
	changes map[string]string
	owed    map[string]string // of changes: what could not be written
	chosen  map[string]string // at start
	clock   func() int64      // milliseconds; nil: not known
	tell    []func(now *T) error
}

// state is immutable.
type state[T any] struct {
	typed  *T
	values Values
	count  int64
	at     int64 // when it became this one, milliseconds; 0: not known
}

// LiveBroker is the broker's part of c, which Load must have made. Call it once.
func (c *Config) LiveBroker() *Live[Broker] {
	l := &Live[Broker]{owner: "broker", allow: liveBroker, table: brokerTable, file: c.sources.BrokerFile.Name, write: WriteFile}
	s := c.sources
	l.load = func(changes map[string]string) (*Broker, Values, error) {
		s := s
		s.changes = changes
		c, err := Load(s)
		if err != nil {
			return nil, Values{}, err
		}
		return &c.Broker, c.BrokerValues, nil
	}
	l.next = func(text []byte, alone bool) error {
		s := s
		s.BrokerFile.Text = text
		return s.check(alone)
	}
	l.now.Store(&state[Broker]{typed: &c.Broker, values: c.BrokerValues})
	return l
}

// LiveNamesrv is the name server's part of c, which Load must have made. Call it once.
func (c *Config) LiveNamesrv() *Live[Namesrv] {
	l := &Live[Namesrv]{owner: "name server", allow: liveNamesrv, table: namesrvTable, file: c.sources.NamesrvFile.Name, write: WriteFile}
	s := c.sources
	l.load = func(changes map[string]string) (*Namesrv, Values, error) {
		s := s
		s.namesrvChanges = changes
		c, err := Load(s)
		if err != nil {
			return nil, Values{}, err
		}
		return &c.Namesrv, c.NamesrvValues, nil
	}
	l.next = func(text []byte, alone bool) error {
		s := s
		s.NamesrvFile.Text = text
		return s.check(alone)
	}
	l.now.Store(&state[Namesrv]{typed: &c.Namesrv, values: c.NamesrvValues})
	return l
}

// check tells why a start with these sources fails; alone: without variables and flags.
func (s Sources) check(alone bool) error {
	if alone {
		s.Environment, s.Flags, s.NamesrvFlags = nil, nil, nil
	}
	_, err := Load(s)
	return err
}

// Frozen is a configuration that never changes.
func Frozen[T any](typed T, values Values) *Live[T] {
	l := &Live[T]{table: func() *table { return newTable("server") }}
	l.now.Store(&state[T]{typed: &typed, values: values})
	return l
}

// Now is the configuration as it is. It is immutable: who wants to see a change calls Now again.
func (l *Live[T]) Now() *T { return l.now.Load().typed }

// Values are all keys as they are, how often they were changed since the start, and when they were the last time, in
// milliseconds by the clock of TimeBy (0 without one).
func (l *Live[T]) Values() (v Values, changes, at int64) {
	s := l.now.Load()
	return s.values, s.count, s.at
}

// TimeBy sets the clock, in milliseconds, of which Values has the times. What there is is as of now.
func (l *Live[T]) TimeBy(clock func() int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clock = clock
	s := *l.now.Load()
	s.at = clock()
	l.now.Store(&s)
}

// Choose gives a key the value that was decided at start, for who asks; see Values.With.
func (l *Live[T]) Choose(key, text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.chosen == nil {
		l.chosen = map[string]string{}
	}
	l.chosen[key] = text
	s := *l.now.Load()
	s.values = s.values.With(key, text)
	l.now.Store(&s)
}

// OnChange has fn called after each change, with what Now gives; not concurrently. It must not change anything here. Its
// error is one of Update, beside the Change.
func (l *Live[T]) OnChange(fn func(now *T) error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tell = append(l.tell, fn)
}

// Change is what an Update did.
type Change struct {
	Keys []string // sorted
	Note string   // for people: what of it does not last, and why; "" when all of it does
}

// Update changes the keys of a text in the format of ParseProperties: all of them or, with an error, none, in which case
// the Change is empty. They are
// checked as at a start; an error names each key that is wrong, and matches ErrFixed when all that is wrong is that
// keys can't change. A key that has no meaning here (Ignored) and is no text is taken and changes nothing.
//
// A server that was started with a file gets the change written into it first, synced: comments and all other lines
// stay, also what somebody changed there meanwhile. A file with which the next start would fail is not written: then
// nothing is changed. Where that process may not write the file, or there is none, the
// change lasts until the next start, and Change.Note says so; any other error of writing is one of Update.
func (l *Live[T]) Update(text []byte) (Change, error) {
	entries, err := ParseProperties(text)
	if err != nil {
		return Change{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	asked, err := l.check(entries)
	if err != nil {
		return Change{}, err
	}
	changes := maps.Clone(l.changes)
	if changes == nil {
		changes = map[string]string{}
	}
	maps.Copy(changes, asked)
	typed, values, err := l.load(changes)
	if err != nil {
		return Change{}, err
	}
	done := Change{Keys: sortedKeys(asked)}
	if done.Note, err = l.save(asked); err != nil {
		return Change{}, err
	}
	for _, key := range sortedKeys(l.chosen) {
		values = values.With(key, l.chosen[key])
	}
	l.changes = changes
	next := &state[T]{typed: typed, values: values, count: l.now.Load().count + 1}
	if l.clock != nil {
		next.at = l.clock()
	}
	l.now.Store(next)
	for _, fn := range l.tell {
		err = errors.Join(err, fn(typed))
	}
	if err != nil {
		return done, fmt.Errorf("the change is made, but not all of it is in force: %w", err)
	}
	return done, nil
}

// Outcome is the kind of what an Update came to.
type Outcome int

// The outcomes.
const (
	Done      Outcome = iota
	Forbidden         // nothing was changed: keys can't change
	Wrong             // nothing was changed: what was asked for is wrong
	Failed            // nothing was changed as the file can't be written, or not all that was changed is in force
)

// Answer is the outcome of an Update that gave c and err, and what who asked for it is told, in one line; "" is nothing.
func (c Change) Answer(err error) (Outcome, string) {
	if err == nil {
		return Done, c.Note
	}
	text := strings.ReplaceAll(err.Error(), "\n", "; ")
	if len(c.Keys) > 0 {
		return Failed, text
	}
	text = "nothing was changed: " + text
	switch {
	case errors.Is(err, ErrFixed):
		return Forbidden, text
	case errors.Is(err, ErrNotWritten):
		return Failed, text
	}
	return Wrong, text
}

// maxChanges is how many keys one Update takes, and maxLength how long each and its value may be.
const maxChanges, maxLength = 200, 200

// check gives what entries ask for, by RocketMQ's names.
func (l *Live[T]) check(entries []Entry) (map[string]string, error) {
	if l.load == nil {
		return nil, fmt.Errorf("%w: it was started without the sources of its configuration", ErrFixed)
	}
	if len(entries) > maxChanges {
		return nil, fmt.Errorf("%d keys, at most %d change at once", len(entries), maxChanges)
	}
	t, asked := l.table(), map[string]string{}
	black, _ := l.black(t)
	var fixed, wrong []error
	for _, e := range entries {
		k := t.named[e.Key]
		e.Key = e.Key[:min(len(e.Key), maxLength)]
		switch {
		case k == nil:
			reason := "unknown key"
			if near := t.nearest(e.Key); near != "" {
				reason += "; did you mean " + near + "?"
			}
			wrong = append(wrong, &Error{Source: Source{Origin: FromChange}, Key: e.Key, Reason: reason})
		case len(e.Value) > maxLength:
			wrong = append(wrong, fmt.Errorf("%s: a value of %d bytes, at most %d are taken", e.Key, len(e.Value), maxLength))
		case !l.mayChange(k, black):
			fixed = append(fixed, fmt.Errorf("%s: %w: %s", e.Key, ErrFixed, whyFixed(k)))
		default:
			if before, twice := asked[k.name]; twice && before != e.Value {
				wrong = append(wrong, &Error{Source: Source{Origin: FromChange}, Key: e.Key, Value: e.Value, Reason: "two values for one key: " + before})
			}
			asked[k.name] = e.Value
		}
	}
	if len(entries) == 0 {
		wrong = append(wrong, errors.New("there is no line key=value"))
	}
	if len(wrong) > 0 {
		return nil, errors.Join(append(wrong, unwrapped(fixed)...)...)
	}
	return asked, errors.Join(fixed...)
}

// unwrapped are errors as texts: with others beside them they must not match ErrFixed.
func unwrapped(errs []error) []error {
	plain := make([]error, len(errs))
	for i, err := range errs {
		plain[i] = errors.New(err.Error())
	}
	return plain
}

// black is configBlackList: keys, and names in it that are none.
func (l *Live[T]) black(t *table) (keys map[*key]bool, unknown []string) {
	list, _ := l.now.Load().values.Lookup(keyBlackList)
	keys = map[*key]bool{}
	for name := range strings.SplitSeq(list.Text, ";") {
		name = strings.TrimSpace(name)
		if k := t.named[name]; k != nil {
			keys[k] = true
		} else if name != "" {
			unknown = append(unknown, name)
		}
	}
	return keys, unknown
}

// BlackListUnknown are names in configBlackList that are no keys: they forbid nothing.
func (l *Live[T]) BlackListUnknown() []string {
	if l.load == nil {
		return nil
	}
	_, unknown := l.black(l.table())
	return unknown
}

func (l *Live[T]) mayChange(k *key, black map[*key]bool) bool {
	if black[k] {
		return false
	}
	return slices.Contains(l.allow, k.name) || k.class == Ignored && k.kind != kindText
}

func whyFixed(k *key) string {
	switch {
	case slices.Contains(liveBroker, k.name) || slices.Contains(liveNamesrv, k.name):
		return "configBlackList forbids it"
	case k.class == Pending:
		return "it tunes " + k.why + ", which is not there yet"
	case k.class == Used || k.class == Refused && k.kind != kindText:
		return "set it in the configuration file and restart"
	}
	return "paths, names, addresses and commands are never taken from a request"
}

// save writes what was asked for into the file, and says what does not last.
func (l *Live[T]) save(asked map[string]string) (note string, err error) {
	if l.file == "" {
		return "it lasts until the next start: this " + l.owner + " was started without a configuration file", nil
	}
	owed := maps.Clone(l.owed)
	if owed == nil {
		owed = map[string]string{}
	}
	maps.Copy(owed, asked)
	f, err := ReadFile(l.file)
	if err == nil {
		_, err = ParseProperties(f.Text) // somebody may have edited it
	}
	var text []byte
	if err == nil {
		text = rewrite(f.Text, l.table(), owed)
		if utf8.Valid(text) != utf8.Valid(f.Text) {
			return "", fmt.Errorf("%w: %s is not UTF-8 in a key that changes, without which other lines would read otherwise: mend it", ErrNotWritten, l.file)
		}
		if err = l.next(text, false); err != nil {
			return "", fmt.Errorf("%w: the next start would fail with it: %w", ErrNotWritten, err)
		}
		err = l.write(l.file, text)
	}
	switch {
	case errors.Is(err, ErrNotSynced): // it is written
		note = fmt.Sprintf("a crash of the machine may undo it: %s; ", err)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS), errors.Is(err, syscall.EBUSY): // the last: a mount by itself
		l.owed = owed
		return fmt.Sprintf("it lasts until the next start: this %s may not write its configuration file: %s", l.owner, err), nil
	case err != nil:
		return "", fmt.Errorf("%w: %w", ErrNotWritten, err)
	}
	l.owed = nil
	var over []string
	values := l.now.Load().values
	for _, key := range sortedKeys(asked) {
		if v, _ := values.Lookup(key); v.Source.Origin == FromEnvironment || v.Source.Origin == FromFlag {
			over = append(over, fmt.Sprintf("%s (%s)", key, v.Source))
		}
	}
	if len(over) > 0 {
		note += "until the next start only, where what stands over the file wins again: " + strings.Join(over, ", ") + "; "
	}
	if err := l.next(text, true); err != nil && l.next(f.Text, true) == nil {
		note += "without its variables and flags this " + l.owner + " would not start with the file any more: " + strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	return strings.TrimSuffix(note, "; "), nil
}

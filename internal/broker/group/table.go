// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package group

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"sync/atomic"

	"github.com/twostage/twostage/internal/commit"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/message"
)

// Config is what a Table needs. All fields but OnChange are required.
type Config struct {
	FS     vfs.FS
	Dir    string       // of subscriptionGroup.json; made when missing
	Now    func() int64 // milliseconds
	Logger *slog.Logger
	// AutoCreate: a group that a client names and that does not exist is made
	// (autoCreateSubscriptionGroup).
	AutoCreate bool
	// OnChange runs after a group has changed; not concurrently. It must not
	// call the table's writers, nor Find and Ensure, which may write.
	OnChange func(name string)
}

// Table is the consumer groups of a broker. All methods are safe for concurrent
// use.
type Table struct {
	cfg  Config
	path string

	snapshot atomic.Pointer[state]

	changes *commit.Group[*draft]

	autoCreate atomic.Bool // Config.AutoCreate, as it is now
}

// state is immutable once published.
type state struct {
	groups    map[string]*body.SubscriptionGroupConfig
	version   body.DataVersion
	forbidden map[string]map[string]int32 // of 5.x
}

// draft is the next state, with the names of the groups that it changes.
type draft struct {
	state
	changed []string
}

// forbidRead is the bit of 5.x's forbidden table that stops a group's pulls.
const forbidRead int32 = 1 << 2

var (
	// ErrNoGroup: the group does not exist and is not to be made by a client.
	ErrNoGroup = errors.New("consumer group does not exist")
	// ErrConfig: a setting of a group is out of range.
	ErrConfig = errors.New("bad consumer group")
)

// Open reads the table, or begins a new one where there is no file.
func Open(cfg Config) (*Table, error) {
	t := &Table{cfg: cfg, path: filepath.Join(cfg.Dir, "subscriptionGroup.json")}
	t.autoCreate.Store(cfg.AutoCreate)
	if err := vfs.MkdirAllSync(cfg.FS, cfg.Dir); err != nil {
		return nil, fmt.Errorf("consumer groups: %w", err)
	}
	st := &state{groups: map[string]*body.SubscriptionGroupConfig{}, version: body.DataVersion{Timestamp: cfg.Now()}}
	for _, name := range own {
		st.groups[name] = new(body.NewSubscriptionGroupConfig(name))
	}
	data, backup, err := vfs.ReadConfigFile(cfg.FS, t.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("consumer groups: %w", err)
	default:
		var w body.SubscriptionGroupWrapper
		if err := body.Unmarshal(data, &w); err != nil {
			return nil, fmt.Errorf("consumer groups: %s: %w (mend the file, or put %s.bak in its place)", t.path, err, t.path)
		}
		if backup {
			cfg.Logger.Warn("subscriptionGroup.json was missing or blank, its backup is used", "file", t.path)
		}
		for name, c := range w.SubscriptionGroupTable {
			st.groups[name] = &c
		}
		st.version, st.forbidden = w.DataVersion, w.ForbiddenTable
	}
	t.snapshot.Store(st)
	t.changes = commit.New(t.draft, t.publish)
	return t, nil
}

// own are the groups that 4.9.8 makes at its start. They are not written until
// something else is.
var own = []string{
	message.GroupTools, message.GroupFilterServer, message.GroupSelfTestConsumer, message.GroupONSHTTPProxy,
	message.GroupONSPull, message.GroupONSPermission, message.GroupONSOwner,
}

// SetAutoCreate decides whether groups are made that clients name.
func (t *Table) SetAutoCreate(on bool) { t.autoCreate.Store(on) }

// Get gives a group that exists. What it returns must not be changed.
func (t *Table) Get(name string) (*body.SubscriptionGroupConfig, bool) {
	c, ok := t.snapshot.Load().groups[name]
	return c, ok
}

// GetBytes is Get for a name in bytes; it does not allocate.
func (t *Table) GetBytes(name []byte) (*body.SubscriptionGroupConfig, bool) {
	c, ok := t.snapshot.Load().groups[string(name)]
	return c, ok
}

// Ensure gives the group that a client names, making it if there is none and
// groups may be made, or if it is one of the broker's (message.IsSystemGroup).
// What it returns must not be changed. Errors match ErrNoGroup or
// message.ErrName, or are those of writing the file.
func (t *Table) Ensure(name string) (*body.SubscriptionGroupConfig, error) {
	if c, ok := t.Get(name); ok {
		return c, nil
	}
	if err := message.CheckGroup(name); err != nil {
		return nil, err
	}
	if !t.autoCreate.Load() && !message.IsSystemGroup(name) {
		return nil, fmt.Errorf("%w: %s; create it with RocketMQ's mqadmin updateSubGroup -g %s, or set autoCreateSubscriptionGroup=true", ErrNoGroup, name, name)
	}
	var c *body.SubscriptionGroupConfig
	err := t.changes.Do(func(d *draft) error {
		if c = d.groups[name]; c == nil {
			c = new(body.NewSubscriptionGroupConfig(name))
			d.put(c)
		}
		return nil
	})
	if err != nil {
		t.cfg.Logger.Error("a consumer group that a client names can't be made", "group", name, "error", err)
		return nil, err
	}
	return c, nil
}

// Put makes or changes a group; it is on disk when Put returns nil. Errors match
// message.ErrName or ErrConfig, or are those of writing the file.
func (t *Table) Put(c body.SubscriptionGroupConfig) error {
	if err := check(&c); err != nil {
		return err
	}
	return t.changes.Do(func(d *draft) error { d.put(&c); return nil })
}

// PutAll makes or changes groups, all or none; they are on disk when it returns nil.
// Errors are those of Put; ErrConfig also stands for no groups at all and for one
// that stands there twice.
func (t *Table) PutAll(list []body.SubscriptionGroupConfig) error {
	names := map[string]bool{}
	for i := range list {
		if err := check(&list[i]); err != nil {
			return err
		}
		names[list[i].GroupName] = true
	}
	if len(list) == 0 || len(names) < len(list) {
		return fmt.Errorf("%w: %d groups with %d names, wanted is each group once", ErrConfig, len(list), len(names))
	}
	list = slices.Clone(list)
	return t.changes.Do(func(d *draft) error {
		for i := range list {
			d.put(&list[i])
		}
		return nil
	})
}

// ForbidRead forbids a group to consume a topic, or allows it again; that is on disk
// when it returns nil. The group need not exist yet. Errors match message.ErrName, or
// are those of writing the file.
func (t *Table) ForbidRead(group, topic string, forbid bool) error {
	if err := message.CheckGroup(group); err != nil {
		return err
	}
	if err := message.CheckStoredTopic(topic); err != nil {
		return err
	}
	return t.changes.Do(func(d *draft) error {
		was := d.forbidden[group][topic]
		now := was &^ forbidRead
		if forbid {
			now |= forbidRead
		}
		if now == was {
			return nil
		}
		topics := maps.Clone(d.forbidden[group])
		if topics == nil {
			topics = map[string]int32{}
		}
		if topics[topic] = now; now == 0 {
			delete(topics, topic)
		}
		if d.forbidden == nil {
			d.forbidden = map[string]map[string]int32{}
		}
		if d.forbidden[group] = topics; len(topics) == 0 {
			delete(d.forbidden, group)
		}
		d.change(group)
		return nil
	})
}

// check tests a group that somebody wants to have.
func check(c *body.SubscriptionGroupConfig) error {
	if err := message.CheckGroup(c.GroupName); err != nil {
		return err
	}
	const most = 65535
	switch {
	case c.RetryQueueNums < 0 || c.RetryQueueNums > most:
		return fmt.Errorf("%w %s: retryQueueNums %d must be 0 to %d", ErrConfig, c.GroupName, c.RetryQueueNums, most)
	case c.BrokerID < 0 || c.WhichBrokerWhenConsumeSlowly < 0:
		return fmt.Errorf("%w %s: brokerId %d and whichBrokerWhenConsumeSlowly %d must not be negative",
			ErrConfig, c.GroupName, c.BrokerID, c.WhichBrokerWhenConsumeSlowly)
	}
	return nil
}

// Delete removes a group, with what it is forbidden (ForbidRead), also where there is
// no such group, and reports whether there was one; it is gone from disk when the
// error is nil. Its offsets and its retry topic are the caller's.
func (t *Table) Delete(name string) (gone bool, err error) {
	err = t.changes.Do(func(d *draft) error {
		_, forbidden := d.forbidden[name]
		if _, gone = d.groups[name]; gone || forbidden {
			delete(d.groups, name)
			delete(d.forbidden, name)
			d.change(name)
		}
		return nil
	})
	return gone && err == nil, err
}

// draft is a draft of what is there.
func (t *Table) draft() *draft {
	old := t.snapshot.Load()
	return &draft{state: state{groups: maps.Clone(old.groups), forbidden: maps.Clone(old.forbidden), version: old.version}}
}

func (d *draft) put(c *body.SubscriptionGroupConfig) {
	d.groups[c.GroupName] = c
	d.change(c.GroupName)
}

func (d *draft) change(name string) {
	d.changed = append(d.changed, name)
	d.version.Counter++
}

// publish writes a draft in which something has changed, and publishes it.
func (t *Table) publish(d *draft) error {
	if len(d.changed) == 0 {
		return nil
	}
	d.version.Timestamp = t.cfg.Now()
	if err := vfs.ReplaceFile(t.cfg.FS, t.path, body.MarshalConfig(d.wrapper())); err != nil {
		return fmt.Errorf("consumer groups: %w", err)
	}
	t.snapshot.Store(&d.state)
	if t.cfg.OnChange != nil {
		for _, name := range d.changed {
			t.cfg.OnChange(name)
		}
	}
	return nil
}

func (st *state) wrapper() *body.SubscriptionGroupWrapper {
	w := &body.SubscriptionGroupWrapper{
		DataVersion: st.version, ForbiddenTable: st.forbidden,
		SubscriptionGroupTable: make(map[string]body.SubscriptionGroupConfig, len(st.groups)),
	}
	for name, c := range st.groups {
		w.SubscriptionGroupTable[name] = *c
	}
	return w
}

// All is every group by name, and the version of the table. The map is the
// caller's, what its values point to is not.
func (t *Table) All() (map[string]body.SubscriptionGroupConfig, body.DataVersion) {
	st := t.snapshot.Load()
	return st.wrapper().SubscriptionGroupTable, st.version
}

// Whole is the table as it is written: groups, version, and what groups are forbidden.
// What it points to must not be changed.
func (t *Table) Whole() *body.SubscriptionGroupWrapper { return t.snapshot.Load().wrapper() }

// Version is the version of the table.
func (t *Table) Version() body.DataVersion { return t.snapshot.Load().version }

// Len is how many groups there are.
func (t *Table) Len() int { return len(t.snapshot.Load().groups) }

// ReadForbidden tells whether the table of a 5.x broker forbids the group to
// consume the topic. 4.9 has no such thing. It does not allocate.
func (t *Table) ReadForbidden(group, topic []byte) bool {
	forbidden := t.snapshot.Load().forbidden
	if len(forbidden) == 0 {
		return false
	}
	return forbidden[string(group)][string(topic)]&forbidRead != 0
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package topic

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"path/filepath"
	"sync/atomic"

	"github.com/twostage/twostage/internal/commit"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/message"
)

// Permission bits of a topic.
const (
	PermInherit int32 = 1
	PermWrite   int32 = 2
	PermRead    int32 = 4
)

// Config is what a Table needs. All fields but OnChange are required.
type Config struct {
	FS     vfs.FS
	Dir    string       // of topics.json; made when missing
	Now    func() int64 // milliseconds
	Logger *slog.Logger
	System System
	// OnChange runs after topics have changed, with their names; not
	// concurrently. It must not call the table's writers.
	OnChange func(names []string)
}

// System says which topics a broker has by itself.
type System struct {
	Cluster, Broker string
	AutoCreate      bool
	DefaultQueues   int32
	ClusterTopic    bool   // the topic with the cluster's name can be used
	BrokerTopic     bool   // likewise the broker's
	TraceTopic      string // "" when there is none
	Timers          bool   // there are messages with a time of delivery
}

// Table is the topics of a broker. All methods are safe for concurrent use.
type Table struct {
	cfg  Config
	path string

	snapshot atomic.Pointer[state]
	system   map[string]bool

	changes *commit.Group[*draft]
}

// state is immutable once published.
type state struct {
	topics  map[string]*body.TopicConfig
	version body.DataVersion
}

// draft is the next state, with the names of the topics that it changes.
type draft struct {
	state
	changed []string
}

// Errors of the rules of creation.
var (
	// ErrNoTopic: the topic does not exist and cannot be made by a send.
	ErrNoTopic = errors.New("topic does not exist")
	// ErrConfig: a list of topics that can't be made.
	ErrConfig = errors.New("bad list of topics")
	// ErrSystem: the topic is the broker's own.
	ErrSystem = errors.New("topic belongs to the broker")
)

// Open reads the table, or begins a new one where there is no file.
func Open(cfg Config) (*Table, error) {
	t := &Table{cfg: cfg, path: filepath.Join(cfg.Dir, "topics.json"), system: map[string]bool{}}
	if err := vfs.MkdirAllSync(cfg.FS, cfg.Dir); err != nil {
		return nil, fmt.Errorf("topics: %w", err)
	}
	st := &state{topics: map[string]*body.TopicConfig{}, version: body.DataVersion{Timestamp: cfg.Now()}}
	data, backup, err := vfs.ReadConfigFile(cfg.FS, t.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("topics: %w", err)
	default:
		var w body.TopicConfigSerializeWrapper
		if err := body.Unmarshal(data, &w); err != nil {
			return nil, fmt.Errorf("topics: %s: %w (mend the file, or put %s.bak in its place)", t.path, err, t.path)
		}
		if backup {
			cfg.Logger.Warn("topics.json was missing or blank, its backup is used", "file", t.path)
		}
		for name, c := range w.TopicConfigTable {
			st.topics[name] = &c
		}
		st.version = w.DataVersion
	}
	own := map[string]*body.TopicConfig{} // where two names are one, the later topic counts, as in RocketMQ
	for _, c := range systemTopics(cfg.System) {
		t.system[c.TopicName] = true
		own[c.TopicName] = &c
	}
	for name, c := range own {
		if st.topics[name] == nil || name == message.TopicAutoCreate {
			st.topics[name] = c
		}
	}
	if !cfg.System.AutoCreate {
		delete(st.topics, message.TopicAutoCreate)
	}
	t.snapshot.Store(st)
	t.changes = commit.New(t.draft, t.publish)
	return t, nil
}

// systemTopics are the topics that a broker has from its first start: those of
// 4.9.8, and the half topic, which 4.9.8 makes at its first use. The check-max
// topic comes with the first discarded transaction, and the op topic has no
// configuration, as there.
func systemTopics(s System) []body.TopicConfig {
	make := func(name string, queues, perm int32) body.TopicConfig {
		c := body.NewTopicConfig(name)
		c.ReadQueueNums, c.WriteQueueNums, c.Perm = queues, queues, perm
		return c
	}
	const rw = PermRead | PermWrite
	inherit := func(usable bool) int32 {
		if usable {
			return PermInherit | rw
		}
		return PermInherit
	}
	list := []body.TopicConfig{
		make(message.TopicSelfTest, 1, rw),
		make(message.TopicBenchmark, 1024, rw),
		make(s.Cluster, 16, inherit(s.ClusterTopic)),
		make(s.Broker, 1, inherit(s.BrokerTopic)),
		make(message.TopicOffsetMoved, 1, rw),
		make(message.TopicSchedule, 18, rw),
		make(message.TopicHalf, 1, rw),
		make(s.Cluster+"_"+message.ReplySuffix, 1, rw),
	}
	if s.AutoCreate {
		list = append(list, make(message.TopicAutoCreate, s.DefaultQueues, PermInherit|rw))
	}
	if s.Timers {
		list = append(list, make(message.TopicTimer, 1, rw))
	}
	if s.TraceTopic != "" {
		list = append(list, make(s.TraceTopic, 1, rw))
	}
	return list
}

// Get finds a topic. What it returns must not be changed.
func (t *Table) Get(name string) (*body.TopicConfig, bool) {
	c, ok := t.snapshot.Load().topics[name]
	return c, ok
}

// Find is Get for a name in bytes. It does not allocate.
func (t *Table) Find(name []byte) (*body.TopicConfig, bool) {
	c, ok := t.snapshot.Load().topics[string(name)]
	return c, ok
}

// Touch gives the table a new version without a change: what the broker tells
// name servers about its topics has changed for another reason. It is not
// written.
func (t *Table) Touch() {
	t.changes.Alone(func() {
		st := *t.snapshot.Load()
		st.version.Counter++
		st.version.Timestamp = t.cfg.Now()
		t.snapshot.Store(&st)
	})
}

// All is every topic by name, and the version of the table. The map is the
// caller's.
func (t *Table) All() (map[string]body.TopicConfig, body.DataVersion) {
	st := t.snapshot.Load()
	m := make(map[string]body.TopicConfig, len(st.topics))
	for name, c := range st.topics {
		m[name] = *c
	}
	return m, st.version
}

// Version is the version of the table.
func (t *Table) Version() body.DataVersion { return t.snapshot.Load().version }

// Len is how many topics there are.
func (t *Table) Len() int { return len(t.snapshot.Load().topics) }

// IsSystem tells whether the topic is one of the broker's own.
func (t *Table) IsSystem(name string) bool { return t.system[name] || message.IsSystemTopic(name) }

// Delete removes topics, all or none, and reports which of them there were. Those
// are gone from disk when it returns nil. Errors match ErrSystem, or are those of
// writing the file.
func (t *Table) Delete(names ...string) (gone []string, err error) {
	for _, name := range names {
		if t.IsSystem(name) {
			return nil, fmt.Errorf("%w: %s can't be deleted", ErrSystem, name)
		}
	}
	err = t.changes.Do(func(d *draft) error {
		for _, name := range names {
			if _, ok := d.topics[name]; ok {
				delete(d.topics, name)
				gone = append(gone, name)
			}
		}
		d.changes(gone...)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return gone, nil
}

// draft is a draft of what is there.
func (t *Table) draft() *draft {
	old := t.snapshot.Load()
	return &draft{state: state{topics: maps.Clone(old.topics), version: old.version}}
}

func (d *draft) put(c *body.TopicConfig) {
	d.topics[c.TopicName] = c
	d.changes(c.TopicName)
}

// changes notes one change, of these topics.
func (d *draft) changes(names ...string) {
	if len(names) > 0 {
		d.changed = append(d.changed, names...)
		d.version.Counter++
	}
}

// publish writes a draft in which something has changed, and publishes it.
func (t *Table) publish(d *draft) error {
	if len(d.changed) == 0 {
		return nil
	}
	d.version.Timestamp = t.cfg.Now()
	if err := t.save(&d.state); err != nil {
		return err
	}
	t.snapshot.Store(&d.state)
	if t.cfg.OnChange != nil {
		t.cfg.OnChange(d.changed)
	}
	return nil
}

func (t *Table) save(st *state) error {
	w := body.TopicConfigSerializeWrapper{DataVersion: st.version, TopicConfigTable: make(map[string]body.TopicConfig, len(st.topics))}
	for name, c := range st.topics {
		w.TopicConfigTable[name] = *c
	}
	if err := vfs.ReplaceFile(t.cfg.FS, t.path, body.MarshalConfig(&w)); err != nil {
		return fmt.Errorf("topics: %w", err)
	}
	return nil
}

// AutoCreate gives the topic a send names, making it after the model of
// defaultTopic if there is none: RocketMQ's rules. queues is how many the client
// wants. ErrNoTopic if the model is missing or not to be inherited.
func (t *Table) AutoCreate(name, defaultTopic string, queues, sysFlag int32) (c *body.TopicConfig, created bool, err error) {
	if c, ok := t.Get(name); ok {
		return c, false, nil
	}
	if err := message.CheckTopic(name); err != nil {
		return nil, false, err
	}
	err = t.changes.Do(func(d *draft) error {
		if c = d.topics[name]; c != nil {
			return nil
		}
		model, ok := d.topics[defaultTopic]
		switch {
		case !ok:
			return fmt.Errorf("%w: %s; create it (twostage topic create %s), or set autoCreateTopicEnable=true", ErrNoTopic, name, name)
		case model.Perm&PermInherit == 0:
			return fmt.Errorf("%w: %s, and the topic %s it would be made after has no permission to inherit", ErrNoTopic, name, defaultTopic)
		}
		made := body.NewTopicConfig(name)
		made.ReadQueueNums = max(min(queues, model.WriteQueueNums), 0)
		made.WriteQueueNums = made.ReadQueueNums
		made.Perm = model.Perm &^ PermInherit
		made.TopicSysFlag = sysFlag
		made.TopicFilterType = model.TopicFilterType
		c, created = &made, true
		d.put(c)
		return nil
	})
	if err != nil {
		return nil, false, err
	}
	return c, created, nil
}

// Ensure gives a topic of the broker's own making, such as a group's retry
// topic, and makes it if there is none. The name may be longer than CheckTopic
// allows, since it is a prefix and a group, but not longer than the name of a
// directory, which it becomes. Errors match message.ErrName, or are those of
// writing the file.
func (t *Table) Ensure(name string, queues, perm, sysFlag int32) (*body.TopicConfig, error) {
	if c, ok := t.Get(name); ok {
		return c, nil
	}
	if err := message.CheckStoredTopic(name); err != nil {
		return nil, fmt.Errorf("topic of the broker's own making: %w", err)
	}
	var c *body.TopicConfig
	err := t.changes.Do(func(d *draft) error {
		if c = d.topics[name]; c == nil {
			c = new(body.NewTopicConfig(name))
			c.ReadQueueNums, c.WriteQueueNums, c.Perm, c.TopicSysFlag = queues, queues, perm, sysFlag
			d.put(c)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package topic

import (
	"fmt"
	"maps"
	"slices"

	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/message"
)

// Put makes or changes a topic; it is on disk when Put returns nil. The attributes
// of c are not looked at: attributes changes those that the topic has ("+name=value"
// and "-name", joined by commas). Errors match message.ErrName, ErrSystem or
// ErrAttribute, or are those of writing the file.
func (t *Table) Put(c body.TopicConfig, attributes string) error {
	if err := t.checkPut(&c); err != nil {
		return err
	}
	return t.changes.Do(func(d *draft) (err error) {
		var current map[string]string
		if old, ok := d.topics[c.TopicName]; ok {
			current = old.Attributes
		}
		if c.Attributes, err = alter(current, attributes); err != nil {
			return fmt.Errorf("topic %s: %w", c.TopicName, err)
		}
		d.put(&c)
		return nil
	})
}

// PutAll makes or changes topics, all or none; they are on disk when it returns nil.
// Attributes of each change those that the topic has, names with their sign
// ("+name": "value" and "-name": ""). Errors are those of Put, and match ErrConfig
// for no topics at all and for one that stands there twice.
func (t *Table) PutAll(list []body.TopicConfig) error {
	names := map[string]bool{}
	for i := range list {
		if err := t.checkPut(&list[i]); err != nil {
			return err
		}
		names[list[i].TopicName] = true
	}
	if len(list) == 0 || len(names) < len(list) {
		return fmt.Errorf("%w: %d topics with %d names, wanted is each topic once", ErrConfig, len(list), len(names))
	}
	return t.changes.Do(func(d *draft) error {
		next := slices.Clone(list)
		for i := range next {
			c := &next[i]
			var current map[string]string
			if old, ok := d.topics[c.TopicName]; ok {
				current = old.Attributes
			}
			var err error
			if c.Attributes, err = alterEach(current, c.Attributes); err != nil {
				return fmt.Errorf("topic %s: %w", c.TopicName, err)
			}
		}
		for i := range next {
			d.put(&next[i])
		}
		return nil
	})
}

// checkPut tests a topic that somebody wants to have who is not the broker.
func (t *Table) checkPut(c *body.TopicConfig) error {
	if err := check(c); err != nil {
		return err
	}
	if t.IsSystem(c.TopicName) {
		return fmt.Errorf("%w: %s can't be changed", ErrSystem, c.TopicName)
	}
	return nil
}

// SetAutoCreate decides whether sends make topics: whether there is the topic TBW102, by
// whose model. Errors are those of writing the file.
func (t *Table) SetAutoCreate(on bool, queues int32) error {
	return t.changes.Do(func(d *draft) error {
		_, there := d.topics[message.TopicAutoCreate]
		switch {
		case on && !there:
			c := body.NewTopicConfig(message.TopicAutoCreate)
			c.ReadQueueNums, c.WriteQueueNums, c.Perm = queues, queues, PermInherit|PermRead|PermWrite
			d.put(&c)
		case !on && there:
			delete(d.topics, message.TopicAutoCreate)
			d.changes(message.TopicAutoCreate)
		}
		return nil
	})
}

// System names the topics that belong to the broker, sorted, whether there are
// messages in them or not.
func (t *Table) System() []string {
	names := maps.Clone(t.system)
	for name := range t.snapshot.Load().topics {
		if message.IsSystemTopic(name) {
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// Without calls fn, while no topic is made or changed, if there is no topic of that
// name and it is not the broker's own. fn must not call the table's writers.
func (t *Table) Without(name string, fn func() error) (err error) {
	t.changes.Alone(func() {
		if _, there := t.Get(name); !there && !t.IsSystem(name) {
			err = fn()
		}
	})
	return err
}

// check tests a topic that somebody wants to have.
func check(c *body.TopicConfig) error {
	if err := message.CheckTopic(c.TopicName); err != nil {
		return err
	}
	const most = 65535
	if c.ReadQueueNums < 0 || c.ReadQueueNums > most || c.WriteQueueNums < 0 || c.WriteQueueNums > most {
		return fmt.Errorf("%w: topic %s: readQueueNums %d and writeQueueNums %d must be 0 to %d",
			message.ErrName, c.TopicName, c.ReadQueueNums, c.WriteQueueNums, most)
	}
	if c.Perm&^(PermInherit|PermRead|PermWrite) != 0 {
		return fmt.Errorf("%w: topic %s: perm %d is not a sum of 4 (read), 2 (write) and 1 (inherit)",
			message.ErrName, c.TopicName, c.Perm)
	}
	return nil
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package handler

import (
	"fmt"
	"sync"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// TopicTable is the topics with the means to change them.
type TopicTable interface {
	Get(name string) (*body.TopicConfig, bool)
	Put(c body.TopicConfig, attributes string) error
	PutAll(list []body.TopicConfig) error
	System() []string // names of the broker's own
	// Without calls fn, while no topic is made, if there is none of that name.
	Without(name string, fn func() error) error
	Delete(names ...string) ([]string, error)
	IsSystem(name string) bool
	All() (map[string]body.TopicConfig, body.DataVersion)
}

// GroupTable is the consumer groups with the means to change them.
type GroupTable interface {
	Put(c body.SubscriptionGroupConfig) error
	PutAll(list []body.SubscriptionGroupConfig) error
	ForbidRead(group, topic string, forbid bool) error
	ReadForbidden(group, topic []byte) bool
	Get(name string) (*body.SubscriptionGroupConfig, bool)
	Delete(name string) (bool, error)
	Whole() *body.SubscriptionGroupWrapper
}

// OffsetTable is the consumer offsets with the means to delete them.
type OffsetTable interface {
	Groups(topic string) []string // that have offsets in it
	Range(fn func(group, topic string, queues map[int32]int64))
	DeleteGroup(group string)
	DeleteTopic(topic string)
	Flush() error
}

// Queues are the queues of topics, and the means to delete them.
type Queues interface {
	DeleteTopic(topic string) error
	RangeQueues(fn func(*store.Queue) bool)
	// Retain deletes what may go now; asked: expired log files at any hour, no others.
	Retain(asked bool) (store.Deletion, error)
	Follow() error // drops from queues what the log no longer has
}

// Popped is what is popped. Both methods make it last that it is forgotten.
type Popped interface {
	ForgetTopics(topics ...string) error
	ForgetGroup(group string) error
}

// Admin serves the requests that make, change, list and delete topics and
// groups. What they answer is on disk. Topics and groups are made side by side,
// deleted one by one and beside none that are made: what is answered as made is not
// deleted by who began before.
type Admin struct {
	Topics  TopicTable
	Groups  GroupTable
	Offsets OffsetTable
	Queues  Queues
	Pops    Popped
	// Published returns once the name servers know the topics as they are, or
	// after a while: a topic that was made is in the routes when it is answered.
	Published func()
	// Settle runs once a topic is deleted, before its queues and its retry topics are:
	// who works by what stands in them notes how far that is done, and makes no more
	// of those topics when it has returned.
	Settle func()
	// Stats forgets what was counted.
	Stats interface {
		ForgetTopics(names ...string)
		ForgetGroup(name string)
	}
	// Deleted runs after queues or a group were deleted: who waits there is answered.
	Deleted func()

	// NewTopics and NewGroups bound what an address may make.
	NewTopics, NewGroups Quota

	deleting sync.RWMutex // held to write by who deletes, to read by who makes
}

// make runs what makes topics or groups, so many of them fresh, or changes those
// that are there, while nothing is deleted.
func (a *Admin) make(r *remoting.Request, fresh int, q Quota, fn func() error) error {
	from := r.Conn.RemoteAddr().Addr()
	if fresh > 0 {
		if err := q.Take(from, fresh); err != nil {
			return err
		}
	}
	a.deleting.RLock()
	defer a.deleting.RUnlock()
	err := fn()
	if err != nil && fresh > 0 {
		q.GiveBack(from, fresh)
	}
	return err
}

// CreateTopic serves UPDATE_AND_CREATE_TOPIC.
func (a *Admin) CreateTopic(r *remoting.Request) {
	var h header.CreateTopicRequest
	if !decode(r, &h) {
		return
	}
	c := body.NewTopicConfig(h.Topic)
	c.ReadQueueNums, c.WriteQueueNums, c.Perm = h.ReadQueueNums, h.WriteQueueNums, h.Perm
	c.TopicSysFlag, c.Order = h.TopicSysFlag, h.Order
	switch h.TopicFilterType {
	case body.SingleTag, "":
	case body.MultiTag:
		c.TopicFilterType = body.MultiTag
	default:
		fail(r, wire.SystemError, "topicFilterType %q is neither SINGLE_TAG nor MULTI_TAG", h.TopicFilterType)
		return
	}
	if err := a.make(r, fresh(a.Topics.Get, c.TopicName), a.NewTopics, func() error { return a.Topics.Put(c, h.Attributes) }); err != nil {
		fail(r, refused(err, wire.SystemError), "%s", err)
		return
	}
	a.Published()
	r.Reply(&wire.Response{Code: wire.Success})
}

// DeleteTopic serves DELETE_TOPIC_IN_BROKER: the topic, its queues, the offsets of
// its consumers and what they have popped, and the topics of what they get again.
func (a *Admin) DeleteTopic(r *remoting.Request) {
	var h header.DeleteTopicRequest
	if !decode(r, &h) {
		return
	}
	if h.Topic == "" || a.Topics.IsSystem(h.Topic) {
		fail(r, wire.SystemError, "The topic[%s] is conflict with system topic: it can't be deleted.", h.Topic)
		return
	}
	if !a.deleteTopic(r, h.Topic) {
		return
	}
	a.Published()
	r.Reply(&wire.Response{Code: wire.Success})
}

// deleteTopic does it, and reports whether it is done; if not it has answered.
func (a *Admin) deleteTopic(r *remoting.Request, topic string) bool {
	a.deleting.Lock()
	defer a.deleting.Unlock()
	if _, err := a.Topics.Delete(topic); err != nil {
		fail(r, wire.SystemError, "%s", err)
		return false
	}
	a.Settle()
	retries := a.retries(topic)
	if _, err := a.Topics.Delete(retries...); err != nil {
		fail(r, wire.SystemError, "the topic is deleted, but not the topics of what is popped of it again: %s; delete it again", err)
		return false
	}
	defer a.Deleted()
	err := a.erase(retries...)
	if err == nil { // last: by its offsets a deletion that is tried again finds its retry topics
		err = a.erase(topic)
	}
	if err != nil {
		fail(r, wire.SystemError, "the topic is deleted, but not all that belongs to it: %s; delete it again", err)
		return false
	}
	return true
}

// erase deletes the queues of topics that are out of the table, the offsets in them
// and what is popped of them. Offsets are durably gone before a queue is: those of one
// that is not there any more would have a group pass over the messages of the next of
// that name.
func (a *Admin) erase(topics ...string) error {
	if len(topics) == 0 {
		return nil
	}
	if err := a.forget(topics); err != nil {
		return err
	}
	for _, name := range topics {
		if err := a.Queues.DeleteTopic(name); err != nil {
			return fmt.Errorf("queues of topic %s: %w", name, err)
		}
	}
	return a.forget(topics) // what was being popped or pulled meanwhile
}

// forget deletes what is known of consumers of topics.
func (a *Admin) forget(topics []string) error {
	if err := a.Pops.ForgetTopics(topics...); err != nil {
		return err
	}
	for _, name := range topics {
		a.Offsets.DeleteTopic(name)
	}
	a.Stats.ForgetTopics(topics...)
	return a.Offsets.Flush()
}

// queued are the topics that have queues.
func (a *Admin) queued() map[string]bool {
	topics := map[string]bool{}
	a.Queues.RangeQueues(func(q *store.Queue) bool {
		topics[q.Topic()] = true
		return true
	})
	return topics
}

// retries are the pop retry topics of a topic: those of each group that consumes it.
// Names can mean several things, as groups and topics may hold the separator. A
// topic in which another group has offsets, or that is the retry topic of one, is
// left.
func (a *Admin) retries(name string) (list []string) {
	queued := a.queued()
	for _, group := range a.Offsets.Groups(name) {
		for _, retry := range message.PopRetryTopics(group, name) {
			if _, other := a.Groups.Get(retry[len(message.RetryPrefix):]); other {
				continue
			}
			_, there := a.Topics.Get(retry)
			there = there || queued[retry]    // left when a deletion ended halfway, as
			owners := a.Offsets.Groups(retry) // these
			if there && len(owners) == 0 || len(owners) == 1 && owners[0] == group {
				list = append(list, retry)
			}
		}
	}
	return list
}

// AllTopics serves GET_ALL_TOPIC_CONFIG.
func (a *Admin) AllTopics(r *remoting.Request) {
	topics, version := a.Topics.All()
	r.Reply(&wire.Response{Code: wire.Success, Header: header.Empty{}, Body: body.Marshal(&body.TopicConfigSerializeWrapper{DataVersion: version, TopicConfigTable: topics})})
}

// PutGroup serves UPDATE_AND_CREATE_SUBSCRIPTIONGROUP.
func (a *Admin) PutGroup(r *remoting.Request) {
	var c body.SubscriptionGroupConfig
	if !decodeBody(r, &c) {
		return
	}
	if err := a.make(r, fresh(a.Groups.Get, c.GroupName), a.NewGroups, func() error { return a.Groups.Put(c) }); err != nil {
		fail(r, refused(err, wire.SystemError), "%s", err)
		return
	}
	r.Reply(&wire.Response{Code: wire.Success})
}

// DeleteGroup serves DELETE_SUBSCRIPTIONGROUP, and deletes the group's offsets, and
// what it has popped, if asked to.
func (a *Admin) DeleteGroup(r *remoting.Request) {
	var h header.DeleteGroupRequest
	if !decode(r, &h) {
		return
	}
	if message.IsSystemGroup(h.GroupName) {
		fail(r, wire.SystemError, "the group %s belongs to the broker and can't be deleted", h.GroupName)
		return
	}
	a.deleting.Lock()
	defer a.deleting.Unlock()
	if _, err := a.Groups.Delete(h.GroupName); err != nil {
		fail(r, wire.SystemError, "%s", err)
		return
	}
	a.Deleted()
	a.Stats.ForgetGroup(h.GroupName)
	if h.RemoveOffset {
		if err := a.Pops.ForgetGroup(h.GroupName); err != nil {
			fail(r, wire.SystemError, "the group is deleted, but not what it has popped: %s; delete it again", err)
			return
		}
		a.Offsets.DeleteGroup(h.GroupName)
		if err := a.Offsets.Flush(); err != nil {
			fail(r, wire.SystemError, "the group is deleted, but not its offsets: %s; delete it again", err)
			return
		}
	}
	r.Reply(&wire.Response{Code: wire.Success})
}

// AllGroups serves GET_ALL_SUBSCRIPTIONGROUP_CONFIG, with what groups are forbidden as
// in 5.x, where there is something.
func (a *Admin) AllGroups(r *remoting.Request) {
	succeedBody(r, a.Groups.Whole())
}

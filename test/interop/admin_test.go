// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"slices"
	"testing"
	"time"

	"github.com/apache/rocketmq-client-go/v2/admin"
)

func testAdmin(t *testing.T, c *cluster) {
	a, topic, in := c.admin(t), name(t, "topic"), &inbox{}
	create := func() {
		t.Helper()
		err := a.CreateTopic(t.Context(), admin.WithTopicCreate(topic), admin.WithBrokerAddrCreate(c.Broker),
			admin.WithReadQueueNums(5), admin.WithWriteQueueNums(3))
		if err != nil {
			t.Fatal(err)
		}
		// In the routes at once, not after the broker's next registration.
		queues, err := a.FetchPublishMessageQueues(t.Context(), topic)
		if err != nil || len(queues) != 3 {
			t.Fatalf("%d queues to write to, %v; want 3", len(queues), err)
		}
	}
	listed := func() bool {
		t.Helper()
		list, err := a.FetchAllTopicList(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return slices.Contains(list.TopicList, topic)
	}
	create()
	if !listed() {
		t.Error("the new topic is not listed")
	}
	sendAll(t, c.producer(t), topic, numbered("first", 9)...)
	running := c.consumer(t, name(t, "group"), topic, in)
	in.await(t, soon, numbered("first", 9)...)
	groups, err := a.GetAllSubscriptionGroup(t.Context(), c.Broker, 3*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if g, ok := groups.SubscriptionGroupTable[name(t, "group")]; !ok || !g.ConsumeEnable || g.RetryMaxTimes != 16 {
		t.Errorf("the group is %+v (known: %v)", g, ok)
	}
	if err := running.Shutdown(); err != nil {
		t.Fatal(err)
	}

	if err := a.DeleteTopic(t.Context(), admin.WithTopicDelete(topic), admin.WithBrokerAddrDelete(c.Broker)); err != nil {
		t.Fatal(err)
	}
	if listed() {
		t.Error("the deleted topic is listed")
	}
	// This admin remembers the route.
	if queues, err := c.admin(t).FetchPublishMessageQueues(t.Context(), topic); err == nil {
		t.Errorf("the deleted topic has %d queues", len(queues))
	}

	// Made again, it begins empty.
	create()
	sendAll(t, c.producer(t), topic, numbered("second", 9)...)
	fresh := &inbox{}
	c.consumer(t, name(t, "fresh"), topic, fresh)
	fresh.await(t, soon, numbered("second", 9)...)
	for _, m := range fresh.all() {
		if m.QueueOffset > 2 {
			t.Errorf("%s has offset %d in a new queue", m.Body, m.QueueOffset)
		}
	}
}

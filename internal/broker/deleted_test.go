// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/message"
)

// put stores messages in a queue without asking the table of topics.
func (w *world) put(topic string, n int) {
	w.t.Helper()
	var b store.Batch
	for i := range n {
		rec := &message.Record{BornHost: w.advertised, StoreHost: w.advertised, Body: fmt.Append(nil, i)}
		if err := b.Add(w.store.Queue(topic, 0), rec); err != nil {
			w.t.Fatal(err)
		}
	}
	if err := w.store.Append(&b); err != nil {
		w.t.Fatal(err)
	}
	w.stored(topic, 0)
}

// consumed has a group consume the first n messages of a topic, lastingly.
func (w *world) consumed(group, topic string, n int64) {
	w.t.Helper()
	if err := w.offsets.Set(group, topic, 0, n); err != nil {
		w.t.Fatal(err)
	}
	if err := w.offsets.Flush(); err != nil {
		w.t.Fatal(err)
	}
}

// Wherever the process is killed while a topic is deleted: a group gets all messages
// that come into the next topic of that name, and of its pop retry topics.
func TestKilledWhileATopicIsDeleted(t *testing.T) {
	names := append([]string{"U"}, "%RETRY%g_U", "%RETRY%g+U")
	old, fresh := 0, 0
	for cut, done := 0, false; !done; cut++ {
		fs := vfs.NewMem()
		w := start(t, fs)
		c := w.client()
		c.send(sendHeader("U"), "first")
		for _, name := range names {
			if _, err := w.topics.Ensure(name, 1, 6, 0); err != nil {
				t.Fatal(err)
			}
			w.put(name, 10)
			w.consumed("g", name, 10)
		}
		var left *vfs.Mem
		n := 0
		fs.Fail(func(op vfs.Op, _ string) error { // where files come and go
			if left == nil && (op == vfs.OpRename || op == vfs.OpRemove || op == vfs.OpRemoveAll) {
				if n == cut {
					left = fs.Kill()
				}
				n++
			}
			return nil
		})
		_ = rpc.DeleteTopic(w.ctx, c, w.addr, "U")
		fs.Fail(nil)
		done = left == nil
		if err := w.stop(); done && err != nil {
			t.Fatal(err)
		}
		if done {
			left = fs
		}
		w = start(t, left)
		for _, name := range names {
			if _, err := w.topics.Ensure(name, 1, 6, 0); err != nil {
				t.Fatal(err)
			}
			w.put(name, 15)
			end := w.store.LookupQueue(name, 0).Max()
			at, known := w.offsets.Query("g", name, 0)
			switch {
			case known && at > end-15:
				t.Errorf("cut %d: %s ends at %d, the group is at %d and passes over new messages", cut, name, end, at)
			case known:
				old++
			default:
				fresh++
			}
			if done && (known || end != 15) {
				t.Errorf("after the deletion %s ends at %d, offset %d %v", name, end, at, known)
			}
		}
		if err := w.stop(); err != nil {
			t.Fatal(err)
		}
	}
	if old == 0 || fresh == 0 {
		t.Errorf("%d offsets were left, %d were gone", old, fresh)
	}
}

// What an error kept from being deleted goes with the next try.
func TestTopicIsDeletedAgainAfterAnError(t *testing.T) {
	for _, part := range []string{"consumerOffset.json", "popCheckpoints.json"} {
		fs := vfs.NewMem()
		w := start(t, fs)
		c := w.client()
		c.send(sendHeader("U"), "first")
		retries := message.PopRetryTopics("g", "U")
		names := append(retries[:], "U")
		for _, name := range names {
			if _, err := w.topics.Ensure(name, 1, 6, 0); err != nil {
				t.Fatal(err)
			}
			w.put(name, 2)
			w.consumed("g", name, 2)
		}
		for skip := range 3 { // each time it comes one step further
			n := 0
			fs.Fail(func(op vfs.Op, name string) error {
				if op == vfs.OpRename && strings.Contains(name, part) {
					if n++; n > skip {
						return errors.New("disk")
					}
				}
				return nil
			})
			if err := rpc.DeleteTopic(w.ctx, c, w.addr, "U"); err == nil {
				t.Fatalf("%s: deleted though it can't be written the time %d", part, skip)
			}
		}
		fs.Fail(nil)
		c.deleteTopic("U")
		for _, name := range names {
			_, there := w.topics.Get(name)
			if q := w.store.LookupQueue(name, 0); there || q != nil || len(w.offsets.Groups(name)) > 0 {
				t.Errorf("%s: left of %s: topic %v, queue %v, offsets of %v", part, name, there, q != nil, w.offsets.Groups(name))
			}
		}
		if err := w.stop(); err != nil {
			t.Fatal(err)
		}
	}
}

// With queues go the offsets in them: a group gets what comes into the next topic of
// that name. Offsets alone go too.
func TestCleanUnusedTopicsTakesOffsets(t *testing.T) {
	w := start(t, vfs.NewMem())
	c := w.client()
	for _, topic := range []string{"T", "U"} {
		c.send(sendHeader(topic), topic)
		w.stored(topic, 0)
		w.consumed("g", topic, 1)
	}
	w.consumed("g", "Gone", 7)
	w.put("%RETRY%h_U", 1) // neither the group h nor U is there any more
	w.consumed("h", "%RETRY%h_U", 1)
	if _, err := w.topics.Delete("U"); err != nil {
		t.Fatal(err)
	}
	if err := rpc.CleanUnusedTopics(w.ctx, c, w.addr); err != nil {
		t.Fatal(err)
	}
	for _, topic := range []string{"U", "Gone", "%RETRY%h_U"} {
		if groups := w.offsets.Groups(topic); len(groups) > 0 || w.store.LookupQueue(topic, 0) != nil {
			t.Errorf("%s is not all gone, offsets of %v", topic, groups)
		}
	}
	if at, known := w.offsets.Query("g", "T", 0); !known || at != 1 {
		t.Errorf("in a topic that is there, the group is at %d %v", at, known)
	}
}

// Topics that are in use without being in the table keep their queues and offsets.
func TestCleanUnusedTopicsLeavesWhatIsInUse(t *testing.T) {
	fs := vfs.NewMem()
	w := start(t, fs)
	c := w.client()
	c.heartbeat("id", "g", "T", "*")
	c.heartbeat("id2", "my_group", "T", "*")
	c.send(sendHeader("T"), "x")
	c.send(sendHeader("T_2"), "x")
	pops, underscores := message.PopRetryTopics("g", "T"), message.PopRetryTopics("my_group", "T_2")
	names := slices.Concat(pops[:], underscores[:], []string{"%LMQ%x", "%RETRY%g", message.TopicOpHalf, "broker-a", "%DLQ%g"})
	for _, name := range names {
		w.put(name, 2)
		w.consumed("g", name, 2)
	}
	if _, err := w.topics.Ensure("%DLQ%g", 1, 6, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := w.topics.Delete("%LMQ%x", "%RETRY%g"); err != nil {
		t.Fatal(err)
	}
	w.consumed("nobody", "%RETRY%nobody", 3) // its queue may come
	if err := rpc.CleanUnusedTopics(w.ctx, c, w.addr); err != nil {
		t.Fatal(err)
	}
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	w = start(t, fs) // which forgets none either
	for _, name := range names {
		at, known := w.offsets.Query("g", name, 0)
		if q := w.store.LookupQueue(name, 0); q == nil || q.Max() != 2 || at != 2 || !known {
			t.Errorf("%s: queue %v, offset %d %v", name, q != nil, at, known)
		}
	}
	if at, known := w.offsets.Query("nobody", "%RETRY%nobody", 0); !known || at != 3 {
		t.Errorf("the offset in a retry topic without a queue: %d %v", at, known)
	}
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package offset

import (
	"strings"
	"sync"
	"testing"

	"github.com/twostage/twostage/internal/vfs"
)

func TestResetIsKeptUntilAConsumerWasSentThere(t *testing.T) {
	tb := open(t, vfs.NewMem())
	tb.Commit("g", "T", 0, 90)
	reset := func() {
		t.Helper()
		if err := tb.Reset("g", "T", 0, 5); err != nil {
			t.Fatal(err)
		}
		want(t, tb, "g", "T", 0, 5)
	}
	reset()
	tb.Commit("g", "T", 0, 91)
	tb.CommitBytes([]byte("g"), []byte("T"), 0, 92)
	want(t, tb, "g", "T", 0, 5)
	tb.Commit("g", "T", 1, 7) // other queues and groups go on
	tb.Commit("h", "T", 0, 8)
	want(t, tb, "g", "T", 1, 7)
	want(t, tb, "h", "T", 0, 8)
	if _, ok := tb.Redirect("h", "T", 0, 8); ok {
		t.Error("another group was sent back")
	}
	if to, ok := tb.Redirect("g", "T", 0, 95); !ok || to != 5 {
		t.Fatalf("sent to %d, %v", to, ok)
	}
	if to, ok := tb.Redirect("g", "T", 0, 90); !ok || to != 5 {
		t.Fatalf("another pull from elsewhere is sent to %d, %v", to, ok)
	}
	tb.Commit("g", "T", 0, 95) // the consumer that was told writes its old place once more
	want(t, tb, "g", "T", 0, 5)
	if _, ok := tb.Redirect("g", "T", 0, 5); ok {
		t.Error("sent back twice")
	}
	tb.Commit("g", "T", 0, 6)
	want(t, tb, "g", "T", 0, 6)

	// It may write the new place before it pulls. That is no sign that it knows:
	// another one may write where it happens to have been.
	reset()
	tb.Redirect("g", "T", 0, 6)
	tb.Commit("g", "T", 0, 5)
	tb.Commit("g", "T", 0, 7)
	want(t, tb, "g", "T", 0, 5)
	if to, ok := tb.Redirect("g", "T", 0, 7); !ok || to != 5 {
		t.Errorf("another member is sent to %d, %v", to, ok)
	}
	tb.Redirect("g", "T", 0, 5)
	tb.Commit("g", "T", 0, 7)
	want(t, tb, "g", "T", 0, 7)

	// A consumer that asks and begins there need not be sent.
	reset()
	tb.Asked("g", "T", 0)
	if _, ok := tb.Redirect("g", "T", 0, 5); ok {
		t.Error("sent to where it is")
	}
	tb.Commit("g", "T", 0, 8)
	want(t, tb, "g", "T", 0, 8)

	// One that goes elsewhere on purpose is left alone in the end.
	reset()
	for i := range maxSent + 1 {
		if _, ok := tb.Redirect("g", "T", 0, 50); ok != (i < maxSent) {
			t.Errorf("pull %d: sent %v", i, ok)
		}
	}
	tb.Commit("g", "T", 0, 51)
	want(t, tb, "g", "T", 0, 51)

	// One that has read so far without asking must drop what it holds.
	reset()
	if to, ok := tb.Redirect("g", "T", 0, 5); !ok || to != 5 {
		t.Errorf("sent to %d, %v", to, ok)
	}
}

func TestTakeEndsAReset(t *testing.T) {
	tb := open(t, vfs.NewMem())
	if _, ok := tb.Take("g", "T", 2); ok || tb.IsReset("g", "T", 2) {
		t.Error("there is none")
	}
	for range 2 { // the second is as good as the first
		if err := tb.Reset("g", "T", 2, 5); err != nil {
			t.Fatal(err)
		}
	}
	if to, ok := tb.Take("g", "T", 2); !ok || to != 5 {
		t.Errorf("took %d, %v", to, ok)
	}
	if _, ok := tb.Take("g", "T", 2); ok || tb.IsReset("g", "T", 2) || tb.pending.Load() != 0 {
		t.Error("taken twice")
	}
}

func TestDeletionEndsResets(t *testing.T) {
	tb := open(t, vfs.NewMem())
	for _, group := range []string{"g", "h"} {
		for q := range int32(3) {
			if err := tb.Reset(group, "T", q, 5); err != nil {
				t.Fatal(err)
			}
		}
	}
	tb.DeleteGroup("g")
	if tb.IsReset("g", "T", 0) || !tb.IsReset("h", "T", 0) || tb.pending.Load() != 3 {
		t.Errorf("%d left", tb.pending.Load())
	}
	tb.DeleteTopic("T")
	tb.Commit("h", "T", 0, 9)
	want(t, tb, "h", "T", 0, 9)
	if tb.pending.Load() != 0 {
		t.Errorf("%d left", tb.pending.Load())
	}
}

// What is set by hand counts more than a reset before it: that is one to the new
// place then.
func TestSetMovesAReset(t *testing.T) {
	tb := open(t, vfs.NewMem())
	set := func(at int64) {
		t.Helper()
		if err := tb.Set("g", "T", 0, at); err != nil {
			t.Fatal(err)
		}
		want(t, tb, "g", "T", 0, at)
	}
	set(10)
	tb.Commit("g", "T", 0, 11) // nothing is reset
	want(t, tb, "g", "T", 0, 11)
	if err := tb.Reset("g", "T", 0, 50); err != nil {
		t.Fatal(err)
	}
	tb.Redirect("g", "T", 0, 11)
	set(70)
	tb.Commit("g", "T", 0, 51) // of who was sent to the first place
	want(t, tb, "g", "T", 0, 70)
	if to, ok := tb.Redirect("g", "T", 0, 51); !ok || to != 70 {
		t.Errorf("sent to %d, %v", to, ok)
	}
	if _, ok := tb.Redirect("g", "T", 0, 70); ok || tb.pending.Load() != 0 {
		t.Errorf("sent back twice, %d pending", tb.pending.Load())
	}
	if err := tb.Set("g", "T", -1, 0); err == nil || !strings.Contains(err.Error(), "queueId") {
		t.Errorf("bad queue: %v", err)
	}
}

// What was under way when a group was deleted leaves nothing behind.
func TestResetOfADeletedGroup(t *testing.T) {
	tb := open(t, vfs.NewMem())
	tb.Commit("g", "T", 0, 1)
	q := tb.find("g", "T")
	tb.DeleteGroup("g")
	tb.commit(q, 1, 5, 0)
	if tb.size.Load() != 0 || tb.pending.Load() != 0 || len(q.entries) != 0 {
		t.Errorf("%d bytes, %d pending, %d entries", tb.size.Load(), tb.pending.Load(), len(q.entries))
	}
}

func TestResetRefusals(t *testing.T) {
	tb := open(t, vfs.NewMem())
	for _, tc := range []struct {
		group, topic string
		queue        int32
		offset       int64
		word         string
	}{
		{"g", "T", -1, 0, "queueId"}, {"g", "T", MaxQueue + 1, 0, "queueId"}, {"g", "T", 0, -1, "negative"},
		{"g@h", "T", 0, 0, "g@h"}, {"", "T", 0, 0, "group"}, {"g", "T@", 0, 0, "T@"},
	} {
		if err := tb.Reset(tc.group, tc.topic, tc.queue, tc.offset); err == nil || !strings.Contains(err.Error(), tc.word) {
			t.Errorf("%+v: %v", tc, err)
		}
	}
	tb.size.Store(MaxSize)
	if err := tb.Reset("g", "T", 0, 1); err == nil || !strings.Contains(err.Error(), "no room") {
		t.Errorf("full: %v", err)
	}
	if tb.pending.Load() != 0 {
		t.Error("something was reset")
	}
}

// Whatever commits run beside it, a reset stands when it returns.
func TestResetAmongCommits(t *testing.T) {
	tb := open(t, vfs.NewMem())
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := int64(100); ; i++ {
				select {
				case <-stop:
					return
				default:
					tb.Commit("g", "T", 0, i)
				}
			}
		}()
	}
	for i := range int64(500) {
		if err := tb.Reset("g", "T", 0, i%7); err != nil {
			t.Error(err)
		}
		if got, _ := tb.Query("g", "T", 0); got != i%7 {
			t.Errorf("offset %d after a reset to %d", got, i%7)
			break
		}
		if to, ok := tb.Take("g", "T", 0); !ok || to != i%7 {
			t.Errorf("took %d, %v", to, ok)
			break
		}
	}
	close(stop)
	wg.Wait()
}

// Also while the reset of another group is pending, for ever maybe.
func TestCommitWhileNothingIsResetDoesNotAllocate(t *testing.T) {
	tb := open(t, vfs.NewMem())
	tb.Commit("g", "T", 0, 1)
	if err := tb.Reset("dead", "T", 0, 1); err != nil {
		t.Fatal(err)
	}
	group, topic := []byte("g"), []byte("T")
	if n := testing.AllocsPerRun(100, func() {
		tb.CommitBytes(group, topic, 0, 2)
		tb.Redirect("g", "T", 0, 2)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package handler

import (
	"math"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/broker/longpoll"
	"github.com/twostage/twostage/internal/config"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/vfs"
)

// sends is a reset to 7 that no pull has been sent to yet.
type sends struct{}

func (sends) Redirect(_, _ string, _ int32, from int64) (int64, bool) { return 7, from != 7 }
func (sends) IsReset(string, string, int32) bool                      { return true }

// A pull that is sent elsewhere says so: what it wants to commit is older than the
// reset, which another member may have ended in the meantime.
func TestPullThatIsSentElsewhere(t *testing.T) {
	st, err := store.Open(store.Config{Dir: "/data", FS: vfs.NewMem(), CommitLogFileSize: 1 << 20, ConsumeQueueFileSize: 2000, IndexSlots: 13, IndexEntries: 40})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = st.Close() }()
	for _, from := range []int64{5, 7} {
		pl := pulling{p: &Pull{Log: st, Resets: sends{}, Stats: uncounted{}, Settings: limits(1, 1<<10)}, group: "g", topic: "T", queue: st.Queue("T", 0), offset: from, sel: &Selection{}}
		res, resp, ok := pl.get(pl.offset, 1)
		if !ok || pl.sent != (from != 7) || pl.sent != (resp.Remark == "OFFSET_RESET") {
			t.Errorf("from %d: sent elsewhere %v, answered %+v", from, pl.sent, resp)
		}
		if res.Release != nil {
			res.Release()
		}
	}
}

// lateReset is reset between a pull's look and its hold.
type lateReset struct{ reset bool }

func (l *lateReset) Redirect(string, string, int32, int64) (int64, bool) { return 0, false }
func (l *lateReset) IsReset(group, topic string, queue int32) bool {
	return l.reset && group == "g" && topic == "T" && queue == 0
}

// looks is a holder that asks how far the queue is.
type looks struct{ end int64 }

func (l *looks) Hold(_ *store.Queue, _ *longpoll.Pull, end func() int64) bool {
	l.end = end()
	return true
}

// A reset that comes too late for the look and too early to let the pull go must
// not leave it held.
func TestHoldSeesAReset(t *testing.T) {
	st, err := store.Open(store.Config{Dir: "/data", FS: vfs.NewMem(), CommitLogFileSize: 1 << 20, ConsumeQueueFileSize: 2000, IndexSlots: 13, IndexEntries: 40})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = st.Close() }()
	for _, reset := range []bool{false, true} {
		holder := &looks{}
		p := &Pull{Holder: holder, Resets: &lateReset{reset}}
		pl := pulling{p: p, group: "g", topic: "T", queue: st.Queue("T", 0), sel: &Selection{}}
		pl.hold(remoting.Ticket{}, time.Time{})
		if want := map[bool]int64{true: math.MaxInt64}[reset]; holder.end != want {
			t.Errorf("reset %v: the queue ends at %d", reset, holder.end)
		}
	}
}

// limits are settings of which only what one pull gets is set.
func limits(messages, bytes int) Settings {
	b := &config.Broker{Pull: config.Pull{MaxCountInMemory: messages, MaxBytesInMemory: bytes}}
	return func() *config.Broker { return b }
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package txn

import (
	"strconv"
	"testing"
	"testing/synctest"

	"github.com/twostage/twostage/internal/broker/txn/state"
	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/message"
)

// taken is a transaction of a golden directory.
type taken struct {
	key, keys string
	at        []store.Appended // of all its copies
	group     string
	topic     string
	queue     int32
	want      Outcome
}

// goldenTaken lists the transactions of a manifest whose half messages are as
// fits says.
func goldenTaken(t *testing.T, list []goldenMessage, fits func(key string) bool) (all []*taken) {
	t.Helper()
	known := map[string]*taken{}
	for _, g := range list {
		key := g.Properties["UNIQ_KEY"]
		if g.Topic != message.TopicHalf || !fits(key) {
			continue
		}
		x := known[key]
		if x == nil {
			queue, err := strconv.Atoi(g.Properties["REAL_QID"])
			if err != nil {
				t.Fatal(err)
			}
			x = &taken{key: key, keys: g.Properties["KEYS"], group: g.Properties["PGROUP"], topic: g.Properties["REAL_TOPIC"], queue: int32(queue)}
			known[key] = x
			all = append(all, x)
		}
		x.at = append(x.at, store.Appended{QueueOffset: g.QueueOffset, PhysicalOffset: g.CommitLogOffset})
	}
	return all
}

// times counts the records of a transaction in its real queue.
func (x *taken) times(r *rig) (n int) {
	for _, rec := range r.records(x.topic, x.queue) {
		if property(&rec, message.PropertyUniqueKey) == x.key {
			n++
		}
	}
	return n
}

// What RocketMQ left undecided is decided once, whichever of its copies a producer
// names; what it discarded is found, and can be resumed; and it finds nothing to
// do when it takes the directory back at once, or later.
func TestRule10TakeOver(t *testing.T) {
	for name, least := range map[string]int{"store-clean": 4, "store-killed": 20} {
		t.Run(name, func(t *testing.T) {
			list, marks := goldenMessages(t, name), goldenMarks(t, name)
			mark, _ := marks.get()
			keys, gone := undecided(t, list, mark), map[string]int64{}
			last := int64(0)
			for _, g := range list {
				last = max(last, g.StoreTimestamp)
				if g.Topic == message.TopicCheckMax {
					gone[g.Properties["UNIQ_KEY"]] = g.CommitLogOffset
				}
			}
			open := goldenTaken(t, list, func(key string) bool { return keys[key] > 0 })
			parked := goldenTaken(t, list, func(key string) bool { return gone[key] > 0 })
			below := 0
			for i, x := range open {
				x.want = []Outcome{Rollback, Commit}[i%2]
				if x.at[0].QueueOffset < mark {
					below++
				}
			}
			if len(open) < least || len(parked) != 1 || len(parked[0].at) != 3 || name == "store-clean" && below == 0 {
				t.Fatalf("the manifest has %d undecided and %d discarded transactions, %d below the mark", len(open), len(parked), below)
			}
			synctest.Test(t, func(t *testing.T) {
				config := goldenConfig(name, last)
				r := start(t, goldenFiles(t, name), marks, config)
				for _, x := range open {
					if x.want == Commit {
						r.mustEnd(x.at[len(x.at)-1], x.group, Commit)
					} else {
						r.mustEnd(x.at[0], x.group, Rollback)
					}
				}
				resolved(t, r, open)
				if r.pending() != 0 {
					t.Errorf("%d pending", r.pending())
				}
				for life := range 3 {
					m := r.fs.Kill()
					r.stop()
					for _, found := range javaFindings(t, m, marks, true) {
						t.Errorf("a Java broker in life %d: %v", life, found)
					}
					r = start(t, m, marks, config)
					resolved(t, r, open)
					switch life {
					case 0:
						resumeTaken(t, r, parked[0], gone[parked[0].key])
					case 1:
						after(noteInterval * 40)
					}
					resolved(t, r, parked)
				}
				if half, op := r.marks.get(); half != r.st.Queue(message.TopicHalf, 0).Max() || op != r.st.Queue(message.TopicOpHalf, 0).Max() {
					t.Errorf("marks %d %d at the end", half, op)
				}
			})
		})
	}
}

// resolved asks again, by each copy, for what was decided and for the contrary.
func resolved(t *testing.T, r *rig, list []*taken) {
	t.Helper()
	for _, x := range list {
		for _, at := range x.at {
			if a := r.end(at, x.group, x.want); a.code != wire.Success {
				t.Errorf("%s: %v again by the copy at %d: %+v", x.keys, x.want, at.QueueOffset, a)
			}
			r.want(x.keys+": the contrary", r.end(at, x.group, contrary(x.want)), wire.IllegalOperation)
		}
		want := 0
		if x.want == Commit {
			want = 1
		}
		if n := x.times(r); n != want {
			t.Errorf("%s (%s): %d records in %s, want %d", x.keys, x.key, n, x.topic, want)
		}
	}
}

// resumeTaken resumes what RocketMQ has discarded, and commits it.
func resumeTaken(t *testing.T, r *rig, x *taken, parked int64) {
	t.Helper()
	listed, _, err := r.svc.List(body.TransactionFilter{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, l := range listed {
		if l.Key == x.key {
			seen++
		}
	}
	if seen != len(x.at) {
		t.Errorf("%s: %d of %d half messages are listed", x.keys, seen, len(x.at))
	}
	for _, at := range x.at {
		s, err := r.svc.Show(at.QueueOffset)
		if err != nil || s.Transaction.State != body.Discarded || s.Transaction.ParkedOffset != parked {
			t.Errorf("%s: the copy at %d is shown as %+v, %v", x.keys, at.QueueOffset, s, err)
		}
		for _, o := range []Outcome{Commit, Rollback} {
			r.want(x.keys+" before it is resumed", r.end(at, x.group, o), wire.IllegalOperation, "discarded")
		}
	}
	off, err := r.resume(parked)
	if err != nil {
		t.Fatal(err)
	}
	if _, open, at, err := r.fate(x.at[0]); !open || at != off || err != nil {
		t.Errorf("%s: the first copy stands for %d, open: %v, %v; want %d", x.keys, at, open, err, off)
	}
	r.mustEnd(x.at[0], x.group, Commit)
	if kind, _, _, err := r.fate(store.Appended{QueueOffset: off}); kind != state.Committed {
		t.Errorf("%s is %v, %v", x.keys, kind, err)
	}
	x.want = Commit
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package txn

import (
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/message"
)

func TestRule11HalfIsHiddenUntilCommitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, vfs.NewMem(), newMarks())
		at := r.half("g", "k")
		if got := r.keys("T", 2); got != "" {
			t.Fatalf("topic holds %q before the commit", got)
		}
		if got := r.keys(message.TopicHalf, 0); got != "k" {
			t.Fatalf("half queue holds %q", got)
		}
		if n := r.pending(); n != 1 {
			t.Fatalf("%d pending", n)
		}
		r.mustEnd(at, "g", Commit)
		if got := r.keys("T", 2); got != "k" {
			t.Fatalf("topic holds %q after the commit", got)
		}
		if n := r.pending(); n != 0 {
			t.Fatalf("%d pending", n)
		}
		half, committed, op := r.records(message.TopicHalf, 0)[0], r.records("T", 2)[0], r.records(message.TopicOpHalf, 0)[0]
		if half.SysFlag != message.FlagCompressed || half.PreparedOffset != 0 {
			t.Errorf("half record: sysFlag %d, prepared offset %d", half.SysFlag, half.PreparedOffset)
		}
		want := half
		want.Topic, want.QueueID, want.QueueOffset = []byte("T"), 2, 0
		want.SysFlag, want.PreparedOffset = message.FlagCompressed|message.TransactionCommit, at.PhysicalOffset
		same(t, "committed", &committed, &want)
		if committed.BornHost != half.BornHost || committed.BornTimestamp != 7 {
			t.Errorf("committed was born at %d on %v", committed.BornTimestamp, committed.BornHost)
		}
		if op.PhysicalOffset != committed.PhysicalOffset+int64(committed.Size) {
			t.Errorf("op record at %d, not right behind the committed one", op.PhysicalOffset)
		}
	})
}

// same compares what a message is, its properties as a set.
func same(t *testing.T, what string, got, want *message.Record) {
	t.Helper()
	g, w := *got, *want
	gp, wp := message.ParseProperties(g.Properties), message.ParseProperties(w.Properties)
	if !maps.Equal(gp, wp) {
		t.Errorf("%s: properties\n%v, want\n%v", what, gp, wp)
	}
	if g.SysFlag != w.SysFlag || g.Flag != w.Flag || string(g.Topic) != string(w.Topic) || g.QueueID != w.QueueID ||
		g.PreparedOffset != w.PreparedOffset || string(g.Body) != string(w.Body) || g.ReconsumeTimes != w.ReconsumeTimes || g.BodyCRC != w.BodyCRC {
		t.Errorf("%s: %+v, want %+v", what, g, w)
	}
}

// TestRecordsAsRocketMQ sends the half messages of the golden store again and
// gives them the same outcomes: what is stored is what RocketMQ stored.
func TestRecordsAsRocketMQ(t *testing.T) {
	golden := goldenRecords(t, "store-clean", "GTx", message.TopicHalf, message.TopicOpHalf, message.TopicCheckMax)
	synctest.Test(t, func(t *testing.T) {
		r := start(t, vfs.NewMem(), newMarks(), func(_ *store.Config, c *Config) { c.Checks = 2 })
		r.online("G_tx", &producer{})
		halves := map[string]store.Appended{} // by KEYS
		seen := map[string]int{}
		for _, g := range golden {
			name := property(&g, "KEYS")
			switch string(g.Topic) {
			case message.TopicHalf:
				if _, copied := g.Property(message.PropertyTransactionCheckTimes); copied {
					continue
				}
				sent := g
				props := message.ParseProperties(g.Properties)
				sent.Topic = []byte(props["REAL_TOPIC"])
				sent.QueueID = int32(props["REAL_QID"][0] - '0')
				delete(props, "REAL_TOPIC")
				delete(props, "REAL_QID")
				sent.Properties = props.Append(nil)
				at, err := r.tryHalf(&sent)
				if err != nil {
					t.Fatal(err)
				}
				halves[name] = at
				list := r.records(message.TopicHalf, 0)
				same(t, name+", half", &list[len(list)-1], &g)
				seen["half"]++
			case "GTx":
				at := halves[name]
				r.mustEnd(at, "G_tx", Commit)
				list := r.records("GTx", g.QueueID)
				got := list[len(list)-1]
				if got.PreparedOffset != at.PhysicalOffset {
					t.Errorf("%s: prepared offset %d, half at %d", name, got.PreparedOffset, at.PhysicalOffset)
				}
				got.PreparedOffset = g.PreparedOffset
				want := g // RocketMQ's is made from the copy that its check made
				p := message.ParseProperties(want.Properties)
				delete(p, message.PropertyTransactionCheckTimes)
				want.Properties = p.Append(nil)
				same(t, name+", committed", &got, &want)
				ops := r.records(message.TopicOpHalf, 0)
				compareOp(t, &ops[len(ops)-1], at.QueueOffset, golden)
				seen["committed"]++
			case message.TopicCheckMax:
				after(time.Hour) // two checks, then it is discarded
				list := r.records(message.TopicCheckMax, 0)
				for i := range list {
					if property(&list[i], "KEYS") == name {
						want := g // RocketMQ's does not name its half message
						want.PreparedOffset = halves[name].PhysicalOffset
						same(t, name+", discarded", &list[i], &want)
						seen["discarded"]++
					}
				}
			}
		}
		if seen["half"] < 10 || seen["committed"] < 4 || seen["discarded"] != 1 {
			t.Errorf("compared %v", seen)
		}
	})
}

// compareOp compares an op record with RocketMQ's first one.
func compareOp(t *testing.T, op *message.Record, half int64, golden []message.Record) {
	t.Helper()
	for _, g := range golden {
		if string(g.Topic) != message.TopicOpHalf {
			continue
		}
		want := g
		want.Body = []byte(itoa(half))
		want.BodyCRC = op.BodyCRC
		want.Flag, want.PreparedOffset = op.Flag, half // say which outcome, where it is, and how far it goes
		same(t, "op", op, &want)
		if op.BornHost != op.StoreHost || op.BornHost != testHost || op.TagsCode() != 100 {
			t.Errorf("op: born on %v, stored on %v, tags code %d", op.BornHost, op.StoreHost, op.TagsCode())
		}
		return
	}
	t.Error("no golden op record")
}

func TestRollbackWritesOnlyTheOpRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, vfs.NewMem(), newMarks())
		at := r.half("g", "k")
		end := r.st.MaxPhysical()
		r.mustEnd(at, "g", Rollback)
		op := r.records(message.TopicOpHalf, 0)
		if len(op) != 1 || op[0].PhysicalOffset != end || r.st.MaxPhysical() != end+int64(op[0].Size) || string(op[0].Body) != "0" {
			t.Errorf("rollback wrote %d bytes, op %+v", r.st.MaxPhysical()-end, op)
		}
		if n := r.pending(); n != 0 {
			t.Errorf("%d pending", n)
		}
	})
}

func TestRule11CommittedMessageWithDelayWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, vfs.NewMem(), newMarks())
		at := r.half("g", "k", "DELAY", "2")
		if got := r.keys(message.TopicHalf, 0); got != "k" {
			t.Fatalf("half queue holds %q", got)
		}
		r.mustEnd(at, "g", Commit)
		if got := r.keys("T", 2); got != "" {
			t.Errorf("topic holds %q before the delay", got)
		}
		if got := r.keys(message.TopicSchedule, 1); got != "k" {
			t.Errorf("level 2 holds %q", got)
		}
	})
}

func TestRule6Refusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, vfs.NewMem(), newMarks())
		at := r.half("g", "k")
		wrong := at
		wrong.PhysicalOffset++
		unknown := store.Appended{QueueOffset: 99}
		for what, c := range map[string]struct {
			a    answer
			code int32
		}{
			"another group":    {r.end(at, "other", Commit), wire.SystemError},
			"another offset":   {r.end(wrong, "g", Commit), wire.SystemError},
			"no half message":  {r.end(unknown, "g", Commit), wire.SystemError},
			"the right commit": {r.end(at, "g", Commit), wire.Success},
		} {
			if c.a.code != c.code || (c.code != wire.Success) != (c.a.remark != "") {
				t.Errorf("%s: %+v, want code %d and a reason", what, c.a, c.code)
			}
		}
		if got := r.keys("T", 2); got != "k" {
			t.Errorf("topic holds %q", got)
		}
		if st := r.svc.Stats(); st.Refused != 3 || committed(st) != 1 {
			t.Errorf("%+v", st)
		}
	})
}

// TestReceivedMessageSentAgain: what a consumer got of a committed message still
// has the broker's own properties; they say nothing about the next half message.
func TestReceivedMessageSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		marks := newMarks()
		m := vfs.NewMem()
		r := start(t, m, marks)
		at := r.half("g", "k", "REAL_TOPIC", "Other", "REAL_QID", "7", "TRANSACTION_CHECK_TIMES", "99", "user", "u")
		r.half("g", "k2", "TRANSACTION_CHECK_TIMES", "99")
		r.mustEnd(at, "g", Commit)
		if got := r.records("T", 2); len(got) != 1 || property(&got[0], "user") != "u" {
			t.Errorf("%d messages in the topic it was sent to", len(got))
		}
		m = m.Kill()
		r.stop()
		r = start(t, m, marks)
		p := r.online("g", &producer{})
		after(10 * time.Second)
		if n := p.count(); n != 1 {
			t.Errorf("%d checks after a restart, want 1", n)
		}
	})
}

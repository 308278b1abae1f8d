// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package timer

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/store/timerfile"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/message"
)

// putAsJava replaces the wheel of a rig that has ended by one that RocketMQ, with
// slots of that many ms, would have written of its entries.
func putAsJava(r *rig, m *vfs.Mem, entries []store.Entry, precision int64) {
	r.t.Helper()
	for _, name := range []string{"/data/timerwheel", "/data/timerlog", "/data/config/timercheck", "/data/config/timercheck.bak"} {
		if err := m.RemoveAll(name); err != nil {
			r.t.Fatal(err)
		}
	}
	w, _, err := timerfile.OpenWheel(m, "/data")
	if err != nil {
		r.t.Fatal(err)
	}
	l, err := timerfile.OpenLog(m, "/data", 4096)
	if err != nil {
		r.t.Fatal(err)
	}
	st, err := store.Open(store.Config{Dir: "/data", FS: m, CommitLogFileSize: 64 << 10, ConsumeQueueFileSize: 2000, IndexSlots: 13, IndexEntries: 4000})
	if err != nil {
		r.t.Fatal(err)
	}
	now := r.wall() / precision * precision
	for _, e := range entries {
		b, release, err := st.Record(e.PhysicalOffset)
		if err != nil {
			r.t.Fatal(err)
		}
		var rec message.Record
		if err := waiting(&rec, b); err != nil {
			r.t.Fatal(err)
		}
		out, kind := (num(&rec, message.PropertyTimerDeliver)-1)/precision*precision, timerfile.KindMessage
		if _, ok := rec.Property(message.PropertyTimerDeleteKey); ok {
			kind |= timerfile.KindDelete
		}
		release()
		slot, err := w.Get(out / precision)
		if err != nil {
			r.t.Fatal(err)
		}
		pos, err := l.Append(&timerfile.Unit{Prev: slot.Last, Kind: kind, Put: now, Delay: int32(out - now), Offset: e.PhysicalOffset, Size: e.Size})
		if err != nil {
			r.t.Fatal(err)
		}
		if slot.Last = pos; slot.First < 0 {
			slot.First = pos
		}
		if err := w.Put(out/precision, slot); err != nil {
			r.t.Fatal(err)
		}
	}
	n := int64(len(entries))
	c := timerfile.Checkpoint{Read: now, LogEnd: l.End(), QueueOffset: n, Master: n}
	if err := errors.Join(l.Sync(), w.Flush(), w.Close(), l.Close(), st.Close(),
		vfs.WriteFile(m, "/data/config/timercheck", append(c.Encode()[:56], make([]byte, 4040)...))); err != nil {
		r.t.Fatal(err)
	}
}

// Recalls that RocketMQ has put in count, also when the wheel's time and theirs
// have come apart, and after further restarts; slots of another length are found
// out.
func TestTakeOverRecalls(t *testing.T) {
	for _, precision := range []int64{1000, 500} {
		synctest.Test(t, func(t *testing.T) {
			m := vfs.NewMem()
			r := start(t, m)
			at := r.wall()/1000*1000 + 60_900
			r.at("gone", at)
			r.at("kept", at)
			if err := r.recall("A", "gone", at); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			entries, err := r.st.Entries(nil, r.st.Queue(message.TopicTimer, 0), 0, 10)
			if err != nil || len(entries) != 3 {
				t.Fatal(len(entries), err)
			}
			r.stop()
			putAsJava(r, m, entries, precision)
			for range 3 {
				if r, err = tryStart(t, m, r.jump); err != nil {
					t.Fatal(err)
				}
				after(time.Second)
				r.close()
				r.jump.Add(-10_000)
			}
			if r, err = tryStart(t, m, r.jump); err != nil {
				t.Fatal(err)
			}
			after(time.Hour)
			if got := r.bodies(); !slices.Equal(got, []string{"kept"}) {
				t.Errorf("slots of %d ms: delivered %q", precision, got)
			}
			r.close()
		})
	}
}

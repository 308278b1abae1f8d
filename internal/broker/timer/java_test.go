// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package timer

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/store/timerfile"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/message"
)

// TestTakeOver opens a wheel as RocketMQ writes it: units with whole seconds as
// their time, some behind the checkpoint, and a checkpoint of 56 bytes that counts.
// What it has delivered stays delivered, the rest is delivered to the ms.
func TestTakeOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := vfs.NewMem()
		r := start(t, m)
		begin := r.wall()
		const n = 100
		for i := range n {
			r.at(fmt.Sprint("m", i), begin+int64(i)*137+1)
		}
		synctest.Wait()
		q := r.st.Queue(message.TopicTimer, 0)
		entries, err := r.st.Entries(nil, q, 0, n)
		if err != nil || len(entries) != n {
			t.Fatal(len(entries), err)
		}
		r.stop()
		for _, name := range []string{"/data/timerwheel", "/data/timerlog", "/data/config/timercheck", "/data/config/timercheck.bak"} {
			if err := m.RemoveAll(name); err != nil {
				t.Fatal(err)
			}
		}
		// RocketMQ has put in 90 of them, noted 60, and delivered what is due before 5 s.
		w, _, err := timerfile.OpenWheel(m, "/data")
		if err != nil {
			t.Fatal(err)
		}
		l, err := timerfile.OpenLog(m, "/data", 4096)
		if err != nil {
			t.Fatal(err)
		}
		c := timerfile.Checkpoint{Read: begin + 5000}
		for i := range 90 {
			out := begin + int64(i)*137/1000*1000
			slot, err := w.Get(out / 1000)
			if err != nil {
				t.Fatal(err)
			}
			u := timerfile.Unit{Prev: slot.Last, Kind: timerfile.KindMessage, Put: begin, Delay: int32(out - begin), Offset: entries[i].PhysicalOffset, Size: entries[i].Size}
			pos, err := l.Append(&u)
			if err != nil {
				t.Fatal(err)
			}
			slot.Last = pos
			if slot.First < 0 {
				slot.First = pos
			}
			slot.Num++
			if i == 59 {
				c.LogEnd, c.QueueOffset, c.Master = l.End(), 60, 60
			}
			if err := w.Put(out/1000, slot); err != nil {
				t.Fatal(err)
			}
			if i == 80 { // of the last ones the slots are not on disk
				if err := w.Flush(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := l.Sync(); err != nil {
			t.Fatal(err)
		}
		_, _ = w.Close(), l.Close()
		if err := vfs.WriteFile(m, "/data/config/timercheck", append(c.Encode()[:56], make([]byte, 4040)...)); err != nil {
			t.Fatal(err)
		}

		if now := r.wall(); now > begin+100 {
			t.Fatalf("%d ms later", now-begin)
		}
		after(5 * time.Second)
		r = start(t, m)
		after(time.Minute)
		var want []string
		for i := range n {
			if at := int64(i)*137 + 1; at > 5000 {
				want = append(want, fmt.Sprint("m", i))
			}
		}
		if got := r.bodies(); !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
		for _, rec := range r.records("A", 0) {
			if at := num(&rec, message.PropertyTimerDeliver); rec.StoreTimestamp < at || rec.StoreTimestamp > at+2 {
				t.Errorf("%s is %d ms late", rec.Body, rec.StoreTimestamp-at)
			}
		}
		r.close()
	})
}

// What RocketMQ has rolled has lost its exact time: it comes within a second after.
func TestExactOfRolled(t *testing.T) {
	s := &Service{precision: 1000}
	rec := func(props ...string) *message.Record {
		var p []byte
		for i := 0; i < len(props); i += 2 {
			p = message.AppendProperty(p, props[i], props[i+1])
		}
		return &message.Record{StoreTimestamp: 7_000, Properties: p}
	}
	for _, c := range []struct {
		rec      *message.Record
		at       int64
		relative bool
	}{
		{rec("TIMER_OUT_MS", "9000", "TIMER_DELAY_MS", "2500"), 9500, true},
		{rec("TIMER_OUT_MS", "9000", "TIMER_DELAY_SEC", "3"), 10_000, true},
		{rec("TIMER_OUT_MS", "9000", "TIMER_DELAY_SEC", "3", "TIMER_ROLL_TIMES", "1"), 10_000, false},
		{rec("TIMER_OUT_MS", "9000", "TIMER_DELAY_MS", "99", "TIMER_ROLL_TIMES", "1", "TIMER_DELIVER_MS", "9001"), 9001, false},
		{rec("TIMER_OUT_MS", "9000", "TIMER_DELAY_MS", "99", "TIMER_ROLL_TIMES", "1", "TIMER_DELIVER_MS", "20000"), 10_000, false},
		{rec("TIMER_OUT_MS", "9000", "TIMER_DELIVER_MS", "9999"), 9999, false},
		{rec("TIMER_OUT_MS", "9000"), 10_000, false},
		{rec("TIMER_OUT_MS", "9000", "TIMER_DELIVER_MS", strconv.Itoa(1<<62)), farMillis, false},
	} {
		if at, relative := s.exact(c.rec); at != c.at || relative != c.relative {
			t.Errorf("%q: %d, %t", c.rec.Properties, at, relative)
		}
	}
}

// With many slots the wheel and its units take no memory beyond what is between
// two checkpoints, and files that are over go.
func TestFilesGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := vfs.NewMem()
		r := start(t, m, func(_ *store.Config, c *Config) { c.RollWindow = 10 * time.Hour })
		for i := range 600 {
			r.in(fmt.Sprint(i), 1000+int64(i)*100)
			after(10 * time.Millisecond)
		}
		after(3 * time.Minute)
		names, err := m.ReadDir("/data/timerlog")
		if err != nil || len(names) != 1 {
			t.Errorf("%q, %v", names, err)
		}
		if got := len(r.bodies()); got != 600 {
			t.Errorf("%d delivered", got)
		}
		r.close()
		r = start(t, m)
		r.in("again", 50)
		after(time.Second)
		if got := len(r.bodies()); got != 601 {
			t.Errorf("%d delivered", got)
		}
		r.close()
	})
}

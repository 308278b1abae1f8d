// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package txn

import (
	"bytes"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/message"
)

// watchedLog counts what is read, refuses appends while it fails, can't read one
// record, and lets something happen before an append.
type watchedLog struct {
	Log
	reads  atomic.Int64
	fails  atomic.Bool
	bad    atomic.Int64 // log offset of what can't be read; 0: nothing
	before atomic.Pointer[func()]
}

func (l *watchedLog) Record(physical int64) ([]byte, func(), error) {
	l.reads.Add(1)
	if bad := l.bad.Load(); bad != 0 && bad == physical {
		return nil, nil, errors.New("input/output error")
	}
	return l.Log.Record(physical)
}

func (l *watchedLog) Append(b *store.Batch) error {
	if f := l.before.Swap(nil); f != nil {
		(*f)()
	}
	if l.fails.Load() {
		return errors.New("no room")
	}
	return l.Log.Append(b)
}

// A producer that does not read holds up its own group, at the cost of one check
// a round, and no other group.
func TestRule8AFullBacklogIsNotFlooded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, log, lines := watched(t)
		slow, quick := r.online("slow", &producer{refuse: true}), r.online("quick", &producer{})
		const n = 500
		for i := range n {
			r.half("slow", "k"+itoa(int64(i)))
		}
		r.half("quick", "k")
		after(6*time.Second + time.Minute/2)
		// After 0.5, 1, 2, 4, 8 s and each 10 s: 7 rounds, and 3 for the quick group.
		reads, warned := log.reads.Load(), strings.Count(lines.String(), "level=WARN")
		if reads > 16 || warned > 8 || warned < 4 {
			t.Errorf("%d records read, %d warnings in half a minute:\n%s", reads, warned, lines.String())
		}
		if st := r.svc.Stats(); quick.count() != 3 || st.Paced < n-1 || st.Checks != 3 {
			t.Errorf("%d checks to the quick group, %+v", quick.count(), st)
		}
		slow.mu.Lock()
		slow.refuse = false
		slow.mu.Unlock()
		after(10 * time.Second)
		if got := slow.count(); got < n || r.svc.Stats().Paced != 0 {
			t.Errorf("%d of %d checks once it reads again; %+v", got, n, r.svc.Stats())
		}
	})
}

func TestNobodyOnlineReadsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, log, _ := watched(t)
		r.half("g", "k")
		after(time.Minute)
		if got := log.reads.Load(); got != 0 {
			t.Errorf("%d records read for nobody", got)
		}
	})
}

func TestDiscardIsLoggedWhenItIsDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, log, lines := watched(t)
		r.online("g", &producer{})
		r.half("g", "k")
		after(52 * time.Second)
		log.fails.Store(true)
		after(2 * time.Second)
		if s := lines.String(); strings.Contains(s, "was discarded") || !strings.Contains(s, "could not be discarded") {
			t.Errorf("logged while it failed:\n%s", s)
		}
		log.fails.Store(false)
		after(time.Minute)
		if s := lines.String(); strings.Count(s, "was discarded") != 1 || len(r.records(message.TopicCheckMax, 0)) != 1 {
			t.Errorf("logged afterwards:\n%s", s)
		}
	})
}

// A half message whose record is damaged is asked about by nobody and holds up
// nobody; at its age it is discarded, without a copy, and that is said.
func TestDamagedHalfMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _, lines := watched(t, func(_ *store.Config, c *Config) { c.MaxAge = time.Hour })
		p := r.online("g", &producer{})
		bad, good := r.half("g", "bad"), r.half("g", "good")
		data, err := vfs.ReadFile(r.fs, "/data/commitlog/00000000000000000000")
		if err != nil {
			t.Fatal(err)
		}
		data[bad.PhysicalOffset+100] ^= 0xff // in the body
		if err := vfs.WriteFile(r.fs, "/data/commitlog/00000000000000000000", data); err != nil {
			t.Fatal(err)
		}
		r.svc.fresh.put(bad.QueueOffset, -1, []byte("another")) // no longer in memory
		after(7 * time.Second)
		if n := p.count(); n != 1 {
			t.Errorf("%d checks, want the good one's", n)
		}
		r.mustEnd(good, "g", Commit)
		r.want("commit", r.end(bad, "g", Commit), wire.ServiceNotAvailable, "damaged")
		after(time.Hour)
		if n := r.pending(); n != 0 || r.keys(message.TopicCheckMax, 0) != "" {
			t.Errorf("%d pending, parked %q", n, r.keys(message.TopicCheckMax, 0))
		}
		s, err := r.svc.Find("bad")
		if err == nil && len(s) > 0 {
			t.Errorf("found at %v", s)
		}
		if got := lines.String(); !strings.Contains(got, "can't be read, so there is no copy of it") {
			t.Errorf("logged:\n%s", got)
		}
	})
}

// syncBuffer is a bytes.Buffer for several goroutines.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

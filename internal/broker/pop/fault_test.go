// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package pop

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/message"
)

// faulty is a store some of whose calls fail, or wait.
type faulty struct {
	*store.Store
	unreadable int32 // queue of T, -1: none
	full       bool
	appends    atomic.Int32
	flushes    atomic.Int32
	tries      int // of appends while it is full
	entered    chan struct{}
	leave      chan error // what appends wait for when it is set
}

func (f *faulty) Get(q *store.Queue, from int64, n, m int, filter store.Filter) (store.GetResult, error) {
	if q.Topic() == "T" && q.ID() == f.unreadable {
		return store.GetResult{}, store.ErrUnreadable
	}
	return f.Store.Get(q, from, n, m, filter)
}

var errFull = errors.New("the disk is full")

func (f *faulty) Flush(to int64) error {
	f.flushes.Add(1)
	return f.Store.Flush(to)
}

func (f *faulty) Append(b *store.Batch) error {
	f.appends.Add(1)
	if f.leave != nil {
		f.entered <- struct{}{}
		if err := <-f.leave; err != nil {
			return err
		}
	}
	if f.full {
		f.tries++
		return errFull
	}
	return f.Store.Append(b)
}

// faults puts a store between that fails as the test says.
func (r *rig) faults() *faulty {
	f := &faulty{Store: r.st, unreadable: -1}
	r.s.cfg.Log = f
	return f
}

// errorsLogged counts errors that are logged.
type errorsLogged struct {
	slog.Handler
	mu    sync.Mutex
	texts []string
}

func (h *errorsLogged) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelError }

func (h *errorsLogged) Handle(_ context.Context, rec slog.Record) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.texts = append(h.texts, rec.Message)
	return nil
}

// TestUnreadableQueue: a queue that can't be read keeps pops from nothing but its
// messages, and is logged once in a while.
func TestUnreadableQueue(t *testing.T) {
	r := newRig(t)
	r.must(r.send(0, "a"))
	r.must(r.send(1, "b"))
	r.faults().unreadable = 1
	logged := &errorsLogged{Handler: slog.DiscardHandler}
	r.s.cfg.Logger = slog.New(logged)
	if _, err := r.pop(Request{Group: "g", Topic: "T", Queue: 1, Max: 32, Invisible: 1000}); !errors.Is(err, store.ErrUnreadable) {
		t.Errorf("a pop of the queue alone: %v", err)
	}
	for i := range 20 {
		list, err := r.pop(Request{Group: "g", Topic: "T", Queue: -1, Max: 32, Invisible: 1000})
		if err != nil || len(list) != 1 || list[0].text != "a" {
			t.Fatalf("pop %d gives %+v, %v", i, list, err)
		}
		r.now += 2000
		r.must(r.turn())
	}
	if len(logged.texts) != 1 {
		t.Errorf("logged are %q", logged.texts)
	}
}

// TestReviveBacksOff: while the store takes nothing it is asked for one checkpoint,
// ever later, and once it takes something all are stored.
func TestReviveBacksOff(t *testing.T) {
	r := newRig(t)
	const n = 300
	for range n {
		r.must(r.send(0, "x"))
		if list, err := r.pop(Request{Group: "g", Topic: "T", Queue: 0, Max: 1, Invisible: 1000}); err != nil || len(list) != 1 {
			t.Fatalf("%+v %v", list, err)
		}
	}
	f := r.faults()
	f.full = true
	logged := &errorsLogged{Handler: slog.DiscardHandler}
	r.s.cfg.Logger = slog.New(logged)
	for range 200 {
		r.now += 1000
		next, ok := r.s.due(context.Background())
		if !ok || next > r.now+reviveLater {
			t.Fatalf("at %d the next try is at %d, %v", r.now, next, ok)
		}
	}
	if f.tries < 3 || f.tries > 12 {
		t.Errorf("%d tries in 200 s", f.tries)
	}
	if len(logged.texts) > 5 {
		t.Errorf("%d lines are logged", len(logged.texts))
	}
	f.full = false
	for range 5 {
		r.now += reviveLater
		r.must(r.turn())
	}
	if s := r.s.Stats(); s.Revived != n || s.Open != 0 {
		t.Errorf("%+v", s)
	}
}

// TestReviveEnds: what ends Run ends a round of reviving too.
func TestReviveEnds(t *testing.T) {
	r := newRig(t)
	r.must(r.send(0, "x"))
	if _, err := r.pop(Request{Group: "g", Topic: "T", Queue: 0, Max: 1, Invisible: 1000}); err != nil {
		t.Fatal(err)
	}
	r.now += 1000
	ended, end := context.WithCancel(context.Background())
	end()
	r.s.due(ended)
	if s := r.s.Stats(); s.Revived != 0 {
		t.Errorf("%+v", s)
	}
	r.must(r.turn())
	if s := r.s.Stats(); s.Revived != 1 {
		t.Errorf("%+v", s)
	}
}

// sendProps stores messages with properties so long that room bytes more fit.
func (r *rig) sendProps(room int) {
	r.t.Helper()
	props := message.AppendProperty(nil, "k", strings.Repeat("x", message.MaxPropertiesLength-room-2))
	var b store.Batch
	r.must(b.Add(r.st.Queue("T", 0), &message.Record{BornHost: testHost, StoreHost: testHost, Body: []byte("big"), Properties: props}))
	r.must(b.Add(r.st.Queue("T", 0), &message.Record{BornHost: testHost, StoreHost: testHost, Body: []byte("small")}))
	r.must(r.st.Append(&b))
	r.must(r.sync())
}

// TestLongProperties: a message is given again though there is no room for what it
// would get besides, and dies in the end.
func TestLongProperties(t *testing.T) {
	for _, room := range []int{0, 8, 30, 60, 200} {
		r := newRig(t)
		r.names.group.RetryMaxTimes = 3
		r.sendProps(room)
		given := map[string]int{}
		for i := 0; r.s.Stats().DeadLetters < 2; i++ {
			if i > 20 {
				t.Fatalf("%d bytes of room: given %v, %+v", room, given, r.s.Stats())
			}
			list, err := r.pop(Request{Group: "g", Topic: "T", Queue: -1, Max: 2, Invisible: 1000})
			r.must(err)
			for j := range list {
				given[list[j].text]++
			}
			r.now += 2000
			r.must(r.turn())
		}
		if given["big"] != 4 || given["small"] != 4 {
			t.Errorf("%d bytes of room: given %v", room, given)
		}
	}
}

// TestLongPropertiesAck: the handle that a consumer makes of the answer is good.
func TestLongPropertiesAck(t *testing.T) {
	r := newRig(t)
	r.sendProps(60)
	req := Request{Group: "g", Topic: "T", Queue: -1, Max: 2, Invisible: 1000}
	if _, err := r.pop(req); err != nil {
		t.Fatal(err)
	}
	r.now += 2000
	r.must(r.turn())
	list, err := r.pop(req)
	if err != nil || len(list) != 2 {
		t.Fatalf("%+v %v", list, err)
	}
	for i := range list {
		r.must(r.ack(&list[i]))
	}
	if s := r.s.Stats(); s.Acked != 2 || s.Open != 0 {
		t.Errorf("%+v", s)
	}
}

// TestAckBesideOneThatFails: an ack waits for what becomes of another one of the
// message, and is not a success because of one that fails.
func TestAckBesideOneThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.must(r.send(0, "x"))
		list, err := r.pop(Request{Group: "g", Topic: "T", Queue: 0, Max: 1, Invisible: 1000})
		r.must(err)
		f := r.faults()
		f.entered, f.leave = make(chan struct{}), make(chan error)
		first, second := make(chan error, 1), make(chan error, 1)
		go func() { first <- r.ack(&list[0]) }()
		<-f.entered
		go func() { second <- r.ack(&list[0]) }()
		synctest.Wait()
		if len(second) != 0 {
			t.Error("the second ack does not wait for the first")
		}
		f.leave <- errFull
		if err := <-first; !errors.Is(err, errFull) {
			t.Errorf("the first ack: %v", err)
		}
		<-f.entered
		f.leave <- nil
		if err := <-second; err != nil {
			t.Errorf("the second ack: %v", err)
		}
		if s := r.s.Stats(); s.Acked != 1 || s.Open != 0 {
			t.Errorf("%+v", s)
		}
		r.close()
	})
}

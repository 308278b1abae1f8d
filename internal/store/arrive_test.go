// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"slices"
	"testing"

	"github.com/twostage/twostage/internal/vfs"
)

// An appender runs the caller's OnArrive, maybe where panics are recovered: the
// store must not go on without the entries.
func TestPanicInOnArrive(t *testing.T) {
	cfg := memConfig(vfs.NewMem())
	cfg.OnArrive = func(_ *Queue, offset, _, _ int64, _ []byte) {
		if offset == 1 {
			panic("test")
		}
	}
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	q := s.Queue("T", 0)
	put(t, s, q, "a")
	var b Batch
	if err := b.Add(q, rec("b", 10)); err != nil {
		t.Fatal(err)
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		_ = s.Append(&b)
	}()
	if err := s.ReadOnly(); !errors.Is(err, ErrReadOnly) {
		t.Errorf("the store goes on: %v", err)
	}
	if err := s.Append(&b); !errors.Is(err, ErrReadOnly) {
		t.Errorf("Append after it: %v", err)
	}
	if err := s.Close(); err == nil {
		t.Error("Close has nothing to say")
	}
	cfg.OnArrive = nil
	again, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	dispatched(t, again)
	if got := names(t, again, again.Queue("T", 0), 0); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("after a new start the queue holds %q", got)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}

// An appender carries its own entries and a bounded number of others'.
func TestAppenderCarriesBoundedly(t *testing.T) {
	cfg := memConfig(vfs.NewMem())
	cfg.CommitLogFileSize = 4 << 20
	s := open(t, cfg)
	q := s.Queue("T", 0)
	s.dispatch.stage.Lock() // nobody else carries
	for range 3 * inlineEntries / 8 {
		put(t, s, q, numbered("m", 8)...)
	}
	if q.Max() != 0 {
		t.Fatalf("%d entries while the stage was held", q.Max())
	}
	if left := s.dispatch.advance(inlineEntries); !left || q.Max() < inlineEntries || q.Max() > inlineEntries+8 {
		t.Errorf("one round carried %d entries, left %v", q.Max(), left)
	}
	s.dispatch.round(1) // gives the stage away
	put(t, s, q, "last")
	dispatched(t, s)
	if q.Max() != 3*inlineEntries/8*8+1 {
		t.Errorf("%d entries in the end", q.Max())
	}
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/message"
)

// No CRC covers the head of a record. One that says another place than that of its
// queue entry would move the offset of the consumer that gets it.
func TestRecordInAnotherPlace(t *testing.T) {
	for what, at := range map[string]int64{"queueOffset": 22, "queueId": 12, "topic": 84 + 4 + 100 - 4 + 1} {
		t.Run(what, func(t *testing.T) {
			cfg := memConfig(vfs.NewMem())
			cfg.CheckReads = CheckAll
			s := open(t, cfg)
			q := s.Queue("T", 0)
			p := put(t, s, q, numbered("n", 5)...)
			dispatched(t, s)
			bruise(t, cfg, p[2].PhysicalOffset+at, []byte{0x5A})
			r, err := s.Get(q, 0, 32, 1<<20, Filter{})
			if err != nil {
				t.Fatal(err)
			}
			for _, b := range r.Records {
				var m message.Record
				if _, err := message.DecodeRecord(b, &m, true); err != nil || string(m.Topic) != "T" || m.QueueID != 0 || m.QueueOffset > 5 {
					t.Errorf("handed out: topic %q queue %d offset %d %v", m.Topic, m.QueueID, m.QueueOffset, err)
				}
			}
			r.Release()
			closeStore(t, s)
		})
	}
}

// failingStore has so many records, whose log can be made unreadable.
func failingStore(t *testing.T, now *atomic.Int64, n int) (*Store, *atomic.Bool, *Queue) {
	m := vfs.NewMem()
	cfg := memConfig(m)
	cfg.CheckReads = CheckAll
	cfg.NowMillis = now.Load
	s := open(t, cfg)
	q := s.Queue("T", 0)
	put(t, s, q, numbered("n", n)...)
	dispatched(t, s)
	bad := new(atomic.Bool)
	m.Fail(func(op vfs.Op, name string) error {
		if op == vfs.OpRead && bad.Load() && strings.Contains(name, "/commitlog/") {
			return syscall.EIO
		}
		return nil
	})
	return s, bad, q
}

// A consumer that comes seldom is not held for ever.
func TestUnreadableSeldomAsked(t *testing.T) {
	var now atomic.Int64
	now.Store(1_700_000_000_000)
	s, bad, q := failingStore(t, &now, 5)
	bad.Store(true)
	var err error
	for range 3 {
		now.Add(180_000)
		var r GetResult
		if r, err = s.Get(q, 0, 32, 1<<20, Filter{}); err == nil {
			r.Release()
			break
		}
	}
	bad.Store(false)
	closeStore(t, s)
	if err != nil {
		t.Errorf("at the third try, after 9 minutes: %v", err)
	}
}

// A disk that is gone for a moment now and then leads nobody past its records.
func TestUnreadableNowAndThen(t *testing.T) {
	var now atomic.Int64
	now.Store(1_700_000_000_000)
	s, bad, q := failingStore(t, &now, 5)
	get := func() error {
		r, err := s.Get(q, 0, 32, 1<<20, Filter{})
		if err == nil {
			if len(r.Records) != 5 {
				t.Errorf("at +%d s: %v, next %d, %d records: sound ones are passed over", (now.Load()-1_700_000_000_000)/1000, r.Status, r.NextOffset, len(r.Records))
			}
			r.Release()
		}
		return err
	}
	for _, hiccup := range []bool{true, false, false, true, false, true} { // 0, 30, 60, 90, 120, 150 s
		bad.Store(hiccup)
		if err := get(); hiccup == (err == nil) || err != nil && !errors.Is(err, ErrUnreadable) {
			t.Errorf("%v: %v", hiccup, err)
		}
		now.Add(30_000)
	}
	bad.Store(false)
	closeStore(t, s)
}

// The longer a bad stretch of the log is, the quicker readers come over the rest.
func TestUnreadableStretch(t *testing.T) {
	var now atomic.Int64
	now.Store(1_700_000_000_000)
	m := vfs.NewMem()
	cfg := memConfig(m)
	cfg.CheckReads, cfg.NowMillis, cfg.CommitLogFileSize = CheckAll, now.Load, 8<<20
	s := open(t, cfg)
	q := s.Queue("T", 0)
	var b Batch
	for range 100 {
		b.Reset()
		if err := b.Add(q, rec("x", 100_000)); err != nil {
			t.Fatal(err)
		}
		if err := s.Append(&b); err != nil {
			t.Fatal(err)
		}
	}
	dispatched(t, s)
	m.Fail(func(op vfs.Op, name string) error {
		if op == vfs.OpRead && strings.HasSuffix(name, "/commitlog/00000000000000000000") {
			return syscall.EIO
		}
		return nil
	})
	from, began := int64(0), now.Load()
	for {
		r, err := s.Get(q, from, 32, 1<<20, Filter{})
		if err != nil {
			now.Add(3000)
			continue
		}
		from = r.NextOffset
		n := len(r.Records)
		r.Release()
		if n > 0 {
			break
		}
	}
	if held := (now.Load() - began) / 1000; held < 240 || held > 600 {
		t.Errorf("8 MiB of bad log hold a consumer for %d s, want four waits of 120 s", held)
	}
	m.Fail(nil)
	closeStore(t, s)
}

// What the medium does not give counts as damaged in the end, so that nobody waits
// for it for ever; what only this process can't have now never does.
func TestWhatCanNeverBeRead(t *testing.T) {
	for err, want := range map[error]bool{
		syscall.EIO: true, io.ErrUnexpectedEOF: true, fs.ErrNotExist: true, syscall.ENOENT: true,
		syscall.EMFILE: false, syscall.ENFILE: false, syscall.ENOMEM: false, syscall.EINTR: false, fs.ErrClosed: false,
	} {
		if unreadable(fmt.Errorf("reading: %w", err)) != want {
			t.Errorf("%v is permanent: %t", err, !want)
		}
	}
}

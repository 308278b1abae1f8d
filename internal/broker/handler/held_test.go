// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package handler

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/broker/longpoll"
	"github.com/twostage/twostage/internal/filter"
	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// looking notes what is asked of a store.
type looking struct {
	*store.Store
	asked string
}

func (l *looking) Get(q *store.Queue, from int64, count, bytes int, f store.Filter) (store.GetResult, error) {
	l.asked = fmt.Sprintf("%d from %d", count, from)
	return l.Store.Get(q, from, count, bytes, f)
}

type uncounted struct{}

func (uncounted) Out(string, string, int, int, time.Duration) {}
func (uncounted) Missed(time.Duration)                        {}
func (uncounted) Elapsed() time.Duration                      { return 0 }

// TestHeldPullLooksAtLittle: a pull that is let go does not look again at what its
// filter has turned down, and evaluates an expression for no message but the one
// that is known to match: it runs on a goroutine that other pulls wait for.
func TestHeldPullLooksAtLittle(t *testing.T) {
	st, err := store.Open(store.Config{Dir: "/data", FS: vfs.NewMem(), CommitLogFileSize: 1 << 20, ConsumeQueueFileSize: 2000, IndexSlots: 13, IndexEntries: 40})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = st.Close() }()
	var b store.Batch
	q := st.Queue("T", 0)
	for i := range 10 {
		rec := &message.Record{Body: []byte("x"), Properties: properties("n", fmt.Sprint(i), "TAGS", string(rune('A'+i/5)))}
		if err := b.Add(q, rec); err != nil {
			t.Fatal(err)
		}
	}
	if err := st.Append(&b); err != nil {
		t.Fatal(err)
	}
	if err := st.WaitDispatched(st.MaxPhysical()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		kind, expression string
		woken            longpoll.Woken
		asked            string
		code             int32
		records          int
		next             int64
	}{
		{"TAG", "*", longpoll.Woken{Arrived: true, Matched: true, From: 5}, "32 from 5", wire.Success, 5, 10},
		{"TAG", "B", longpoll.Woken{Arrived: true, Matched: true, From: 5}, "32 from 5", wire.Success, 5, 10},
		{"TAG", "B", longpoll.Woken{Arrived: true, From: 5}, "32 from 5", wire.Success, 5, 10},
		{"TAG", "C", longpoll.Woken{From: 10}, "32 from 10", wire.PullRetryImmediately, 0, 10},
		{"SQL92", "n > 6", longpoll.Woken{Arrived: true, Matched: true, From: 7}, "1 from 7", wire.Success, 1, 8},
		{"SQL92", "n > 6", longpoll.Woken{Arrived: true, From: 7}, "", wire.PullRetryImmediately, 0, 7},
		{"SQL92", "n > 6", longpoll.Woken{From: 7}, "", wire.PullRetryImmediately, 0, 7},
		{"SQL92", "n > 9", longpoll.Woken{From: 10}, "1 from 10", wire.PullRetryImmediately, 0, 10},
	} {
		log := &looking{Store: st}
		sel, err := NewFilters(true).Of("T", c.kind, c.expression)
		if err != nil {
			t.Fatal(err)
		}
		p := &Pull{Log: log, Resets: &lateReset{}, Stats: uncounted{}, Settings: limits(32, 1<<20)}
		pl := pulling{p: p, group: "g", topic: "T", queue: q, offset: 3, max: 32, sel: sel}
		res, resp, ok := pl.again(c.woken)
		if !ok || log.asked != c.asked || resp.Code != c.code || len(res.Records) != c.records {
			t.Errorf("%s let go with %+v asks for %q, want %q, and is answered %d with %d messages", c.expression, c.woken, log.asked, c.asked, resp.Code, len(res.Records))
		}
		if h := resp.Header.(*header.PullResponse); h.NextBeginOffset != c.next || h.MaxOffset != 10 {
			t.Errorf("%s let go with %+v: %+v", c.expression, c.woken, h)
		}
		if res.Release != nil {
			res.Release()
		}
	}
}

// TestCostOfASelection: what an expression may take for a message is known before
// it is evaluated; tags cost next to nothing where the code is another.
func TestCostOfASelection(t *testing.T) {
	f := NewFilters(true)
	of := func(kind, expression string) *Selection {
		t.Helper()
		s, err := f.Of("T", kind, expression)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	const most = message.MaxPropertiesLength
	code := int64(message.HashCode("A"))
	if other, same := of("TAG", "A").Cost(code+1, most), of("TAG", "A").Cost(code, most); other > 20 || same < most {
		t.Errorf("a tag costs %d where the code is another, %d where it is the same", other, same)
	}
	hostile := strings.Repeat("a CONTAINS 'xy' OR ", filter.MaxTerms/2-1) + "a = 1"
	plain, bad := of("SQL92", "region = 'eu' AND n > 5").Cost(0, 300), of("SQL92", hostile).Cost(0, most)
	if plain > 5000 || bad < 1000*plain {
		t.Errorf("a plain expression costs %d, one that reads a long property a thousand times %d", plain, bad)
	}
	if plain, bad := of("SQL92", "region = 'eu' AND n > 5").Store().Weight, of("SQL92", hostile).Store().Weight; plain != 1 || bad < 100 {
		t.Errorf("a plain expression has weight %d, one that reads a long property a thousand times %d", plain, bad)
	}
}

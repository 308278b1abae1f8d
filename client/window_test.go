// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"runtime"
	"testing"
	"weak"

	"pgregory.net/rapid"

	"github.com/twostage/twostage/message"
)

func messagesAt(from, n int64) (all []*message.Received) {
	for i := range n {
		all = append(all, &message.Received{QueueOffset: from + i, Size: 100})
	}
	return all
}

// What is committed never passes a message that is not finished, and comes to the
// end when all are, whatever order they are finished in.
func TestWindowCommitsNoGap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		next := rapid.Int64Range(0, 100).Draw(t, "begin")
		w := newWindow(next, 0)
		type place struct {
			b  *batch
			at int
		}
		var open []place
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 2).Draw(t, "step") {
			case 0: // messages that a filter leaves out make gaps
				skipped, n := rapid.Int64Range(0, 3).Draw(t, "skipped"), rapid.Int64Range(0, 5).Draw(t, "pulled")
				b := w.add(messagesAt(next+skipped, n), nil, next+skipped+n)
				next += skipped + n
				for i := range int(n) {
					open = append(open, place{b, i})
				}
			default:
				if len(open) == 0 {
					continue
				}
				i := rapid.IntRange(0, len(open)-1).Draw(t, "finished")
				if !open[i].b.finish(open[i].at) || open[i].b.finish(open[i].at) {
					t.Fatal("a message is finished once")
				}
				open = append(open[:i], open[i+1:]...)
			}
			want := next
			for _, p := range open {
				want = min(want, p.b.entries[p.at].offset)
			}
			if got := w.consumed(); got != want {
				t.Fatalf("consumed up to %d, want %d (%d open)", got, want, len(open))
			}
			if _, _, n, bytes := w.held(); n != len(open) || bytes != int64(100*len(open)) {
				t.Fatalf("%d messages of %d bytes are held, want %d", n, bytes, len(open))
			}
		}
	})
}

func TestWindowIsFull(t *testing.T) {
	w := newWindow(10, 0)
	b := w.add(messagesAt(10, 4), nil, 14)
	for _, tt := range []struct {
		name string
		l    limits
		want bool
	}{
		{"room for one more", limits{messages: 5, bytes: 401}, false},
		{"messages", limits{messages: 4, bytes: 401}, true},
		{"bytes", limits{messages: 5, bytes: 400}, true},
		{"span", limits{messages: 5, bytes: 401, span: 3}, true},
		{"span just so", limits{messages: 5, bytes: 401, span: 4}, false},
	} {
		if got := w.full(tt.l); got != tt.want {
			t.Errorf("%s: full %v", tt.name, got)
		}
	}
	b.finish(0)
	if w.full(limits{messages: 4, bytes: 400, span: 3}) {
		t.Error("full though the first message is finished")
	}
}

func TestBatchIsClaimedOnce(t *testing.T) {
	b := newWindow(0, 0).add(messagesAt(0, 5), nil, 5)
	var seen []int64
	for {
		_, got := b.claim(2)
		if got == nil {
			break
		}
		for _, m := range got {
			seen = append(seen, m.QueueOffset)
		}
	}
	if len(seen) != 5 || seen[4] != 4 || b.unclaimed() != 0 {
		t.Errorf("claimed %v, %d left", seen, b.unclaimed())
	}
}

// A shut window has nothing more to claim, and commits what was consumed until then.
func TestShutWindow(t *testing.T) {
	w := newWindow(100, 0)
	b := w.add(messagesAt(100, 4), nil, 104)
	at, _ := b.claim(1)
	b.claim(1)
	b.finish(at)
	w.shut()
	if _, more := b.claim(1); more != nil || w.add(messagesAt(104, 1), nil, 105) != nil {
		t.Error("a shut window gives messages out")
	}
	if got := w.running(); got != 1 {
		t.Errorf("%d messages run, want 1", got)
	}
	b.finish(1)
	if w.running() != 0 || w.consumed() != 102 || w.position() != 104 {
		t.Errorf("%d run, consumed %d, position %d", w.running(), w.consumed(), w.position())
	}
}

// Messages behind one that is not finished hold no memory when they are.
func TestFinishedMessagesAreLetGo(t *testing.T) {
	w := newWindow(0, 0)
	first := w.add(messagesAt(0, 1), nil, 1)
	first.claim(1)
	msgs, records := messagesAt(1, 2), make([]byte, 1<<10)
	m, r := weak.Make(msgs[0]), weak.Make(&records[0])
	b := w.add(msgs, records, 3)
	at, _ := b.claim(2)
	b.finish(at)
	b.finish(at + 1)
	runtime.GC()
	if m.Value() != nil || r.Value() != nil {
		t.Error("they are kept")
	}
	if got := w.consumed(); got != 0 {
		t.Errorf("consumed up to %d, want 0", got)
	}
	first.finish(0)
	if got := w.consumed(); got != 3 {
		t.Errorf("consumed up to %d, want 3", got)
	}
}

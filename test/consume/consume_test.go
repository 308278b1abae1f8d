// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package consume

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

var (
	duration = flag.Duration("duration", 8*time.Second, "how long messages are produced, under each way to consume; in rounds of at most a minute")
	seed     = flag.Uint64("seed", 0, "of the plan and the schedule; 0 draws one")
)

const (
	expiry   = 3 * time.Second // of a client that sends no heartbeat
	maxRound = time.Minute
)

func firstSeed() uint64 {
	if *seed != 0 {
		return *seed
	}
	return rand.Uint64N(1 << 32)
}

// TestPull consumes by pulls: one group message by message, one in order under
// locks.
func TestPull(t *testing.T) {
	t.Parallel()
	rounds(t, []group{plainGroup, keyedGroup})
}

var (
	plainGroup   = group{name: "pull", topic: "Plain", maxTimes: 2}
	poppedGroup  = group{name: "pop", topic: "Plain", pop: true, maxTimes: 2}
	inOrderGroup = group{name: "poporderly", topic: "Keyed", orderly: true, pop: true, maxTimes: 2}
	keyedGroup   = group{name: "orderly", topic: "Keyed", orderly: true, maxTimes: 2}
)

// TestPop consumes by pops: one group message by message, one in order.
func TestPop(t *testing.T) {
	t.Parallel()
	rounds(t, []group{poppedGroup, inOrderGroup})
}

// rounds runs worlds one after the other, as long as is asked for.
func rounds(t *testing.T, groups []group) {
	t.Helper()
	first := firstSeed()
	t.Logf("run again with -run %s -duration %v -seed %d", t.Name(), *duration, first)
	left := *duration
	for n := uint64(0); left > 0; n++ {
		long := min(left, maxRound)
		left -= long
		policy := []string{"ASYNC_FLUSH", "SYNC_FLUSH"}[n%2]
		t.Run(fmt.Sprintf("round%d", n), func(t *testing.T) {
			w := newWorld(t, options{seed: first + n, groups: groups, duration: long, kills: max(2, int(long/(8*time.Second))), policy: policy})
			v := w.round()
			for _, s := range v.told {
				t.Error(s)
			}
			for _, s := range w.faults {
				t.Error(s)
			}
			v.enough(t, groups)
			v.print(t)
		})
	}
}

// round plays a world to its end and judges it.
func (w *world) round() *verdict {
	w.t.Helper()
	stop := make(chan struct{})
	names := make(map[string]bool)
	for _, g := range w.cfg.groups {
		if names[g.topic] {
			continue
		}
		names[g.topic] = true
		keys, pace := 0, 8*time.Millisecond
		if g.orderly {
			keys = 8
		}
		if g.orderly && g.pop { // it waits for what lapses
			pace *= 2
		}
		for n := range 2 {
			w.producers.Go(func() { w.produce(fmt.Sprint(g.topic, n), g.topic, keys, pace, stop) })
		}
	}
	w.play()
	close(stop)
	w.producers.Wait()
	if err := w.drain(); err != nil && w.cfg.drain == 0 {
		w.t.Error(err)
	}
	for _, m := range w.members {
		m.part()
	}
	r, err := w.collect()
	if err != nil {
		w.t.Fatal(err)
	}
	w.members = nil
	return judge(r)
}

// print tells the totals.
func (v *verdict) print(t *testing.T) {
	t.Helper()
	var b strings.Builder
	for _, kind := range violations {
		fmt.Fprintf(&b, "\n  %s: %d", kind, v.found[kind])
	}
	t.Logf("%d messages acknowledged, %d times consumed, %d redelivered, %d given back, %d dead letters, %d tenures, %d pops, %d acknowledged%s",
		v.sent, v.consumed, v.redelivered, v.retries, v.deadLetters, v.tenures, v.pops, v.acks, b.String())
}

// enough holds that what a round is for did happen.
func (v *verdict) enough(t *testing.T, groups []group) {
	t.Helper()
	want := map[string]int{"redelivered": v.redelivered, "dead letters": v.deadLetters, "hundreds of messages": v.sent / 100}
	for _, g := range groups {
		if g.pop {
			want["pops"], want["acknowledged pops"] = v.pops, v.acks
		} else {
			want["given back"], want["tenures of each queue"] = v.retries, v.tenures/queues
		}
	}
	for what, n := range want {
		if n == 0 {
			t.Errorf("%s: 0, a round that shows nothing", what)
		}
	}
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package consume

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	duration = flag.Duration("duration", 8*time.Second, "how long messages are produced in each world; in rounds of at most a minute")
	seed     = flag.Uint64("seed", 0, "of the plan and the schedule; 0 draws one")
)

const (
	expiry   = 3 * time.Second // of a client that sends no heartbeat
	maxRound = time.Minute
	perKill  = 8 * time.Second // of a round: a kill of the broker, and two at least
)

func firstSeed() uint64 {
	if *seed != 0 {
		return *seed
	}
	return rand.Uint64N(1 << 32)
}

// setting is how the broker of a world is set up.
type setting struct {
	keys  []string // of its configuration
	later []string // added when it starts again after a kill
}

var (
	asyncFlush = setting{keys: []string{"flushDiskType=ASYNC_FLUSH"}}
	syncFlush  = setting{keys: []string{"flushDiskType=SYNC_FLUSH"}}
	// Retry topics of pop in the form of RocketMQ 5, from the beginning and from the
	// first kill on.
	syncFlushV2 = setting{keys: []string{"flushDiskType=SYNC_FLUSH", "enableRetryTopicV2=true"}}
	turnsV2     = setting{keys: []string{"flushDiskType=ASYNC_FLUSH"}, later: []string{"enableRetryTopicV2=true"}}
)

// TestConsume plays worlds side by side, each in rounds one after the other for as
// long as is asked for. Each has a group that consumes message by message and one
// that consumes in order.
func TestConsume(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		setting setting
		groups  []group
		retries []string // topics from which messages must come again
		rarely  string   // one from which they may
	}{
		{"pull", asyncFlush, []group{plainGroup, keyedGroup, listedGroup}, []string{"%RETRY%pull", "%RETRY%listed"}, ""},
		{"pull-sync", syncFlush, []group{plainGroup, keyedGroup, growingGroup}, []string{"%RETRY%pull", "%RETRY%growing"}, ""},
		{"pop", asyncFlush, []group{popGroup, popOrderlyGroup}, []string{"%RETRY%pop_Plain"}, ""},
		{"pop-sync-v2", syncFlushV2, []group{popGroup, popOrderlyGroup}, []string{"%RETRY%pop+Plain"}, ""},
		{"pop-turns-v2", turnsV2, []group{popGroup, popOrderlyGroup}, []string{"%RETRY%pop+Plain"}, "%RETRY%pop_Plain"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			next := firstSeed()
			for left := *duration; left > 0; left -= maxRound {
				long := min(left, maxRound)
				cfg := options{seed: next, groups: c.groups, setting: c.setting, duration: long, kills: max(2, int(long/perKill))}
				t.Logf("run again with -run '^TestConsume$/^%s$' -duration %v -seed %d", c.name, long, next)
				t.Run(fmt.Sprint("seed", next), func(t *testing.T) {
					w := newWorld(t, cfg)
					v := w.round()
					v.print(t)
					for _, s := range append(v.told, w.faults...) {
						t.Error(s)
					}
					v.enough(t, c.groups, c.retries, c.rarely)
				})
				next++
			}
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
			pace *= 3
		}
		for n := range 2 {
			w.producers.Go(func() { w.produce(fmt.Sprint(g.topic, n), g.topic, keys, pace, stop) })
		}
	}
	w.play()
	w.linger()
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
		if n := v.found[kind]; n > 0 {
			fmt.Fprintf(&b, "\n  %s: %d", kind, n)
		}
	}
	t.Logf("%d messages acknowledged, %d times consumed, %d redelivered, %d given back, %d dead letters, %d tenures, %d pops, %d acknowledged, in retry topics %v%s",
		v.sent, v.consumed, v.redelivered, v.retries, v.deadLetters, v.tenures, v.pops, v.acks, v.revived, b.String())
}

// enough holds that what a round is for did happen, and that messages came again
// from each of retries, or rarely, and from no other topic.
func (v *verdict) enough(t *testing.T, groups []group, retries []string, rarely string) {
	t.Helper()
	want := map[string]int{"redelivered": v.redelivered, "dead letters": v.deadLetters, "hundreds of messages": v.sent / 100}
	for _, g := range groups {
		if g.pop {
			want["pops"], want["acknowledged pops"] = v.pops, v.acks
		} else {
			want["given back"], want["tenures of each queue"] = v.retries, v.tenures/queues
		}
	}
	for _, topic := range retries {
		want[topic] = v.revived[topic]
	}
	for what, n := range want {
		if n == 0 {
			t.Errorf("%s: 0, a round that shows nothing", what)
		}
	}
	for topic, n := range v.revived {
		if topic != rarely && !slices.Contains(retries, topic) {
			t.Errorf("%s has %d messages, want those of %q only", topic, n, retries)
		}
	}
}

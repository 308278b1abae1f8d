// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package consume

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/test/rig"
)

// plan says what becomes of each message. It is a function of the seed.
type plan struct{ seed uint64 }

// draw gives a number below n that goes with the names.
func (p plan) draw(n uint64, names ...string) uint64 {
	h := fnv.New64a()
	_, _ = fmt.Fprint(h, p.seed)
	for _, s := range names {
		_, _ = fmt.Fprint(h, "/", s)
	}
	return rand.New(rand.NewPCG(h.Sum64(), p.seed)).Uint64N(n)
}

// fails says whether a group fails to consume a message after so many tries: few
// fail once or twice, fewer always.
func (p plan) fails(group, id string, times int32) bool {
	switch n := p.draw(100, group, id); {
	case n < 2:
		return true
	case n < 8:
		return times == 0
	case n < 10:
		return times < 2
	}
	return false
}

// toil is how long the work on a message takes: seldom very long.
func (p plan) toil(orderly bool) time.Duration {
	n := rand.IntN(1000)
	switch {
	case n < 2 && !orderly:
		return time.Second + rand.N(time.Second)
	case n < 5:
		return 100*time.Millisecond + rand.N(200*time.Millisecond)
	case n < 50 && !orderly:
		return rand.N(50 * time.Millisecond)
	}
	return rand.N(3 * time.Millisecond)
}

// produce sends messages to a topic until stop is closed: those of keys, each one
// after the one before it was acknowledged, or any.
func (w *world) produce(name, topic string, keys int, pace time.Duration, stop <-chan struct{}) {
	client := remoting.NewClient(remoting.ClientConfig{Language: wire.LanguageJava, Version: wire.Version})
	defer client.Close()
	caller := w.cfg.fault(name, client)
	serials := make([]int, max(keys, 1))
	rng := rand.New(rand.NewPCG(w.plan.draw(1<<62, name), 1))
	tick := time.NewTimer(0)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		tick.Reset(time.Duration(rng.Int64N(2 * int64(pace))))
		id, q := fmt.Sprint(name, "-", n), rng.Int32N(queues)
		if keys > 0 {
			k := rng.IntN(keys)
			key := fmt.Sprint(name, "-", k)
			id, q = keyed(key, serials[k]), int32(w.plan.draw(queues, key))
			serials[k]++
		}
		// A message of a key is sent until it is acknowledged, others half the time.
		for !w.send(caller, topic, q, id) && (keys > 0 || rng.IntN(2) == 0) {
			select {
			case <-w.ctx.Done():
				return
			case <-tick.C:
				tick.Reset(50 * time.Millisecond)
			}
		}
	}
}

func (w *world) send(c rpc.Caller, topic string, q int32, id string) bool {
	of := w.history.add(event{kind: sendAsked, q: queue{topic, q}, id: id})
	ctx, cancel := context.WithTimeout(w.ctx, callTimeout)
	defer cancel()
	sent, err := rpc.Send(ctx, c, w.addr(), rig.SendHeader(topic, q, id), []byte(id))
	if err != nil {
		return false
	}
	w.history.add(event{kind: sendDone, of: of, offset: sent.Header.QueueOffset})
	w.stored.Add(1)
	return true
}

// TestPlanReplays holds that the seed makes the plan, and that it has every fate.
func TestPlanReplays(t *testing.T) {
	for s := range uint64(20) {
		fates := make(map[int32]int) // by tries that fail
		for n := range 1000 {
			id := fmt.Sprint("m", n)
			tries := int32(0)
			for tries < 5 && (plan{s}).fails("g", id, tries) {
				tries++
			}
			if one, other := (plan{s}), (plan{s}); one.fails("g", id, tries) != other.fails("g", id, tries) {
				t.Fatalf("seed %d: %s changes", s, id)
			}
			fates[tries]++
		}
		if fates[0] < 800 || fates[1] == 0 || fates[2] == 0 || fates[5] == 0 || len(fates) != 4 {
			t.Errorf("seed %d: messages by tries that fail: %v", s, fates)
		}
	}
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told notices
		r := New(told.config())
		a, b := newConn(1), newConn(2)
		beat := func(id string, c *conn) {
			r.RegisterConsumer(client(id, c), "g", passive, subs("T", 1))
			r.RegisterProducer(client(id, c), "p")
		}
		beat("A", a)
		beat("B", b)
		told = nil
		for range 3 { // A goes silent, B beats every 30 s
			time.Sleep(30 * time.Second)
			beat("B", b)
			if silent := r.Expire(time.Now()); silent != nil {
				t.Fatalf("gone after %v", silent)
			}
		}
		time.Sleep(30 * time.Second) // A was silent for 120 s: not longer
		if silent := r.Expire(time.Now()); silent != nil {
			t.Fatalf("gone after 120 s: %v", silent)
		}
		if c, p := r.ConsumerIDs("g"), r.Producers("p"); len(c) != 2 || len(p) != 2 {
			t.Fatalf("after 120 s: consumers %v, producers %v", c, p)
		}
		time.Sleep(time.Nanosecond)
		if silent := r.Expire(time.Now()); len(silent) != 1 || silent[0] != Conn(a) {
			t.Fatalf("silent %v, want A's", silent)
		}
		told.expect(t, "g: [2]")
		if got := r.ConsumerIDs("g"); !slices.Equal(got, []string{"B"}) {
			t.Errorf("ids %v", got)
		}
		if got := r.Producers("p"); len(got) != 1 || got[0].ID != "B" {
			t.Errorf("producers %v", got)
		}
		beat("A", a) // it wakes up
		told.expect(t, "g: [2 1]")
		time.Sleep(time.Hour)
		if silent := r.Expire(time.Now()); len(silent) != 2 {
			t.Errorf("silent %v, want both", silent)
		}
		if p, c, conns := r.Len(); p+c+conns != 0 {
			t.Errorf("left %d, %d, %d", p, c, conns)
		}
	})
}

// A connection that is silent in one group and not in another stays.
func TestExpiryOfOneGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told notices
		cfg := told.config()
		cfg.Expiry = 10 * time.Second
		r := New(cfg)
		a := newConn(1)
		r.RegisterConsumer(client("A", a), "old", passive, nil)
		r.RegisterProducer(client("A", a), "oldp")
		time.Sleep(6 * time.Second)
		r.RegisterConsumer(client("A", a), "new", passive, nil)
		told = nil
		time.Sleep(6 * time.Second)
		if silent := r.Expire(time.Now()); silent != nil {
			t.Errorf("silent %v", silent)
		}
		told.expect(t, "old: []")
		if got := r.ConsumerGroups(); !slices.Equal(got, []string{"new"}) || r.Producers("oldp") != nil {
			t.Errorf("groups %v, producers %v", got, r.Producers("oldp"))
		}
	})
}

// Everything at once, with OnChange calling back: no race, no deadlock, and at
// the end nothing is left of the connections that went.
func TestConcurrentUse(t *testing.T) {
	var r *Registry
	r = New(Config{OnChange: func(group string, conns []Conn) {
		r.ConsumerIDs(group)
		r.Consumers(group)
	}})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(i), 1))
			for round := range 50 {
				c := newConn(uint64(i*1000 + round))
				id := fmt.Sprint("C", i)
				for range 5 {
					group := fmt.Sprint("g", rng.IntN(3))
					r.RegisterConsumer(client(id, c), group, passive, subs("T", rng.IntN(9), fmt.Sprint("U", rng.IntN(3)), 1))
					r.RegisterProducer(client(id, c), group)
					if sub, _, _ := r.Subscription(group, "T"); sub != nil && sub.Topic != "T" {
						t.Errorf("subscription to %s", sub.Topic)
					}
					r.PickProducer(group, nil)
					r.Subscribers("T")
					if rng.IntN(3) == 0 {
						r.Unregister(c, id, group, group)
					}
				}
				r.Expire(time.Now())
				close(c.closed)
				r.ConnClosed(c)
				r.RegisterProducer(client(id, c), "late")
			}
		})
	}
	wg.Wait()
	if p, c, conns := r.Len(); p+c+conns != 0 {
		t.Errorf("left: %d producer groups, %d consumer groups, %d connections", p, c, conns)
	}
}

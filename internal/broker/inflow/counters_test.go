// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package inflow

import (
	"maps"
	"sync"
	"testing"
)

func TestCountsByTopicKindAndSize(t *testing.T) {
	c := New()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 100 {
				var a Tally
				a.Add(2, 1024)
				a.Add(1, 1025)
				c.Add("T", Normal, &a)
				var b Tally
				b.Add(1, 5<<20)
				c.Add("T", Delay, &b)
				c.DeadLetter("g", "T")
			}
		})
	}
	wg.Wait()
	type key struct {
		topic string
		kind  string
	}
	got := map[key]Tally{}
	c.Range(func(topic string, k Kind, t *Tally) { got[key{topic, k.String()}] = *t })
	want := map[key]Tally{
		{"T", "normal"}: {Messages: 1200, Bytes: 400 * 3073, Sizes: [7]int64{800, 400}},
		{"T", "delay"}:  {Messages: 400, Bytes: 400 * 5 << 20, Sizes: [7]int64{6: 400}},
	}
	if !maps.Equal(got, want) {
		t.Errorf("counted %v, want %v", got, want)
	}
	if d := c.Dead(); len(d) != 1 || d[Dead{"g", "T"}] != 400 {
		t.Errorf("dead letters %v", d)
	}
}

func TestWhatIsGoneIsDropped(t *testing.T) {
	c := New()
	var one Tally
	one.Add(1, 10)
	c.Add("stays", FIFO, &one)
	c.Add("goes", FIFO, &one)
	for _, d := range []Dead{{"g", "stays"}, {"g", "goes"}, {"gone", "stays"}} {
		c.DeadLetter(d.Group, d.Topic)
	}
	c.Keep(func(topic string) bool { return topic == "stays" }, func(group string) bool { return group == "g" })
	c.Range(func(topic string, k Kind, got *Tally) {
		if topic != "stays" || k != FIFO || *got != one {
			t.Errorf("left: %s %s %v", topic, k, *got)
		}
	})
	if d := c.Dead(); len(d) != 1 || d[Dead{"g", "stays"}] != 1 {
		t.Errorf("dead letters left: %v", d)
	}
}

func TestCountingAllocatesNothing(t *testing.T) {
	c := New()
	var one Tally
	one.Add(1, 10)
	c.Add("T", Normal, &one)
	if n := testing.AllocsPerRun(100, func() { c.Add("T", Normal, &one) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkAdd(b *testing.B) {
	c := New()
	for _, name := range []string{"a", "b", "orders"} {
		var one Tally
		one.Add(1, 10)
		c.Add(name, Normal, &one)
	}
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			var t Tally
			t.Add(1, 300)
			c.Add("orders", Normal, &t)
		}
	})
}

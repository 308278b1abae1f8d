// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/twostage/twostage/internal/store/segment"
	"github.com/twostage/twostage/internal/vfs"
)

// lives is how many histories TestRandomLives runs.
const lives = 300

// sentRecord is a record that Append has taken.
type sentRecord struct {
	name string
	at   Appended
	safe bool
}

// Appends, flushes, deletions of every kind, kills, power cuts, stops and rebuilds in
// random order, against a list of what must be there.
func TestRandomLives(t *testing.T) {
	for seed := range lives {
		if !t.Run(fmt.Sprint(seed), func(t *testing.T) { randomLife(t, seed) }) {
			return
		}
	}
}

func randomLife(t *testing.T, seed int) {
	r := testRand(seed)
	c := newScene(t, func(cfg *Config) {
		if r.IntN(2) == 0 {
			cfg.SyncAllFrom = 1
		}
		cfg.SyncFlush = r.IntN(3) == 0
	})
	live := map[string][]sentRecord{} // topic -> records, in order, queue 0
	topics := []string{"A", "B", "C", "D"}
	hist := []string{}
	say := func(f string, a ...any) { hist = append(hist, fmt.Sprintf(f, a...)) }
	defer func() {
		if t.Failed() {
			for _, h := range hist {
				t.Log(h)
			}
		}
	}()
	k := 0
	safe := func() {
		for _, l := range live {
			for i := range l {
				l[i].safe = true
			}
		}
	}
	check := func(where string) {
		s := c.s
		dispatched(t, s)
		min, end := s.MinPhysical(), s.MaxPhysical()
		for _, topic := range topics {
			q := s.Queue(topic, 0)
			var want []string
			first, kept := q.Max(), []sentRecord{}
			byOff := map[int64]string{}
			for off := q.Min(); off < q.Max(); {
				g, err := s.Get(q, off, 32, 1<<20, Filter{})
				if err != nil {
					t.Fatal(where, err)
				}
				for _, b := range g.Records {
					name, rr := nameOf(t, b)
					if _, dup := byOff[rr.QueueOffset]; dup {
						t.Fatalf("%s: %s offset %d twice", where, topic, rr.QueueOffset)
					}
					byOff[rr.QueueOffset] = name
				}
				off = g.NextOffset
				g.Release()
			}
			nextWant := int64(0)
			for _, z := range live[topic] {
				got, ok := byOff[z.at.QueueOffset]
				if z.at.PhysicalOffset < min {
					if ok && got == z.name {
						t.Fatalf("%s: %s %s is below the log but seen", where, topic, z.name)
					}
					nextWant = z.at.QueueOffset + 1
					continue
				}
				if z.safe && (!ok || got != z.name) {
					t.Fatalf("%s: %s: safe record %s at %d (phys %d) is %q; log %d-%d queue %d-%d", where, topic, z.name, z.at.QueueOffset, z.at.PhysicalOffset, got, min, end, q.Min(), q.Max())
				}
				if !ok || got != z.name {
					continue // lost with the machine
				}
				if len(kept) == 0 {
					first = z.at.QueueOffset
				}
				kept = append(kept, z)
				want = append(want, z.name)
				nextWant = z.at.QueueOffset + 1
				delete(byOff, z.at.QueueOffset)
			}
			if len(byOff) > 0 {
				t.Fatalf("%s: %s holds strangers %v", where, topic, byOff)
			}
			if q.Max() < nextWant {
				t.Fatalf("%s: %s goes on at %d, want %d", where, topic, q.Max(), nextWant)
			}
			if len(kept) > 0 && q.Min() > first {
				t.Fatalf("%s: %s min %d, want %d", where, topic, q.Min(), first)
			}
			live[topic] = slices.DeleteFunc(live[topic], func(z sentRecord) bool {
				return z.at.PhysicalOffset >= min && !slices.Contains(want, z.name)
			})
		}
	}
	for step := range 60 {
		switch op := r.IntN(20); {
		case op < 9:
			for range 1 + r.IntN(6) {
				topic := topics[r.IntN(4)]
				name := fmt.Sprintf("%s%d", topic, k)
				k++
				var b Batch
				if err := b.Add(c.s.Queue(topic, 0), rec(name, 50+r.IntN(500))); err != nil {
					t.Fatal(err)
				}
				if err := c.s.Append(&b); err != nil {
					t.Fatal(hist, err)
				}
				live[topic] = append(live[topic], sentRecord{name: name, at: b.Result(0)})
				say("%d append %s at %d/%d", step, name, b.Result(0).QueueOffset, b.Result(0).PhysicalOffset)
				c.now.Add(hour / 4)
			}
		case op < 11:
			say("%d flush", step)
			if err := c.s.Flush(c.s.MaxPhysical()); err != nil {
				t.Fatal(err)
			}
			safe()
		case op < 13:
			say("%d views", step)
			if err := c.s.flushViews(); err != nil {
				t.Fatal(err)
			}
		case op < 15:
			if r.IntN(2) == 0 {
				c.setUsed(0.86)
			} else {
				c.setUsed(0.5)
			}
			c.s.cfg.Retention.Batch = 1 + r.IntN(3)
			d := c.retain(true)
			if d.Files > 0 {
				safe()
			}
			say("%d retain %+v", step, d)
		case op < 16:
			topic := topics[r.IntN(4)]
			say("%d delete %s", step, topic)
			if err := c.s.DeleteTopic(topic); err != nil {
				t.Fatal(err)
			}
			delete(live, topic)
		case op < 17:
			say("%d kill", step)
			m := c.m.Kill()
			c.s.Close()
			for range r.IntN(2) {
				say("rebuild")
				c.cfg.FS = m
				if _, err := Rebuild(context.Background(), c.cfg, nil); err != nil {
					t.Fatal(err)
				}
			}
			c.open(m)
			check(fmt.Sprintf("step %d kill", step))
		case op < 18:
			say("%d crash", step)
			m := c.m.Crash(vfs.CrashOptions{Data: vfs.Keep(r.IntN(3)), Names: vfs.Keep(r.IntN(3)), Rand: r})
			c.s.Close()
			if r.IntN(3) == 0 {
				say("rebuild")
				c.cfg.FS = m
				if _, err := Rebuild(context.Background(), c.cfg, nil); err != nil {
					t.Fatal(err)
				}
			}
			c.open(m)
			check(fmt.Sprintf("step %d crash", step))
			safe()
		case op < 19:
			say("%d close", step)
			c.close()
			safe()
			if r.IntN(2) == 0 {
				if r.IntN(4) == 0 {
					loseTail(t, c, r.IntN, live)
					say("the log's tail is lost")
				}
				say("rebuild")
				if _, err := Rebuild(context.Background(), c.cfg, nil); err != nil {
					t.Fatal(err)
				}
			}
			c.open(c.m)
			check(fmt.Sprintf("step %d close", step))
		default:
			check(fmt.Sprintf("step %d", step))
		}
	}
	c.close()
}

// loseTail zeroes the last log file from one of its records on.
func loseTail(t *testing.T, c *scene, choose func(int) int, live map[string][]sentRecord) {
	starts := c.s.log.Starts()
	if len(starts) == 0 {
		return
	}
	last := starts[len(starts)-1]
	var all []int64
	for _, l := range live {
		for _, z := range l {
			if z.at.PhysicalOffset >= last {
				all = append(all, z.at.PhysicalOffset)
			}
		}
	}
	if len(all) == 0 {
		return
	}
	slices.Sort(all)
	from := all[choose(len(all))]
	f, err := c.m.OpenFile(segment.Join("/data/store/commitlog", last), os.O_RDWR)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(make([]byte, 4096-(from-last)), from-last); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	for topic := range live {
		live[topic] = slices.DeleteFunc(live[topic], func(z sentRecord) bool { return z.at.PhysicalOffset >= from })
	}
}

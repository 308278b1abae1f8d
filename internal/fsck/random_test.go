// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package fsck

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/store/retention"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/message"
)

// A store that was used, stopped, killed and cut off from its power at random, by its
// own code alone, is never said to be damaged, and has no findings after a stop.
func TestRandomHistories(t *testing.T) {
	for seed := range 150 {
		rng := rand.New(rand.NewPCG(uint64(seed), 77))
		m := vfs.NewMem()
		var now atomic.Int64
		now.Store(1_700_000_000_000)
		var trace []string
		say := func(f string, a ...any) { trace = append(trace, fmt.Sprintf(f, a...)) }
		crc := rng.IntN(3) == 0
		conf := func() store.Config {
			c := config(m)
			c.NowMillis = func() int64 { return now.Add(int64(seed % 3 * 350)) }
			c.PropertyCRC = crc
			c.RetentionInterval = time.Hour
			c.Retention = &retention.Policy{Reserved: time.Hour, MaxUsed: 75, CleanForcibly: 85, Warning: 90, Forcibly: true, Batch: 10}
			c.DiskUsed = func() (float64, error) { return 0.1, nil }
			return c
		}
		s := must(store.Open(conf()))(t)
		for range 12 {
			switch k := rng.IntN(10); {
			case k < 4:
				for range rng.IntN(40) {
					var props []string
					if rng.IntN(3) > 0 {
						props = append(props, "UNIQ_KEY", fmt.Sprintf("U%d", rng.IntN(20)))
					}
					if rng.IntN(2) > 0 {
						props = append(props, "KEYS", fmt.Sprintf("a a b%d U%d", rng.IntN(3), rng.IntN(20)))
					}
					r := record(string(make([]byte, rng.IntN(300)+1)), props...)
					if rng.IntN(10) == 0 {
						r.SysFlag = r.SysFlag.WithTransaction(message.TransactionPrepared)
					}
					put(t, s, fmt.Sprintf("T%d", rng.IntN(3)), int32(rng.IntN(2)), r)
				}
				say("put")
			case k == 4:
				now.Add(int64(rng.IntN(40)) * 60_000)
				say("time")
			case k == 5:
				d := must(s.Retain(true))(t)
				say("retain %+v", d)
			case k == 6:
				topic := fmt.Sprintf("T%d", rng.IntN(3))
				if err := s.DeleteTopic(topic); err != nil {
					t.Fatal(seed, err)
				}
				say("delete %s", topic)
			case k == 7:
				if err := s.Flush(s.MaxPhysical()); err != nil {
					t.Fatal(err)
				}
				say("flush")
			case k == 8:
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				say("close")
				if r := verify(t, m); len(r.Findings) > 0 {
					t.Fatalf("seed %d crc %v %v: %v", seed, crc, trace, r.Findings)
				}
				if rng.IntN(3) == 0 {
					say("rebuild")
					c := conf()
					if _, err := Rebuild(t.Context(), c); err != nil {
						t.Fatal(err)
					}
					if r := verify(t, m); len(r.Findings) > 0 {
						t.Fatalf("seed %d crc %v %v: %v", seed, crc, trace, r.Findings)
					}
				}
				s = must(store.Open(conf()))(t)
			case k == 9:
				end, left := "kill", m.Kill
				if rng.IntN(2) == 0 {
					end, left = "power cut", func() *vfs.Mem { return m.Crash(vfs.CrashOptions{}) }
				}
				next := left()
				_ = s.Close()
				m = next
				say("%s", end)
				if r := verify(t, m); r.Damage > 0 {
					t.Errorf("seed %d crc %v %v: %v", seed, crc, trace, r.Findings)
				}
				s = must(store.Open(conf()))(t)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if r := verify(t, m); len(r.Findings) > 0 {
			t.Errorf("END seed %d crc %v %v: %v", seed, crc, trace, r.Findings)
		}
	}
}

// What a killed process had written, or only named, and not synced, is durable once
// the next one has stopped in order.
func TestKillsThenPowerCut(t *testing.T) {
	for seed := range 200 {
		rng := rand.New(rand.NewPCG(uint64(seed), 7))
		m := vfs.NewMem()
		var now atomic.Int64
		now.Store(1_700_000_000_000)
		conf := func() store.Config {
			c := config(m)
			c.NowMillis = func() int64 { return now.Add(700) }
			return c
		}
		s := must(store.Open(conf()))(t)
		puts := func() {
			for range rng.IntN(60) {
				put(t, s, fmt.Sprintf("T%d", rng.IntN(3)), int32(rng.IntN(2)), record(string(make([]byte, rng.IntN(300)+1)), "UNIQ_KEY", "U"))
			}
		}
		for range 1 + rng.IntN(3) {
			puts()
			next := m.Kill()
			_ = s.Close()
			m = next
			s = must(store.Open(conf()))(t)
		}
		puts()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		m = m.Crash(vfs.CrashOptions{})
		if r := verify(t, m); len(r.Findings) > 0 {
			t.Fatalf("seed %d: %v", seed, r.Findings)
		}
	}
}

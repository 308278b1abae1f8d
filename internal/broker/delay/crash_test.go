// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package delay

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/message"
)

// scene sends messages, many of them equal in every byte, and lets time pass. It
// goes on when the file system has died.
func (r *rig) scene() {
	for round := range 4 {
		_ = r.send("A", 0, sent("1", "same"), sent("1", "same"), sent("2", "same"), sent("1", fmt.Sprint("one-", round)))
		_ = r.send("B", 1, sent("1", "same"), sent("2", fmt.Sprint("two-", round)))
		_ = r.send("A", 0, sent("2", "same"), sent("3", "pending"))
		after(1700 * time.Millisecond)
	}
	after(2600 * time.Millisecond)
}

// checkOnce compares what stands in the target queues with what waited: for each
// level and target the same bodies in the same order, the deliveries of levels 1
// and 2 once each and those of level 3 not at all. With again more may have been
// delivered: twice, or what has been lost from the level since.
func (r *rig) checkOnce(what string, again bool) (delivered int) {
	r.t.Helper()
	for _, target := range []struct {
		topic string
		queue int32
	}{{"A", 0}, {"B", 1}} {
		got := map[string][]string{}
		for _, rec := range r.records(target.topic, target.queue) {
			level, _ := rec.Property(message.PropertyDelay)
			got[string(level)] = append(got[string(level)], string(rec.Body))
			delivered++
		}
		for level := 1; level <= 3; level++ {
			var want []string
			for _, rec := range r.records(message.TopicSchedule, int32(level-1)) {
				if real, _ := rec.Property(message.PropertyRealTopic); level < 3 && string(real) == target.topic {
					want = append(want, string(rec.Body))
				}
			}
			have := got[strconv.Itoa(level)]
			if again && within(want, have) {
				continue
			}
			if !slices.Equal(have, want) {
				r.t.Errorf("%s: level %d has delivered to %s\n%q, want\n%q", what, level, target.topic, have, want)
			}
		}
	}
	return delivered
}

// within tells whether list has all of part, in that order.
func within(part, list []string) bool {
	for _, s := range list {
		if len(part) > 0 && part[0] == s {
			part = part[1:]
		}
	}
	return len(part) == 0
}

// TestEndAtEveryPoint ends a run at each operation that changes the file system,
// and again a second one, and looks at what has been delivered when all is due.
// Nothing is missing and nothing is there twice, whether the process dies or the
// machine does: what the log has lost of the deliveries is made again. When it has
// lost one and kept a later one ("torn"), the later is made again too.
func TestEndAtEveryPoint(t *testing.T) {
	endings := map[string]func(m *vfs.Mem, rng *rand.Rand) *vfs.Mem{
		"kill":  func(m *vfs.Mem, _ *rand.Rand) *vfs.Mem { return m.Kill() },
		"power": func(m *vfs.Mem, _ *rand.Rand) *vfs.Mem { return m.Crash(vfs.CrashOptions{}) },
		"torn": func(m *vfs.Mem, rng *rand.Rand) *vfs.Mem {
			return m.Crash(vfs.CrashOptions{Data: vfs.KeepSome, Names: vfs.KeepSome, Rand: rng})
		},
	}
	step := 1
	if testing.Short() || raceEnabled {
		step = 7
	}
	for name, end := range endings {
		t.Run(name, func(t *testing.T) {
			most, points := 0, 0
			for point := 1; ; point += step {
				ended := false
				synctest.Test(t, func(t *testing.T) {
					rng := rand.New(rand.NewPCG(uint64(point), 1))
					m := vfs.NewMem()
					for _, at := range []int{point, 1 + rng.IntN(120)} {
						left := runUntil(t, m, at, func() *vfs.Mem { return end(m, rng) })
						if left == nil {
							return
						}
						m, ended = left, true
					}
					r := start(t, m)
					after(15 * time.Second)
					most = max(most, r.checkOnce(fmt.Sprintf("ended at operation %d", point), name == "torn"))
					r.close()
				})
				if !ended || t.Failed() {
					break
				}
				points++
			}
			if !t.Failed() && (most < 20 || points*step < 40) {
				t.Errorf("%d points, at most %d messages delivered: the test shows nothing", points, most)
			}
		})
	}
}

// runUntil runs the scene on m and ends it at the nth change of the file system,
// or when the scene is over. It returns what is left; nil when n was not reached.
func runUntil(t *testing.T, m *vfs.Mem, n int, end func() *vfs.Mem) (left *vfs.Mem) {
	var mu sync.Mutex
	ops := 0
	m.Fail(func(op vfs.Op, _ string) error {
		mu.Lock()
		defer mu.Unlock()
		if op.Changes() && left == nil {
			if ops++; ops == n {
				left = end()
			}
		}
		return nil
	})
	r, err := tryStart(t, m)
	if err == nil {
		r.scene()
		r.stop()
	}
	return left
}

// TestKilledAtOnce: deliveries of which nothing at all was noted are found.
func TestKilledAtOnce(t *testing.T) {
	for _, file := range []string{"as it is", "gone", "RocketMQ's"} {
		t.Run(file, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := vfs.NewMem()
				r := start(t, m, func(_ *store.Config, c *Config) { c.FlushInterval = time.Hour })
				for i := range 300 {
					r.mustSend("A", 0, sent("1", fmt.Sprint(i), message.PropertyUniqueKey, fmt.Sprint("key", i)))
					after(7 * time.Millisecond)
				}
				before := r.svc.Delivered()
				m = m.Kill()
				switch file {
				case "gone":
					_ = m.Remove(offsetPath)
					_ = m.Remove(offsetPath + ".bak")
				case "RocketMQ's":
					if err := vfs.ReplaceFile(m, offsetPath, []byte("{\n\t\"offsetTable\":{1:5\n\t}\n}")); err != nil {
						t.Fatal(err)
					}
				}
				r.stop()
				r = start(t, m)
				if st := r.svc.States()[0]; st.Next != before || before < 100 {
					t.Errorf("goes on at %d, %d had been delivered", st.Next, before)
				}
				after(time.Minute)
				if got := len(r.records("A", 0)); got != 300 {
					t.Errorf("%d messages for 300", got)
				}
			})
		})
	}
}

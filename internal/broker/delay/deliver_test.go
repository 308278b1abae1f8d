// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package delay

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/skew"
	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/message"
)

// after lets the bubble's clock run for d, and everything be done that is due.
func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestDeliveredInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, vfs.NewMem())
		r.mustSend("A", 3, sent("1", "a1"))
		r.mustSend("A", 3, sent("2", "a2"))
		after(999 * time.Millisecond)
		r.want("A", 3, "")
		after(time.Millisecond)
		r.want("A", 3, "a1")
		after(3999 * time.Millisecond)
		r.want("A", 3, "a1")
		after(time.Millisecond)
		r.want("A", 3, "a1 a2")
		after(24 * time.Hour) // an idle level is woken
		r.mustSend("%RETRY%G", 0, sent("1", "r1"))
		after(time.Second)
		r.want("%RETRY%G", 0, "r1")
		r.close()
		if r.topics["A"] != 2 || r.topics["%RETRY%G"] != 1 || r.svc.Delivered() != 3 || r.svc.Skipped() != 0 {
			t.Errorf("delivered %v, %d, skipped %d", r.topics, r.svc.Delivered(), r.svc.Skipped())
		}
	})
}

// TestNotTold: entries that Arrived was not told of are found all the same.
func TestNotTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, vfs.NewMem())
		r.mustSend("A", 0, sent("1", "a"))
		synctest.Wait()
		r.deaf.Store(true)
		r.mustSend("A", 0, sent("1", "b"))
		synctest.Wait()
		r.deaf.Store(false)
		after(4 * time.Second) // FlushInterval is 2
		r.want("A", 0, "a b")
		r.mustSend("A", 0, sent("1", "c"))
		after(time.Second)
		r.want("A", 0, "a b c")
	})
}

func TestWhatIsDelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, vfs.NewMem())
		in := sent("1", "body", message.PropertyWait, "true", message.PropertyRealTopic, "Old")
		in.SysFlag, in.ReconsumeTimes, in.PreparedOffset = message.TransactionCommit|message.FlagCompressed, 4, 17
		r.mustSend("A", 1, in)
		after(time.Second)
		waiting, got := r.records(message.TopicSchedule, 0)[0], r.records("A", 1)[0]
		if string(got.Properties) != string(waiting.Properties) || string(got.Properties) != "DELAY\x011\x02TAGS\x01T\x02WAIT\x01true\x02REAL_TOPIC\x01A\x02REAL_QID\x011" {
			t.Errorf("properties %q, waiting %q", got.Properties, waiting.Properties)
		}
		if got.SysFlag != in.SysFlag || got.ReconsumeTimes != 4 || got.PreparedOffset != 0 || got.Flag != 3 || got.BornTimestamp != 7 ||
			got.BornHost != testHost || got.StoreHost != testHost {
			t.Errorf("delivered %+v", got)
		}
		if e, err := r.st.Entries(nil, r.st.LookupQueue("A", 1), 0, 1); err != nil || e[0].TagsCode != message.TagsCode("T") {
			t.Errorf("entry %+v, %v", e, err)
		}
	})
}

func TestOrderAndBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, vfs.NewMem(), func(c *store.Config, _ *Config) { c.CommitLogFileSize = 16 << 10 })
		var want [2][]string
		for i := range 5 * maxBatchRecords {
			name := fmt.Sprintf("m%d", i)
			want[i%2] = append(want[i%2], name)
			r.mustSend("A", int32(i%2), sent("1", name))
			if i%100 == 0 {
				after(10 * time.Millisecond)
			}
		}
		after(time.Second)
		for q := range want {
			r.want("A", int32(q), strings.Join(want[q], " "))
		}
	})
}

// TestWallClock: whatever is done to the wall clock, a delay is a delay.
func TestWallClock(t *testing.T) {
	for _, jumps := range [][2]time.Duration{
		{time.Hour, 0}, {-time.Hour, 0}, {time.Hour, -2 * time.Hour}, {-time.Hour, 3 * time.Hour}, {-400 * time.Millisecond, 200 * time.Millisecond},
	} {
		t.Run(fmt.Sprint(jumps), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := start(t, vfs.NewMem())
				begin := time.Now()
				due := map[string]time.Duration{}
				put := func(name string) {
					due[name] = time.Since(begin) + 5*time.Second
					r.mustSend("A", 0, sent("2", name))
					synctest.Wait()
				}
				put("a")
				after(300 * time.Millisecond)
				put("b")
				r.jump.Add(jumps[0].Milliseconds())
				put("c")
				after(700 * time.Millisecond)
				put("d")
				after(700 * time.Millisecond)
				r.jump.Add(jumps[1].Milliseconds())
				after(700 * time.Millisecond)
				put("e")
				seen := 0
				for time.Since(begin) < 20*time.Second {
					after(time.Millisecond)
					for _, rec := range r.records("A", 0)[seen:] {
						late := time.Since(begin) - due[string(rec.Body)]
						if late < -skew.Rounding*time.Millisecond || late > skew.Rounding*time.Millisecond {
							t.Errorf("%s comes %s late", rec.Body, late)
						}
						seen++
					}
				}
				if seen != 5 {
					t.Errorf("%d delivered", seen)
				}
			})
		})
	}
}

// TestShortenedLevel: what waits from an earlier run with a longer delay waits
// one delay from now at most.
func TestShortenedLevel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := vfs.NewMem()
		r := start(t, m)
		r.mustSend("A", 0, sent("3", "a"), sent("3", "b"))
		r.close()
		r = start(t, m, func(_ *store.Config, c *Config) { c.Levels = Levels{time.Second, 5 * time.Second, time.Minute} })
		after(time.Minute - time.Millisecond)
		r.want("A", 0, "")
		after(time.Millisecond)
		r.want("A", 0, "a b")
	})
}

// TestLevelTakenAway: what waits in a level that is gone is kept until it is back.
func TestLevelTakenAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := vfs.NewMem()
		r := start(t, m)
		r.mustSend("A", 0, sent("2", "a"))
		after(5 * time.Second)
		r.mustSend("A", 0, sent("2", "b"))
		r.close()
		r = start(t, m, func(_ *store.Config, c *Config) { c.Levels = Levels{time.Second} })
		r.mustSend("A", 0, sent("2", "cut"))
		after(time.Hour)
		r.want("A", 0, "a cut")
		r.close()
		r = start(t, m)
		after(5 * time.Second)
		r.want("A", 0, "a cut b")
	})
}

func TestSkipped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := vfs.NewMem()
		r := start(t, m)
		// Straight into the queue, as Rewrite makes none of these.
		put := func(name string, props ...string) store.Appended {
			rec := sent("1", name, props...)
			var b store.Batch
			if err := errors.Join(b.Add(r.st.Queue(message.TopicSchedule, 0), rec), r.st.Append(&b)); err != nil {
				t.Fatal(err)
			}
			return b.Result(0)
		}
		r.mustSend("A", 0, sent("1", "first"))
		put("no target")
		put("no queue", message.PropertyRealTopic, "A")
		put("bad queue", message.PropertyRealTopic, "A", message.PropertyRealQueueID, "-1")
		put("bad topic", message.PropertyRealTopic, "../A", message.PropertyRealQueueID, "0")
		put("half", message.PropertyRealTopic, message.TopicHalf, message.PropertyRealQueueID, "0")
		put("loop", message.PropertyRealTopic, message.TopicSchedule, message.PropertyRealQueueID, "0")
		at := put("damaged", message.PropertyRealTopic, "A", message.PropertyRealQueueID, "0")
		gone := put("gone", message.PropertyRealTopic, "A", message.PropertyRealQueueID, "0")
		r.mustSend("A", 0, sent("1", "last"))
		f, err := m.OpenFile("/data/commitlog/00000000000000000000", 2)
		if err != nil {
			t.Fatal(err)
		}
		_, err1 := f.WriteAt([]byte{'X'}, at.PhysicalOffset+88) // in the body
		_, err2 := f.WriteAt(make([]byte, 8), gone.PhysicalOffset)
		if err := errors.Join(err1, err2, f.Close()); err != nil {
			t.Fatal(err)
		}
		after(time.Second)
		r.want("A", 0, "first last")
		if r.svc.Skipped() != 8 || r.svc.Delivered() != 2 {
			t.Errorf("skipped %d, delivered %d", r.svc.Skipped(), r.svc.Delivered())
		}
		if st := r.svc.States()[0]; st != (LevelState{1, time.Second, 10, 10}) {
			t.Errorf("state %+v", st)
		}
	})
}

// TestDeletedTopic: as in RocketMQ the message is stored under the old name.
func TestDeletedTopic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var exists atomic.Bool
		exists.Store(true)
		var log bytes.Buffer
		r := start(t, vfs.NewMem(), func(_ *store.Config, c *Config) {
			c.TopicExists = func(string) bool { return exists.Load() }
			c.Logger = slog.New(slog.NewTextHandler(&log, nil))
		})
		r.mustSend("A", 0, sent("1", "a"))
		after(time.Second)
		r.mustSend("A", 0, sent("1", "b"))
		synctest.Wait()
		exists.Store(false)
		if err := r.st.DeleteTopic("A"); err != nil {
			t.Fatal(err)
		}
		after(time.Second)
		r.want("A", 0, "b")
		if !strings.Contains(log.String(), "topic=A") {
			t.Errorf("log: %s", &log)
		}
	})
}

// TestUnreadable: a record that cannot be read holds its level up, for a while.
func TestUnreadable(t *testing.T) {
	for _, lasting := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			m := vfs.NewMem()
			r := start(t, m)
			r.mustSend("A", 0, sent("1", "a"), sent("1", "b"))
			r.mustSend("A", 0, sent("2", "c"))
			synctest.Wait()
			var broken atomic.Bool
			broken.Store(true)
			m.Fail(func(op vfs.Op, name string) error {
				if broken.Load() && op == vfs.OpRead && strings.Contains(name, "/commitlog/") {
					return syscall.EIO
				}
				return nil
			})
			after(time.Minute)
			if next := r.svc.States()[0].Next; next != 0 || r.svc.Skipped() != 0 || r.svc.Delivered() != 0 {
				t.Fatalf("next %d, skipped %d, delivered %d", next, r.svc.Skipped(), r.svc.Delivered())
			}
			want, skipped := "a b c", int64(0)
			if lasting {
				after(time.Hour)
				want, skipped = "", 3
			}
			broken.Store(false)
			after(time.Minute)
			r.want("A", 0, want)
			if r.svc.Skipped() != skipped {
				t.Errorf("%d skipped", r.svc.Skipped())
			}
		})
	}
}

// TestNoSpace: delivery waits until the log takes records again.
func TestNoSpace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := vfs.NewMem()
		var full atomic.Bool
		r := start(t, m, func(c *store.Config, _ *Config) { c.CommitLogFileSize = 4096 })
		for i := range 60 {
			r.mustSend("A", 0, sent("1", fmt.Sprint(i)))
		}
		synctest.Wait()
		m.Fail(func(op vfs.Op, _ string) error {
			if full.Load() && op == vfs.OpPreallocate {
				return syscall.ENOSPC
			}
			return nil
		})
		full.Store(true)
		after(time.Minute)
		some := len(r.records("A", 0))
		if some == 60 || some == 0 {
			t.Fatalf("%d delivered with no space", some)
		}
		full.Store(false)
		after(longestRetry * time.Millisecond)
		var want []string
		for i := range 60 {
			want = append(want, fmt.Sprint(i))
		}
		r.want("A", 0, strings.Join(want, " "))
	})
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, vfs.NewMem())
		for range 2 {
			if err := r.svc.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.svc.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, err := Open(Config{Log: r.st, FS: r.fs, Path: offsetPath})
		if err == nil || !strings.Contains(err.Error(), "messageDelayLevel") {
			t.Errorf("Open without levels: %v", err)
		}
	})
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/message"
)

// Close leaves messages that a broker does not answer for to who has the queue next: it
// waits for one try at most.
func TestCloseLeavesWhatIsNotTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		b, g := w.groupBroker("a", 10001)
		w.topic("T", 1, b)
		b.number("T", 0, 200)
		g.before = mute(wire.ReqConsumerSendMsgBack)
		c := newPush(t, w)
		var n atomic.Int32
		startPush(t, c, "T", func(context.Context, *message.Received) error { n.Add(1); return errors.New("no") })
		begun := time.Now()
		eventually(t, "all", func() bool { return n.Load() == 200 })
		if took := time.Since(begun); took > 2*standardTimeout {
			t.Errorf("the workers took %v for 200 messages that the broker is silent about", took)
		}
		time.Sleep(4 * time.Second)
		begun = time.Now()
		closePush(t, c)
		if took := time.Since(begun); took > standardTimeout+time.Second {
			t.Errorf("Close took %v", took)
		}
		if got := g.offset("g", "T", 0); got != 0 {
			t.Errorf("offset %d, want that of the first message", got)
		}
	})
}

// A broker that does not answer holds up what others take back by no more than one try.
func TestSilentBrokerHoldsUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, silent := w.groupBroker("a", 10001)
		b, busy := w.groupBroker("b", 10002)
		w.topic("T", 1, a, b)
		a.number("T", 0, 100)
		b.number("T", 0, 10)
		silent.before = mute(wire.ReqConsumerSendMsgBack)
		busy.before = refuse(wire.ReqConsumerSendMsgBack, wire.SystemBusy)
		c := newPush(t, w)
		startPush(t, c, "T", func(context.Context, *message.Received) error { return errors.New("no") })
		time.Sleep(standardTimeout)
		busy.mu.Lock()
		busy.before = nil
		busy.mu.Unlock()
		time.Sleep(standardTimeout + 2*retryPeriod)
		if n := len(busy.given()); n != 10 {
			t.Errorf("%d of 10 messages were given back to the broker that answers", n)
		}
		closePush(t, c)
	})
}

// A message that its broker refuses to take back is handled again by the consumer, as it
// was, until the handler takes it; the queue goes on then.
func TestRefusedForGoodIsHandledAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		b, g := w.groupBroker("a", 10001)
		w.topic("T", 1, b)
		b.number("T", 0, 5000)
		g.before = refuse(wire.ReqConsumerSendMsgBack, wire.SystemError)
		c := newPush(t, w)
		var n atomic.Int32
		var times []string
		startPush(t, c, "T", func(_ context.Context, m *message.Received) error {
			if m.QueueOffset != 0 {
				n.Add(1)
				return nil
			}
			times = append(times, fmt.Sprint(string(m.Body), " ", m.ReconsumeTimes))
			again := m.ReconsumeTimes < 3
			*m = message.Received{}
			if again {
				return errors.New("no")
			}
			return nil
		})
		eventually(t, "all", func() bool { return n.Load() == 4999 })
		closePush(t, c)
		if want := []string{"0 0", "0 1", "0 2", "0 3"}; !slices.Equal(times, want) {
			t.Errorf("body and times %q, want %q", times, want)
		}
		if got := g.offset("g", "T", 0); got != 5000 {
			t.Errorf("offset %d", got)
		}
	})
}

// Close waits for no message that is to be handled again.
func TestCloseLeavesWhatIsToBeHandledAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		b, g := w.groupBroker("a", 10001)
		w.topic("T", 1, b)
		b.number("T", 0, 3)
		g.before = refuse(wire.ReqConsumerSendMsgBack, wire.SystemError)
		c := newPush(t, w)
		var n atomic.Int32
		startPush(t, c, "T", func(context.Context, *message.Received) error { n.Add(1); return errors.New("no") })
		eventually(t, "all", func() bool { return n.Load() == 3 })
		c.Pause()
		time.Sleep(time.Minute)
		if n.Load() != 3 {
			t.Errorf("%d handled while paused", n.Load()-3)
		}
		begun := time.Now()
		closePush(t, c)
		if took := time.Since(begun); took > time.Second || n.Load() != 3 {
			t.Errorf("Close took %v, %d handled in all", took, n.Load())
		}
	})
}

// Whatever a handler makes of its message, the consumer goes by what it was.
func TestMessageIsTheHandlersOwn(t *testing.T) {
	wipe := func(m *message.Received) {
		clear(m.Body)
		clear(m.Properties)
		*m = message.Received{QueueOffset: -1, Size: 1 << 30}
	}
	for name, opts := range map[string][]Option{"side by side": nil, "in order": {WithOrderly(), WithMaxAttempts(2)}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				b, g := w.groupBroker("a", 10001)
				w.topic("T", 1, b)
				b.min = 50
				for i := range 4 {
					b.put(0, &message.Record{Topic: []byte("T"), Body: []byte{'0' + byte(i)}, Properties: message.Properties{"UNIQ_KEY": fmt.Sprint("id", i)}.Append(nil)})
				}
				c := newPush(t, w, append(opts, WithConcurrency(1))...)
				var seen []string
				if err := c.SubscribeBatch("T", All, 2, func(_ context.Context, ms []*message.Received) error {
					first := ms[0].QueueOffset == 50
					for i, m := range ms {
						seen = append(seen, fmt.Sprint(string(m.Body), " ", m.ID(), " ", m.ReconsumeTimes))
						wipe(m)
						ms[i] = nil
					}
					_ = append(ms, nil)
					if first {
						return errors.New("no")
					}
					time.Sleep(3 * commitPeriod)
					return nil
				}); err != nil {
					t.Fatal(err)
				}
				if err := c.Start(t.Context()); err != nil {
					t.Fatal(err)
				}
				time.Sleep(2 * commitPeriod)
				if got := g.offset("g", "T", 0); got != 52 {
					t.Errorf("offset %d while the second batch is handled", got)
				}
				closePush(t, c)
				want := []string{"0 id0 0", "1 id1 0", "2 id2 0", "3 id3 0"}
				if opts != nil {
					want = slices.Insert(want, 2, "0 id0 1", "1 id1 1")
				}
				if !slices.Equal(seen, want) {
					t.Errorf("seen %q, want %q", seen, want)
				}
				back := g.given()
				if len(back) != 2 {
					t.Fatalf("%d given back", len(back))
				}
				for i, h := range back {
					if h.Offset != int64(1050+i) || h.OriginMsgID != fmt.Sprint("id", i) || h.OriginTopic != "T" {
						t.Errorf("given back %+v", h)
					}
				}
				if got := g.offset("g", "T", 0); got != 54 {
					t.Errorf("offset %d", got)
				}
			})
		})
	}
}

// A handler that runs on after its timeout still has its message for itself.
func TestMessageIsTheHandlersOwnAfterItsTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		b, g := w.groupBroker("a", 10001)
		w.topic("T", 1, b)
		b.number("T", 0, 1)
		c := newPush(t, w, WithHandlerTimeout(time.Second))
		startPush(t, c, "T", func(_ context.Context, m *message.Received) error {
			for i := range 400 {
				if err := m.SetProperty("k", fmt.Sprint(i)); err != nil {
					t.Error(err)
				}
				time.Sleep(10 * time.Millisecond)
			}
			return nil
		})
		eventually(t, "given back", func() bool { return len(g.given()) > 0 })
		closePush(t, c)
	})
}

// A handler that ends its goroutine, as t.FailNow does, has failed; others go on, and
// nothing waits for it.
func TestHandlerEndsItsGoroutine(t *testing.T) {
	for name, opts := range map[string][]Option{"side by side": nil, "in order": {WithOrderly(), WithMaxAttempts(3)}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				b, g := w.groupBroker("a", 10001)
				w.topic("T", 1, b)
				b.number("T", 0, 3)
				c := newPush(t, w, append(opts, WithConcurrency(1))...)
				var others took
				startPush(t, c, "T", func(ctx context.Context, m *message.Received) error {
					if string(m.Body) == "1" {
						runtime.Goexit()
					}
					return others.handler(ctx, m)
				})
				eventually(t, "the others", func() bool { return len(others.list()) == 2 })
				begun := time.Now()
				closePush(t, c)
				if took := time.Since(begun); took > time.Second {
					t.Errorf("Close took %v", took)
				}
				if back := g.given(); len(back) != 1 || back[0].Offset != 1001 {
					t.Errorf("given back: %+v", back)
				}
				if got := g.offset("g", "T", 0); got != 3 {
					t.Errorf("offset %d", got)
				}
			})
		})
	}
}

// While Close prepares, workers wait rather than look again and again for what they may
// not take.
func TestWorkersWaitWhileClosing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newPush(t, newWorld(t))
		a := &assigned{window: newWindow(0, 0)}
		c.work.put(job{a.window.add(messagesAt(0, 3), nil, 3), a})
		c.leave()
		got := make(chan bool, 1)
		go func() {
			_, _, ok := c.work.next()
			got <- ok
		}()
		synctest.Wait()
		if len(got) > 0 {
			t.Error("a worker has something to do")
		}
		c.work.close()
		if <-got {
			t.Error("a worker has something to do when all is over")
		}
	})
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// otherNames is the address of a name server that tests answer for.
const otherNames = "127.0.0.1:9999"

// names answers requests for routes as this world does, until amiss returns true
// for one.
func (w *world) names(amiss func(r *remoting.Request) bool) (stop func()) {
	return w.serve(otherNames, func(r *remoting.Request) {
		if amiss(r) {
			return
		}
		var h header.RouteRequest
		if err := h.DecodeExt(r.Ext); err != nil {
			w.t.Error(err)
		}
		w.mu.Lock()
		data, ok := w.routes[h.Topic]
		w.mu.Unlock()
		if !ok {
			r.Reply(&wire.Response{Code: wire.TopicNotExist})
			return
		}
		r.Reply(&wire.Response{Body: body.MarshalStandard(data)})
	})
}

// A known route does for as long as name servers hang or are gone: sends neither
// wait for them nor fail, and the log does not fill up.
func TestRouteOfSilentNameServers(t *testing.T) {
	for _, how := range []string{"hang", "stop"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				a := w.broker("a", 10001, nil)
				w.topic("T", 1, a)
				var hang atomic.Bool
				var asked atomic.Int32
				stop := w.names(func(*remoting.Request) bool { asked.Add(1); return hang.Load() })
				var log bytes.Buffer
				p := newTestProducer(t, w, WithNameServers(otherNames), WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
				if err := send(t.Context(), p, "T"); err != nil {
					t.Fatal(err)
				}
				if hang.Store(true); how == "stop" {
					stop()
				}
				before := asked.Load()
				for range 300 {
					time.Sleep(time.Second)
					begin := time.Now()
					ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
					err := errors.Join(send(t.Context(), p, "T"), send(ctx, p, "T"))
					cancel()
					if took := time.Since(begin); err != nil || took > 0 {
						t.Fatalf("after %v: %v", took, err)
					}
				}
				if n := asked.Load() - before; n > 80 {
					t.Errorf("%d look-ups in 300 s", n)
				}
				synctest.Wait() // the log is written by others
				if n := strings.Count(log.String(), "\n"); n == 0 || n > 20 {
					t.Errorf("%d lines in the log of 300 s:\n%s", n, log.String())
				}
				if err := send(t.Context(), p, "U"); !errors.Is(err, ErrNameServer) {
					t.Errorf("of a route that is not known: %v", err)
				}
				_ = p.Close()
			})
		})
	}
}

// The broker of a route that is known fails too: an attempt waits for a newer route,
// but not for long.
func TestRetryWhileNameServersHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, b := w.broker("a", 10001, refuse(wire.ReqSendMessageV2, wire.NoPermission)), w.broker("b", 10002, nil)
		w.topic("T", 1, a, b)
		var hang atomic.Bool
		w.names(func(*remoting.Request) bool { return hang.Load() })
		p := newTestProducer(t, w, WithNameServers(otherNames), WithLatencyFault(false))
		if err := send(t.Context(), p, "T"); err != nil {
			t.Fatal(err)
		}
		hang.Store(true)
		time.Sleep(time.Second) // the route is of before the next attempts
		for range 10 {
			begin := time.Now()
			if err := send(t.Context(), p, "T"); err != nil || time.Since(begin) > newerWait {
				t.Errorf("after %v: %v", time.Since(begin), err)
			}
		}
	})
}

// A name server that has lost what it knew, or is not ready, takes no route away.
func TestRouteOfAForgetfulNameServer(t *testing.T) {
	for name, amiss := range map[string]int32{"forgot": wire.TopicNotExist, "not ready": wire.SystemError, "busy": wire.SystemBusy} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				a := w.broker("a", 10001, nil)
				w.topic("T", 1, a)
				w.topic(message.TopicAutoCreate, 1, w.broker("b", 10002, nil))
				var restarted atomic.Bool
				w.names(func(r *remoting.Request) bool {
					var h header.RouteRequest
					if err := h.DecodeExt(r.Ext); err != nil || h.Topic != "T" || !restarted.Load() {
						return false
					}
					r.Reply(&wire.Response{Code: amiss})
					return true
				})
				p := newTestProducer(t, w, WithNameServers(otherNames))
				for i := range 5 {
					if res, err := p.Send(t.Context(), message.New("T", []byte("x"))); err != nil || res.Queue.Broker != "a" {
						t.Errorf("%d: %+v, %v", i, res, err)
					}
					restarted.Store(true)
					time.Sleep(routeAge)
				}
			})
		})
	}
}

// What a name server says of itself is not the answer while there is another one.
func TestNameServerThatIsNotReady(t *testing.T) {
	w := newWorld(t)
	w.topic("T", 1, w.broker("a", 10001, nil))
	w.names(func(r *remoting.Request) bool {
		r.Reply(&wire.Response{Code: wire.SystemError, Remark: "not ready"})
		return true
	})
	if err := send(t.Context(), newTestProducer(t, w, WithNameServers(otherNames, nameServer)), "T"); err != nil {
		t.Error(err)
	}
	err := send(t.Context(), newTestProducer(t, w, WithNameServers(otherNames)), "T")
	if answer, ok := errors.AsType[*AnswerError](err); !ok || answer.Code != wire.SystemError || answer.Addr != otherNames || errors.Is(err, ErrNameServer) || !Retriable(err) {
		t.Errorf("of the only one: %v", err)
	}
}

// Many calls that need the route of one topic share look-ups.
func TestOneLookUpForMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, b := w.broker("a", 10001, refuse(wire.ReqSendMessageV2, wire.NoPermission)), w.broker("b", 10002, nil)
		w.topic("T", 1, a, b)
		w.topic("U", 1, b)
		p := newTestProducer(t, w)
		n := 0
		all := func(topic string) (lookUps int) {
			var wg sync.WaitGroup
			for range 500 {
				wg.Go(func() {
					if err := send(t.Context(), p, topic); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			synctest.Wait()
			n, lookUps = w.asked(), w.asked()-n
			return lookUps
		}
		if n := all("U"); n != 1 {
			t.Errorf("%d look-ups of a topic that was not known", n)
		}
		time.Sleep(routeAge)
		if n := all("U"); n < 1 || n > 2 { // the heartbeats' besides, or first
			t.Errorf("%d look-ups of an old route", n)
		}
		if n := all("T"); n > 50 {
			t.Errorf("%d look-ups where half of the sends fail once", n)
		}
	})
}

// Topics that are sent to in turn each have all of their queues used.
func TestEveryTopicHasItsOwnTurn(t *testing.T) {
	w := newWorld(t)
	a := w.broker("a", 10001, nil)
	w.topic("T", 4, a)
	w.topic("U", 4, a)
	p := newTestProducer(t, w)
	got := map[string]int{}
	for range 20 {
		for _, topic := range []string{"T", "U"} {
			res, err := p.Send(t.Context(), message.New(topic, []byte("x")))
			if err != nil {
				t.Fatal(err)
			}
			got[res.Queue.String()]++
		}
	}
	for q, n := range got {
		if n != 5 || len(got) != 8 {
			t.Errorf("%d of 20 messages in %s, of %d queues", n, q, len(got))
		}
	}
}

// The error of a look-up that was given up names the topic, the servers and the cause.
func TestLookUpGivenUp(t *testing.T) {
	w := newWorld(t)
	hung := make(chan struct{}, 9)
	w.names(func(*remoting.Request) bool { hung <- struct{}{}; return true })
	p := newTestProducer(t, w, WithNameServers(otherNames))
	cause := errors.New("had enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() { <-hung; cancel(cause) }()
	err := send(ctx, p, "T")
	for _, part := range []string{`"T"`, otherNames, cause.Error()} {
		if !strings.Contains(fmt.Sprint(err), part) || !errors.Is(err, context.Canceled) || !errors.Is(err, cause) {
			t.Errorf("no %s: %v", part, err)
		}
	}
}

// A producer forgets topics that it does not send to any more, and tells their
// brokers no more of itself; one of transactions may be asked about each.
func TestUnusedRoutesAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, b := w.broker("a", 10001, nil), w.broker("b", 10002, nil)
		w.topic("T", 1, a)
		for i := range 50 {
			w.topic(fmt.Sprint("U", i), 1, b)
		}
		plain, tx := newTestProducer(t, w), newTestTransactions(t, w, func(context.Context, *message.Received) Outcome { return Unknown })
		for _, p := range []*Producer{plain, tx.Producer} {
			for i := range 50 {
				if err := send(t.Context(), p, fmt.Sprint("U", i)); err != nil {
					t.Fatal(err)
				}
			}
		}
		for range 20 {
			time.Sleep(forgetAge / 10)
			if err := send(t.Context(), plain, "T"); err != nil {
				t.Fatal(err)
			}
		}
		if n, m := len(*plain.link.routes.topics.Load()), plain.link.masters(); n != 1 || len(m) != 1 || m[0] != a.addr {
			t.Errorf("%d routes, heartbeats to %v", n, m)
		}
		if n := len(*tx.link.routes.topics.Load()); n != 50 {
			t.Errorf("a producer of transactions knows %d topics of 50", n)
		}
		if err := send(t.Context(), plain, "U7"); err != nil {
			t.Error(err)
		}
	})
}

// Brokers take clients of one id for one, and containers share addresses and process
// ids.
func TestClientIDsOfTwinContainers(t *testing.T) {
	w := newWorld(t)
	p := newTestProducer(t, w)
	_, instance, _ := strings.Cut(p.ClientID(), "@")
	pid, rest, ok := strings.Cut(instance, "#")
	if !ok || pid == "" || len(rest) < 8 || newTestProducer(t, w).ClientID() == p.ClientID() {
		t.Errorf("client id %s: nothing but address, process id and a count", p.ClientID())
	}
}

func send(ctx context.Context, p *Producer, topic string) error {
	_, err := p.Send(ctx, message.New(topic, []byte("x")))
	return err
}

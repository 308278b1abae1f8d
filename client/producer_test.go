// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

func newTestProducer(t *testing.T, w *world, opts ...Option) *Producer {
	t.Helper()
	p, err := NewProducer("g", w.with(opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	closing(t, p)
	return p
}

func TestSendSpreadsOverQueues(t *testing.T) {
	w := newWorld(t)
	a, b := w.broker("a", 10001, nil), w.broker("b", 10002, nil)
	w.topic("T", 2, a, b)
	p := newTestProducer(t, w)
	m := message.New("T", []byte("hello"))
	m.SetTags("A")
	m.Flag = 7
	seen := map[Queue]int{}
	ids := map[string]bool{}
	for range 8 {
		sent, err := p.Send(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		seen[sent.Queue]++
		ids[sent.MessageID] = true
		if host, _, err := message.ParseOffsetID(sent.OffsetID); err != nil || host.String() != sent.BrokerAddr || sent.Status != Stored {
			t.Errorf("%+v: %v", sent, err)
		}
	}
	if len(seen) != 4 || len(ids) != 8 {
		t.Fatalf("queues %v, %d ids", seen, len(ids))
	}
	for q, n := range seen {
		if n != 2 {
			t.Errorf("%d messages in %v", n, q)
		}
	}
	if len(m.Properties) != 1 {
		t.Errorf("the message was changed: %v", m.Properties)
	}
	stored := a.records(t, 0)[0]
	if string(stored.Body) != "hello" || stored.Tags() != "A" || stored.Flag != 7 || !ids[stored.UniqueKey()] || stored.Topic != "T" {
		t.Errorf("stored %+v", stored)
	}
	var h header.SendRequest
	if err := h.DecodeV2(a.got(wire.ReqSendMessageV2)[0].Ext); err != nil || string(h.ProducerGroup) != "g" || string(h.DefaultTopic) != "TBW102" ||
		h.DefaultTopicQueueNums != 4 || string(h.BrokerName) != "a" || h.Batch {
		t.Errorf("header %+v, %v", h, err)
	}
}

func TestSendGoesElsewhere(t *testing.T) {
	w := newWorld(t)
	a, b := w.broker("a", 10001, refuse(wire.ReqSendMessageV2, wire.SystemBusy)), w.broker("b", 10002, nil)
	w.topic("T", 4, a, b)
	p := newTestProducer(t, w)
	for range 6 {
		sent, err := p.Send(t.Context(), message.New("T", []byte("x")))
		if err != nil || sent.Queue.Broker != "b" {
			t.Fatalf("%+v, %v", sent, err)
		}
	}
	if n := len(a.got(wire.ReqSendMessageV2)); n == 0 || n > 6 {
		t.Errorf("%d sends to the busy broker", n)
	}
	b.stop()
	if _, err := p.Send(t.Context(), message.New("T", []byte("x"))); err == nil || !strings.Contains(err.Error(), "on purpose") {
		t.Errorf("with one broker down and one busy: %v", err)
	}
}

func TestSendGivesUp(t *testing.T) {
	w := newWorld(t)
	a := w.broker("a", 10001, refuse(wire.ReqSendMessageV2, wire.MessageIllegal))
	w.topic("T", 1, a)
	_, err := newTestProducer(t, w).Send(t.Context(), message.New("T", []byte("x")))
	var answer *AnswerError
	if !errors.As(err, &answer) || answer.Code != wire.MessageIllegal || answer.Remark != "on purpose" || answer.Addr != a.addr {
		t.Errorf("%v", err)
	}
	if n := len(a.got(wire.ReqSendMessageV2)); n != 1 {
		t.Errorf("an illegal message was sent %d times", n)
	}

	b := w.broker("b", 10002, refuse(wire.ReqSendMessageV2, wire.SystemError))
	w.topic("U", 1, b)
	p := newTestProducer(t, w, WithAttempts(4))
	if _, err = p.Send(t.Context(), message.New("U", []byte("x"))); !errors.As(err, &answer) || answer.Code != wire.SystemError {
		t.Errorf("%v", err)
	}
	if n := len(b.got(wire.ReqSendMessageV2)); n != 4 {
		t.Errorf("%d tries of 4", n)
	}
}

func TestSendTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, b := w.broker("a", 10001, mute(wire.ReqSendMessageV2)), w.broker("b", 10002, nil)
		w.topic("T", 1, a)
		p := newTestProducer(t, w, WithTimeout(2*time.Second), WithLatencyFault(false))
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		begin := time.Now()
		if _, err := p.Send(ctx, message.New("T", []byte("x"))); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != 5*time.Second {
			t.Errorf("after %v: %v", time.Since(begin), err)
		}
		if n := len(a.got(wire.ReqSendMessageV2)); n != 3 {
			t.Errorf("%d tries in 5 s of 2 s each", n)
		}
		w.topic("U", 1, a, b)
		for range 2 {
			begin = time.Now()
			sent, err := p.Send(t.Context(), message.New("U", []byte("x")))
			if d := time.Since(begin); err != nil || sent.Queue.Broker != "b" || d != 0 && d != 2*time.Second {
				t.Errorf("after %v: %+v, %v", d, sent, err)
			}
		}
		if n := len(a.got(wire.ReqSendMessageV2)); n != 4 && n != 5 { // which queue comes first is chance
			t.Errorf("%d sends to the mute broker", n)
		}
		b.stop()
		a.stop()
	})
}

func TestSendToTopicThatIsNotThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p := newTestProducer(t, w)
		m := message.New("New", []byte("x"))
		if _, err := p.Send(t.Context(), m); !errors.Is(err, ErrNoRoute) || !strings.Contains(err.Error(), "New") {
			t.Fatalf("%v", err)
		}
		a := w.broker("a", 10001, nil)
		w.topic(message.TopicAutoCreate, 8, a)
		ids := map[int32]bool{}
		for range 8 {
			sent, err := p.Send(t.Context(), m)
			if err != nil || sent.Queue.Topic != "New" {
				t.Fatalf("%+v, %v", sent, err)
			}
			ids[sent.Queue.ID] = true
		}
		if len(ids) != standInQueues {
			t.Errorf("%d queues, want those that the topic gets: %d", len(ids), standInQueues)
		}
		b := w.broker("b", 10002, nil)
		w.topic("New", 1, b) // as it came out
		time.Sleep(standInAge)
		if _, err := p.Send(t.Context(), m); err != nil { // has it looked up
			t.Error(err)
		}
		synctest.Wait()
		if sent, err := p.Send(t.Context(), m); err != nil || sent.Queue.Broker != "b" {
			t.Errorf("%+v, %v", sent, err)
		}
	})
}

func TestNameServers(t *testing.T) {
	w := newWorld(t)
	w.topic("T", 1, w.broker("a", 10001, nil))
	p := newTestProducer(t, w, WithNameServers("127.0.0.1:1", nameServer))
	if _, err := p.Send(t.Context(), message.New("T", []byte("x"))); err != nil {
		t.Error(err)
	}
	p = newTestProducer(t, w, WithNameServers("127.0.0.1:1", "127.0.0.1:2"))
	_, err := p.Send(t.Context(), message.New("T", []byte("x")))
	if !errors.Is(err, ErrNameServer) || !strings.Contains(err.Error(), "127.0.0.1:2") {
		t.Errorf("%v", err)
	}
}

func TestSendTo(t *testing.T) {
	w := newWorld(t)
	a := w.broker("a", 10001, nil)
	w.topic("T", 4, a)
	p := newTestProducer(t, w)
	m := message.New("T", []byte("x"))
	for i := range int64(3) {
		sent, err := p.SendTo(t.Context(), Queue{"T", "a", 2}, m)
		if err != nil || sent.Queue.ID != 2 || sent.QueueOffset != i {
			t.Errorf("%+v, %v", sent, err)
		}
	}
	if _, err := p.SendTo(t.Context(), Queue{"T", "b", 2}, m); !errors.Is(err, ErrNotWritable) {
		t.Errorf("to a broker that is not there: %v", err)
	}
	if _, err := p.SendTo(t.Context(), Queue{"U", "a", 2}, m); err == nil {
		t.Error("a message of topic T went to a queue of U")
	}
}

func TestHeartbeatsAndFarewell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a := w.broker("a", 10001, nil)
		w.topic("T", 1, a)
		p, err := NewProducer("g", w.with()...)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Send(t.Context(), message.New("T", []byte("x"))); err != nil {
			t.Fatal(err)
		}
		time.Sleep(heartbeatPeriod - 1)
		synctest.Wait()
		if n := len(a.got(wire.ReqHeartBeat)); n != 0 {
			t.Errorf("%d heartbeats too early", n)
		}
		for i := range 5 { // longer than a connection may be idle
			time.Sleep(heartbeatPeriod)
			synctest.Wait()
			if n := len(a.got(wire.ReqHeartBeat)); n != i+1 {
				t.Errorf("%d heartbeats after %d periods", n, i+1)
			}
		}
		a.stop() // and a while later it is back, and hears of the producer at once
		time.Sleep(5 * reunionPeriod)
		a.start()
		time.Sleep(reunionPeriod)
		synctest.Wait()
		beats := a.got(wire.ReqHeartBeat)
		var h body.HeartbeatData
		if err := body.Unmarshal(beats[len(beats)-1].Body, &h); err != nil || len(beats) != 6 || h.ClientID != p.ClientID() ||
			len(h.ProducerDataSet) != 1 || h.ProducerDataSet[0].GroupName != "g" || len(h.ConsumerDataSet) != 0 {
			t.Errorf("%d heartbeats, the last one %+v, %v", len(beats), h, err)
		}
		for range 2 {
			if err := p.Close(); err != nil {
				t.Error(err)
			}
		}
		gone := a.got(wire.ReqUnregisterClient)
		var u header.UnregisterClientRequest
		if len(gone) != 1 || u.DecodeExt(gone[0].Ext) != nil || u.ClientID != p.ClientID() || u.ProducerGroup != "g" {
			t.Errorf("unregistered %d times: %+v", len(gone), u)
		}
		if _, err := p.Send(t.Context(), message.New("T", []byte("x"))); !errors.Is(err, ErrClosed) {
			t.Errorf("send after Close: %v", err)
		}
		a.stop()
	})
}

func TestRouteIsRefreshedAndKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, b := w.broker("a", 10001, nil), w.broker("b", 10002, nil)
		w.topic("T", 1, a)
		p := newTestProducer(t, w)
		send := func() string {
			sent, err := p.Send(t.Context(), message.New("T", []byte("x")))
			if err != nil {
				t.Fatal(err)
			}
			return sent.Queue.Broker
		}
		send()
		w.topic("T", 1, b)
		if got := send(); got != "a" {
			t.Errorf("sent to %s with a fresh route", got)
		}
		time.Sleep(routeAge)
		send() // has it looked up
		synctest.Wait()
		if got := send(); got != "b" {
			t.Errorf("sent to %s with an old route", got)
		}
		if n := w.asked(); n < 2 || n > 3 { // the heartbeats may have asked in the same moment
			t.Errorf("%d look-ups", n)
		}
		w.stopNames()
		time.Sleep(routeAge)
		if got := send(); got != "b" {
			t.Errorf("sent to %s without a name server", got)
		}
	})
}

func TestBadOptions(t *testing.T) {
	t.Setenv("NAMESRV_ADDR", "")
	good := WithNameServers(nameServer)
	for name, c := range map[string]struct {
		group string
		opts  []Option
		want  string
	}{
		"no name server":   {"g", nil, "WithNameServers"},
		"no port":          {"g", []Option{WithNameServers("host")}, `"host"`},
		"no group":         {"", []Option{good}, "group"},
		"bad group":        {"a b", []Option{good}, "group"},
		"attempts":         {"g", []Option{good, WithAttempts(-1)}, "attempts"},
		"negative timeout": {"g", []Option{good, WithTimeout(-1)}, "timeout"},
		"instance":         {"g", []Option{good, WithInstance("a@b")}, "instance"},
		"another's option": {"g", []Option{good, WithSuspend(1)}, "WithSuspend means nothing to a producer"},
	} {
		if _, err := NewProducer(c.group, c.opts...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := NewTransactionProducer("g", nil, good); err == nil {
		t.Error("no error without a checker")
	}
	if _, err := NewPuller(good, WithSuspend(-1)); err == nil {
		t.Error("no error for a negative suspend")
	}
	if p, err := NewPuller(good, Option{}); err != nil {
		t.Errorf("the zero option: %v", err)
	} else {
		closing(t, p)
	}
	p := newTestProducer(t, newWorld(t))
	for _, m := range []*message.Message{message.New("", []byte("x")), message.New("a b", []byte("x")), message.New("T", nil)} {
		if _, err := p.Send(t.Context(), m); err == nil {
			t.Errorf("message %+v was sent", m)
		}
	}
}

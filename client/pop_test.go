// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

func newTestPopper(t *testing.T, w *world, f Filter, opts ...Option) *PopConsumer {
	t.Helper()
	c, err := NewPopConsumer("g", w.with(opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	closing(t, c)
	if err := c.Subscribe("T", f); err != nil {
		t.Fatal(err)
	}
	return c
}

func received(t *testing.T, c *PopConsumer, most int) (all []*Popped, texts string) {
	t.Helper()
	all, err := c.Receive(t.Context(), most, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, p := range all {
		list = append(list, string(p.Body))
	}
	return all, strings.Join(list, " ")
}

func TestReceive(t *testing.T) {
	w := newWorld(t)
	a := w.popping("a", 10001)
	w.topic("T", 2, a.b)
	a.put(1, "x", "m0", "m1", "m2")
	c := newTestPopper(t, w, Tags("x || y"), WithStart(StartEarliest))
	got, texts := received(t, c, 2)
	if texts != "m0 m1" {
		t.Fatalf("received %q", texts)
	}
	p := got[1]
	want := header.PopHandle{PopTime: 1000, Invisible: 60000, Revive: 5, Kind: header.PopNormal, Broker: "a", Queue: 1, Offset: 1}
	if p.handle != want || p.BrokerName != "a" || p.QueueOffset != 1 || time.Until(p.Until()) < 50*time.Second {
		t.Errorf("%+v, visible %v, of %+v", p.handle, p.Until(), p.Received)
	}
	var h header.PopRequest
	if err := h.DecodeExt(a.b.got(wire.ReqPopMessage)[0].Ext); err != nil {
		t.Fatal(err)
	}
	if h.ConsumerGroup != "g" || h.Topic != "T" || h.QueueID != anyQueue || h.MaxMsgNums != 2 || h.InvisibleTime != 60000 || h.PollTime != 15000 ||
		h.BornTime == 0 || h.InitMode != header.PopInitMin || h.ExpType != "TAG" || h.Exp != "x || y" || h.Order || h.AttemptID != "" {
		t.Errorf("asked %+v", h)
	}
	var beat body.HeartbeatData
	if err := body.Unmarshal(a.b.got(wire.ReqHeartBeat)[0].Body, &beat); err != nil || len(beat.ConsumerDataSet) != 1 {
		t.Fatalf("%+v, %v", beat, err)
	}
	if d := beat.ConsumerDataSet[0]; d.GroupName != "g" || d.ConsumeType != body.ConsumeActively || d.ConsumeFromWhere != body.ConsumeFromFirstOffset ||
		len(d.SubscriptionDataSet) != 1 || d.SubscriptionDataSet[0].SubString != "x || y" {
		t.Errorf("told %+v", d)
	}
	if err := c.Ack(t.Context(), got...); err != nil {
		t.Error(err)
	}
	if all, _ := received(t, c, 9); c.Ack(t.Context(), all...) != nil {
		t.Error("one is not acked")
	}
	if acks := a.acks(); !slices.Equal(acks, []string{"T#0 1@0", "T#0 1@1", "T 1@2"}) {
		t.Errorf("acked %q", acks)
	}
}

// A message of a tag with the same hash code is acked and not received.
func TestReceiveComparesTags(t *testing.T) {
	w := newWorld(t)
	a := w.popping("a", 10001)
	w.topic("T", 1, a.b)
	a.put(0, "BB", "other")
	a.put(0, "Aa", "mine")
	c := newTestPopper(t, w, Tags("Aa"))
	_, texts := received(t, c, 9)
	c.running.Wait() // the ack comes behind what is received
	if texts != "mine" || !slices.Equal(a.acks(), []string{"T 0@0"}) {
		t.Errorf("received %q, acked %q", texts, a.acks())
	}
}

func TestReceiveFromSeveralBrokers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, b := w.popping("a", 10001), w.popping("b", 10002)
		w.topic("T", 1, a.b, b.b)
		c := newTestPopper(t, w, All)
		b.put(0, "", "b0")
		if _, texts := received(t, c, 9); texts != "b0" {
			t.Errorf("received %q", texts)
		}
		// Both hold a pop: what the second one gives waits for the next call.
		time.AfterFunc(time.Second, func() { a.put(0, "", "a0"); b.put(0, "", "b1", "b2") })
		var texts []string
		for len(texts) < 3 {
			_, one := received(t, c, 2)
			texts = append(texts, strings.Fields(one)...)
		}
		if slices.Sort(texts); strings.Join(texts, " ") != "a0 b1 b2" {
			t.Errorf("received %q", texts)
		}
		a.b.stop()
		b.b.stop()
	})
}

// A broker that is silent holds up what others have for half a second.
func TestReceiveBesideSilentBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, b := w.popping("a", 10001), w.popping("b", 10002)
		w.topic("T", 1, a.b, b.b)
		c := newTestPopper(t, w, All, w.hanging(a.b.addr))
		for range 4 { // each begins with the next one
			b.put(0, "", "m")
			begun := time.Now()
			received(t, c, 1)
			if took := time.Since(begun); took > popPatience+greetWait {
				t.Errorf("received after %v", took)
			}
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		a.b.stop()
		b.b.stop()
	})
}

// What waited for long is hidden again for as long as is asked for; what waited for
// too long is not received.
func TestReceiveWhatWaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a := w.popping("a", 10001)
		w.topic("T", 1, a.b)
		c := newTestPopper(t, w, All)
		a.put(0, "", "m0", "m1")
		got, _ := received(t, c, 9)
		got[0].until = time.Now()
		c.ready = got
		time.Sleep(40 * time.Second)
		if all, texts := received(t, c, 9); texts != "m1" || time.Until(all[0].Until()) < 50*time.Second {
			t.Errorf("received %q", texts)
		}
		if want := []string{"0 1000 60000 5 0 a 0 1 60000"}; !slices.Equal(a.hidden, want) {
			t.Errorf("hidden %q, want %q", a.hidden, want)
		}
		if want := (header.PopHandle{Start: 1, PopTime: 2000, Invisible: 60000, Revive: 6, Kind: header.PopNormal, Broker: "a", Offset: 1}); got[1].handle != want {
			t.Errorf("%+v, want %+v", got[1].handle, want)
		}
		// Close makes what nobody received visible.
		c.ready = got[1:]
		if err := c.Close(); err != nil || !slices.Contains(a.hidden, "1 2000 60000 6 0 a 0 1 0") {
			t.Errorf("hidden %q, %v", a.hidden, err)
		}
		a.b.stop()
	})
}

func TestAckWithoutAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a := w.popping("a", 10001)
		w.topic("T", 1, a.b)
		c := newTestPopper(t, w, All)
		a.put(0, "", "m0")
		got, _ := received(t, c, 9)
		a.deaf = 2
		if err := c.Ack(t.Context(), got...); err != nil || len(a.acks()) != 3 {
			t.Errorf("%v, acked %q", err, a.acks())
		}
		a.deaf = 3
		if err := c.Ack(t.Context(), got...); err == nil || !strings.Contains(err.Error(), "broker a") {
			t.Errorf("%v", err)
		}
		a.b.stop()
	})
}

// Brokers of 5.0 have no batch acks; messages given again are acked in the topic
// they came from, and those that lie too far from the start one by one.
func TestAckOneByOne(t *testing.T) {
	w := newWorld(t)
	a := w.popping("a", 10001)
	w.topic("T", 1, a.b)
	a.singles = true
	c := newTestPopper(t, w, All)
	var msgs []*Popped
	for i, kind := range []header.PopRetry{header.PopNormal, header.PopRetryV1, header.PopRetryV2, header.PopNormal, header.PopNormal} {
		start := []int64{0, 0, 0, 9, 0}[i]
		offset := []int64{0, 1, 2, 3, maxSpan}[i]
		msgs = append(msgs, &Popped{
			Received: &message.Received{Message: message.Message{Topic: "T"}},
			handle:   header.PopHandle{Start: start, Kind: kind, Broker: "a", Offset: offset},
		})
	}
	want := []string{"T 0@0", "%RETRY%g_T 0@1", "%RETRY%g+T 0@2", "T 0@3", fmt.Sprint("T 0@", maxSpan)}
	if err := c.Ack(t.Context(), msgs...); err != nil || !slices.Equal(a.acks(), want) {
		t.Errorf("acked %q, want %q, %v", a.acks(), want, err)
	}
	a.singles, a.acked = false, nil
	want = []string{"T#0 0@0", "T#1 0@1", "T#2 0@2", "T 0@3", fmt.Sprint("T 0@", maxSpan)}
	if err := c.Ack(t.Context(), msgs...); err != nil || !slices.Equal(a.acks(), want) {
		t.Errorf("acked %q, want %q, %v", a.acks(), want, err)
	}
}

func TestReceiveInOrder(t *testing.T) {
	w := newWorld(t)
	a := w.popping("a", 10001)
	w.topic("T", 1, a.b)
	a.put(0, "", "m0", "m1", "m2")
	c := newTestPopper(t, w, All, WithOrderly())
	got, _ := received(t, c, 9)
	if got[0].ReconsumeTimes != 0 || got[2].ReconsumeTimes != 2 {
		t.Errorf("given %d and %d times before", got[0].ReconsumeTimes, got[2].ReconsumeTimes)
	}
	var h header.PopRequest
	if err := h.DecodeExt(a.b.got(wire.ReqPopMessage)[0].Ext); err != nil || !h.Order || h.AttemptID == "" || h.InitMode != header.PopInitMax {
		t.Errorf("%+v, %v", h, err)
	}
}

// A broker's share by pops is taken; one by pulls is not meant for this consumer.
func TestReceiveShare(t *testing.T) {
	for mode, queue := range map[string]int32{"POP": 3, "PULL": anyQueue} {
		w := newWorld(t)
		a := w.popping("a", 10001)
		w.topic("T", 4, a.b)
		a.share = fmt.Appendf(nil, `{"messageQueueAssignments":[{"messageQueue":{"topic":"T","brokerName":"a","queueId":3},"mode":%q}]}`, mode)
		a.put(3, "", "m")
		c := newTestPopper(t, w, All)
		received(t, c, 1)
		var h header.PopRequest
		if err := h.DecodeExt(a.b.got(wire.ReqPopMessage)[0].Ext); err != nil || h.QueueID != queue {
			t.Errorf("%s: queue %d was popped, %v", mode, h.QueueID, err)
		}
	}
}

func TestReceiveFailures(t *testing.T) {
	for name, x := range map[string]struct {
		code int32
		want func(err error) bool
	}{
		"before 5.0": {wire.RequestCodeNotSupported, func(err error) bool { return errors.Is(err, ErrNotSupported) }},
		"forbidden":  {wire.NoPermission, func(err error) bool { var a *AnswerError; return errors.As(err, &a) && a.Code == wire.NoPermission }},
		"busy": {wire.SystemBusy, func(err error) bool {
			return errors.Is(err, context.DeadlineExceeded) && strings.Contains(err.Error(), "on purpose")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				a := w.broker("a", 10001, refuse(wire.ReqPopMessage, x.code))
				w.topic("T", 1, a)
				c := newTestPopper(t, w, All)
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				if got, err := c.Receive(ctx, 1, time.Second); !x.want(err) || got != nil {
					t.Errorf("%v, %v", got, err)
				}
				if n := len(a.got(wire.ReqPopMessage)); n > 11 {
					t.Errorf("%d pops in 10 s", n)
				}
				a.stop()
			})
		})
	}
}

func TestPopConsumerRefuses(t *testing.T) {
	w := newWorld(t)
	if _, err := NewPopConsumer("g", w.with(WithStart(StartAt(time.Now())))...); err == nil {
		t.Error("a start at a time")
	}
	if _, err := NewPopConsumer("bad group", w.with()...); err == nil {
		t.Error("a bad group")
	}
	if _, err := NewPopConsumer("g", w.with(WithConcurrency(3))...); err == nil || !strings.Contains(err.Error(), "WithConcurrency") {
		t.Errorf("%v", err)
	}
	c, err := NewPopConsumer("g", w.with()...)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Receive(t.Context(), 1, time.Second); err == nil || !strings.Contains(err.Error(), "Subscribe") {
		t.Errorf("without a subscription: %v", err)
	}
	for _, err := range []error{c.Subscribe("bad topic", All), c.Subscribe("T", SQL(""))} {
		if err == nil {
			t.Error("a bad subscription")
		}
	}
	if _, err := c.Receive(t.Context(), 0, time.Second); err == nil {
		t.Error("no messages")
	}
	if _, err := c.Receive(t.Context(), 1, 0); err == nil {
		t.Error("no time")
	}
	if err := c.ChangeInvisible(t.Context(), &Popped{}, -1); err == nil {
		t.Error("a negative time")
	}
	if err := errors.Join(c.Close(), c.Close()); err != nil {
		t.Error(err)
	}
	if _, err := c.Receive(t.Context(), 1, time.Second); !errors.Is(err, ErrClosed) {
		t.Errorf("%v", err)
	}
	if err := c.Subscribe("T", All); !errors.Is(err, ErrClosed) {
		t.Errorf("%v", err)
	}
}

// What nobody can read is left to be given again.
func TestHandleOf(t *testing.T) {
	h := &header.PopResponse{PopTime: 2, StartOffsetInfo: "0 1 5;1 1 7", MsgOffsetInfo: "0 1 5,6;1 1 7"}
	parts, err := h.AppendParts(nil)
	if err != nil {
		t.Fatal(err)
	}
	m := func(topic string, offset int64, ck string) *message.Received {
		m := &message.Received{Message: message.Message{Topic: topic}, QueueID: 1, QueueOffset: offset}
		if ck != "" {
			m.Properties = message.Properties{message.PropertyPopCheckpoint: ck}
		}
		return m
	}
	for _, x := range []struct {
		m    *message.Received
		want string // "": refused
	}{
		{m("T", 6, ""), "5 2 0 0 0 b 1 6"},
		{m("%RETRY%g_T", 7, ""), "7 2 0 0 1 b 1 7"},
		{m("T", 9, "1 2 3 4 1 b 1 9 77"), "1 2 3 4 1 b 1 9"},
		{m("T", 7, ""), "7 2 0 0 1 b 1 7"},
		{m("T", 8, ""), ""},
		{m("T", 0, "1 2 3 4 1 b"), ""},
		{m("T", 0, "x"), ""},
		// Those of another broker, place or pop are not of this one:
		{m("T", 6, "1 2 3 4 1 c 1 6"), "5 2 0 0 0 b 1 6"},
		{m("T", 6, "1 2 3 4 1 b 0 6"), "5 2 0 0 0 b 1 6"},
		{m("T", 6, "1 2 3 4 1 b 1 5"), "5 2 0 0 0 b 1 6"},
		{m("T", 6, "1 3 3 4 1 b 1 6"), "5 2 0 0 0 b 1 6"},
		{m("T", 6, "x"), "5 2 0 0 0 b 1 6"},
	} {
		got, err := handleOf(x.m, "b", h, parts)
		if (err != nil) != (x.want == "") || err == nil && got.String() != x.want {
			t.Errorf("%+v: %s, %v, want %q", x.m, &got, err, x.want)
		}
	}
}

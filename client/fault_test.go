// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/message"
)

func TestFaults(t *testing.T) {
	t0 := time.Unix(1000, 0)
	for _, tt := range []struct {
		took   time.Duration
		failed bool
		away   time.Duration
	}{
		{549 * time.Millisecond, false, 0}, {550 * time.Millisecond, false, 2 * time.Second}, {1800 * time.Millisecond, false, 5 * time.Second},
		{3 * time.Second, false, 6 * time.Second}, {5 * time.Second, false, 10 * time.Second}, {time.Minute, false, 30 * time.Second},
		{0, true, 10 * time.Second}, {20 * time.Second, true, 30 * time.Second},
	} {
		var f faults
		f.note("a", t0.Add(-tt.took), tt.took, tt.failed)
		if tt.away > 0 && !f.avoided("a", t0.Add(tt.away-1)) || f.avoided("a", t0.Add(tt.away)) || f.avoided("b", t0) {
			t.Errorf("%v, failed %v: not avoided for %v", tt.took, tt.failed, tt.away)
		}
		if f.any.Load() {
			t.Error("what is over is remembered")
		}
	}
	var f faults
	f.note("a", t0.Add(-time.Minute), time.Minute, false)
	f.note("a", t0, time.Second, false) // shorter: the longer one stays
	if !f.avoided("a", t0.Add(29*time.Second)) {
		t.Error("a quicker send ended the time of a slow one")
	}
	off := faults{off: true}
	off.note("a", t0.Add(-time.Minute), time.Minute, true)
	if off.avoided("a", t0) {
		t.Error("avoided although that is off")
	}
}

// A broker that failed gets nothing for 10 s while there is another, and gets what
// there is when there is none.
func TestSendAvoidsABrokerThatFailed(t *testing.T) {
	for _, on := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			a, b := w.broker("a", 10001, refuse(wire.ReqSendMessageV2, wire.SystemBusy)), w.broker("b", 10002, nil)
			w.topic("T", 1, a, b)
			w.topic("U", 1, a)
			p := newTestProducer(t, w, WithLatencyFault(on))
			send := func(topic string) error {
				_, err := p.Send(t.Context(), message.New(topic, []byte("x")))
				return err
			}
			for range 20 {
				if err := send("T"); err != nil {
					t.Fatal(err)
				}
			}
			n := len(a.got(wire.ReqSendMessageV2))
			if on && n != 1 || !on && n < 10 {
				t.Errorf("avoidance %v: %d of 20 sends tried the broker that is busy", on, n)
			}
			if err := send("U"); err == nil || len(a.got(wire.ReqSendMessageV2)) != n+3 {
				t.Errorf("avoidance %v: where there is no other broker: %v", on, err)
			}
			time.Sleep(10 * time.Second)
			for range 2 {
				if err := send("T"); err != nil {
					t.Fatal(err)
				}
			}
			if len(a.got(wire.ReqSendMessageV2)) <= n+3 {
				t.Errorf("avoidance %v: not tried again after 10 s", on)
			}
		})
	}
}

// A caller that gives up says nothing of the broker, unless that had its time.
func TestSendGivenUpIsNotTheBrokersFault(t *testing.T) {
	const never = time.Hour
	for _, tt := range []struct {
		wait    time.Duration // then the context is cancelled; an attempt of SendAsync goes on
		timeout time.Duration // of the context
		avoided bool
	}{
		{5 * time.Millisecond, never, false}, {300 * time.Millisecond, never, false}, {time.Second, never, true}, // slow, not failed
		{never, 0, false}, {never, 99 * time.Millisecond, false}, {never, 100 * time.Millisecond, true}, {never, time.Second, true},
	} {
		for _, way := range []string{"Send", "SendAsync"} {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				a := w.broker("a", 10001, mute(wire.ReqSendMessageV2))
				w.topic("T", 1, a)
				p := newTestProducer(t, w, WithTimeout(time.Minute))
				if _, err := p.link.route(t.Context(), "T", true); err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), tt.timeout)
				defer cancel()
				defer time.AfterFunc(tt.wait, cancel).Stop()
				err := error(nil)
				if way == "Send" {
					_, err = p.Send(ctx, message.New("T", []byte("x")))
				} else {
					told := make(chan error, 1)
					p.SendAsync(ctx, message.New("T", []byte("x")), func(_ *SendResult, err error) { told <- err })
					err = <-told
				}
				if avoided := p.faults.avoided("a", time.Now()); err == nil || avoided != tt.avoided && (way == "Send" || tt.wait == never) {
					t.Errorf("%s with %v, cancelled after %v: avoided %v, %v", way, tt.timeout, tt.wait, avoided, err)
				}
				a.stop()
				if err := p.Close(); err != nil {
					t.Error(err)
				}
				w.stopNames()
			})
		}
	}
}

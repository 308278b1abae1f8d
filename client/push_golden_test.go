// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/wiretest"
	"github.com/twostage/twostage/message"
)

// recordedRequests are the requests of RocketMQ's Java consumers to RocketMQ's
// brokers, by code.
func recordedRequests(t *testing.T, scenarios ...string) map[int32][]*wire.Command {
	t.Helper()
	all, err := wiretest.Load(os.DirFS("../testdata/golden/frames"))
	if err != nil {
		t.Fatal(err)
	}
	found := map[int32][]*wire.Command{}
	for _, s := range all {
		if !slices.Contains(scenarios, s.Name) {
			continue
		}
		for _, x := range s.Exchanges() {
			var d wire.Decoder
			var c wire.Command
			if err := d.Decode(x.Request.Payload(), &c); err != nil {
				t.Fatal(err)
			}
			found[c.Code] = append(found[c.Code], c.Clone())
		}
	}
	return found
}

// shape is what a request consists of: the names of its fields, whether it is one
// way, and the names in its body.
func shape(t *testing.T, c *wire.Command) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for _, f := range c.Ext {
		switch name := string(f.Key); name {
		case "bname": // of 4.9.3 and later, for logical queues
		case "setZeroIfNotFound": // of 5.x
		default:
			names[name] = true
		}
	}
	if c.IsOneWay() {
		names["one way"] = true
	}
	if len(c.Body) > 0 {
		var b any
		if err := json.Unmarshal(c.Body, &b); err != nil {
			t.Fatal(err)
		}
		keys(b, "body", names)
	}
	return names
}

func keys(v any, at string, names map[string]bool) {
	switch v := v.(type) {
	case map[string]any:
		for name, value := range v {
			names[at+"."+name] = true
			keys(value, at+"."+name, names)
		}
	case []any:
		for _, one := range v {
			keys(one, at, names)
		}
	}
}

// What a push consumer sends to brokers has the fields that Java's has.
func TestFramesOfPushConsumersAsJava(t *testing.T) {
	want := recordedRequests(t, "java-consumer-concurrent", "java-consumer-orderly", "java-consumer-send-back")
	for _, tt := range []struct {
		name  string
		opts  []Option
		codes []int32
	}{
		{"concurrent", nil, []int32{
			wire.ReqHeartBeat, wire.ReqGetConsumerListByGroup, wire.ReqQueryConsumerOffset, wire.ReqPullMessage, wire.ReqUpdateConsumerOffset,
			wire.ReqConsumerSendMsgBack, wire.ReqUnregisterClient,
		}},
		{"orderly", []Option{WithOrderly()}, []int32{wire.ReqLockBatchMQ, wire.ReqUnlockBatchMQ}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				b, g := w.groupBroker("a", 10001)
				w.topic("T", 1, b)
				b.number("T", 0, 2)
				c := newPush(t, w, tt.opts...)
				var failed atomic.Bool
				startPush(t, c, "T", func(_ context.Context, m *message.Received) error {
					if !failed.Swap(true) {
						return errors.New("on purpose")
					}
					return nil
				})
				eventually(t, "consumed", func() bool { return g.offset("g", "T", 0) == 2 })
				closePush(t, c)
				for _, code := range tt.codes {
					checkShape(t, code, b.got(code), want[code])
				}
			})
		})
	}
}

func checkShape(t *testing.T, code int32, have []call, want []*wire.Command) {
	t.Helper()
	if len(have) == 0 || len(want) == 0 {
		t.Errorf("%s: %d sent, %d recorded", wire.CodeName(code), len(have), len(want))
		return
	}
	got, java := shape(t, have[len(have)-1].Command), map[string]bool{}
	for _, c := range want {
		maps.Copy(java, shape(t, c))
	}
	// Java's clients have a producer of their own in them, ours have none; an offset is
	// one way but where its consumer waits for it.
	for _, own := range []string{"body.producerDataSet.groupName", "producerGroup", "one way"} {
		delete(got, own)
		delete(java, own)
	}
	if !maps.Equal(got, java) {
		t.Errorf("%s has %v, Java's %v", wire.CodeName(code), slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(java)))
	}
	if code == wire.ReqHeartBeat {
		checkHeartbeat(t, have[0].Command, want[0])
	}
}

// checkHeartbeat compares what the values of a heartbeat are.
func checkHeartbeat(t *testing.T, have, want *wire.Command) {
	t.Helper()
	var a, b body.HeartbeatData
	if err := errors.Join(body.Unmarshal(have.Body, &a), body.Unmarshal(want.Body, &b)); err != nil {
		t.Fatal(err)
	}
	x, y := a.ConsumerDataSet[0], b.ConsumerDataSet[0]
	if x.ConsumeType != y.ConsumeType || x.MessageModel != y.MessageModel || x.ConsumeFromWhere != y.ConsumeFromWhere || len(x.SubscriptionDataSet) != len(y.SubscriptionDataSet) {
		t.Errorf("heartbeat %+v, Java's %+v", x, y)
	}
	for i := range x.SubscriptionDataSet {
		s, j := x.SubscriptionDataSet[i], y.SubscriptionDataSet[i]
		if s.SubString != j.SubString || s.ExpressionType != j.ExpressionType || len(s.TagsSet) != len(j.TagsSet) {
			t.Errorf("subscription %+v, Java's %+v", s, j)
		}
	}
}

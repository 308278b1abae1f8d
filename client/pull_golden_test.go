// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/wiretest"
	"github.com/twostage/twostage/message"
)

// asJava are the fields of a request, but for those that Java's pull consumers
// write into each (ReqT, 0) and that only logical queues need (bname), and the
// leaves of its body.
func asJava(t *testing.T, c *wire.Command) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, f := range c.Ext {
		switch key := string(f.Key); key {
		case "ReqT", "bname":
		case "setZeroIfNotFound": // what 4.9.8 passes over
		default:
			all[key] = string(f.Value)
		}
	}
	if len(c.Body) > 0 {
		var b any
		if err := json.Unmarshal(c.Body, &b); err != nil {
			t.Fatal(err)
		}
		leaves(b, "body", all)
	}
	return all
}

func leaves(v any, at string, to map[string]string) {
	switch v := v.(type) {
	case map[string]any:
		for name, one := range v {
			leaves(one, at+"."+name, to)
		}
	case []any:
		to[at] = "a list"
		for _, one := range v {
			leaves(one, at, to)
		}
	default:
		text, _ := json.Marshal(v)
		to[at] = string(text)
	}
}

// A pull consumer that is assigned queues, seeks to their beginning, polls and
// commits sends what Java's lite pull consumer sent: the same codes, the same fields,
// and the same values where they are not those of a client, a time or a place. (Its
// commits wait for an answer, like those of the Go client, where Java sends them one
// way.)
func TestFramesOfPullConsumersAsJava(t *testing.T) {
	all, err := wiretest.Load(os.DirFS("../testdata/golden/frames"))
	if err != nil {
		t.Fatal(err)
	}
	recorded := map[int32]*wire.Command{}
	for _, s := range all {
		for _, x := range s.Exchanges() {
			if s.Name != "java-lite-pull-consumer" || x.Request.From != "client" {
				continue
			}
			var d wire.Decoder
			var c wire.Command
			if err := d.Decode(x.Request.Payload(), &c); err != nil {
				t.Fatal(err)
			}
			if _, ok := recorded[c.Code]; !ok || c.Code == wire.ReqUnregisterClient && asJava(t, &c)["consumerGroup"] != "" {
				recorded[c.Code] = c.Clone()
			}
		}
	}
	own := map[string]bool{"clientID": true, "body.clientID": true, "queueId": true, "queueOffset": true, "commitOffset": true, "maxMsgNums": true}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a := w.keeping("broker-a", 10001)
		w.topic("FrOrd", 2, a.broker)
		for i := range int32(5) {
			a.put(i%2, &message.Record{Topic: []byte("FrOrd"), Body: []byte("m")})
		}
		c, err := NewPullConsumer("FrLite", w.with()...)
		if err != nil {
			t.Fatal(err)
		}
		queues, err := c.Queues(t.Context(), "FrOrd")
		if err != nil || c.Assign(queues...) != nil || c.SeekStart(t.Context(), queues...) != nil {
			t.Fatalf("%v of %v", err, queues)
		}
		polled(t, c, 5)
		if err := c.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, _, err := c.Committed(t.Context(), queues[1]); err != nil {
			t.Fatal(err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		for code, want := range recorded {
			if code == wire.ReqGetRouteInfoByTopic || code == wire.ReqGetMaxOffset { // to the name server; of seekToEnd
				continue
			}
			got := a.got(code)
			if len(got) == 0 {
				t.Errorf("no %s was sent", wire.CodeName(code))
				continue
			}
			have, must := asJava(t, got[0].Command), asJava(t, want)
			if code == wire.ReqHeartBeat { // Java's clients have a producer each
				delete(must, "body.producerDataSet.groupName")
			}
			if h, m := slices.Sorted(maps.Keys(have)), slices.Sorted(maps.Keys(must)); !slices.Equal(h, m) {
				t.Errorf("%s has %v, Java's %v", wire.CodeName(code), h, m)
			}
			for key, value := range must {
				if have[key] != value && !own[key] && key != "suspendTimeoutMillis" {
					t.Errorf("%s: %s is %q, Java's %q", wire.CodeName(code), key, have[key], value)
				}
			}
		}
		a.stop()
		w.stopNames()
	})
	for _, code := range []int32{wire.ReqPullMessage, wire.ReqHeartBeat, wire.ReqGetMinOffset, wire.ReqQueryConsumerOffset, wire.ReqUpdateConsumerOffset, wire.ReqUnregisterClient} {
		if recorded[code] == nil {
			t.Errorf("there is no recorded %s to compare with", wire.CodeName(code))
		}
	}
}

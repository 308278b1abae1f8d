// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package header

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/wiretest"
)

func golden(t testing.TB) []*wiretest.Scenario {
	t.Helper()
	all, err := wiretest.Load(os.DirFS("../../../testdata/golden/frames"))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// beside are fields that stand next to a header without being part of it.
var beside = map[string]bool{
	"Signature": true, "AccessKey": true, "SecurityToken": true, "ReqT": true, "bname": true,
}

// encoded gives the fields that a header writes.
func encoded(t testing.TB, h wire.Header) wire.Fields {
	t.Helper()
	var d wire.Decoder
	var c wire.Command
	frame := wire.AppendRequest(nil, &wire.Request{Header: h})
	if err := d.Decode(frame[4:], &c); err != nil {
		t.Fatalf("%T: %v", h, err)
	}
	return c.Clone().Ext
}

// sameFields compares what a header writes with a recorded command.
func sameFields(t *testing.T, where string, have, recorded wire.Fields) {
	t.Helper()
	for _, f := range have {
		if want, ok := recorded.Get(string(f.Key)); !ok || string(want) != string(f.Value) {
			t.Errorf("%s: field %s is written as %q, recorded is %q (%v)", where, f.Key, f.Value, want, ok)
		}
	}
	for _, f := range recorded {
		if _, ok := have.Get(string(f.Key)); !ok && !beside[string(f.Key)] && len(f.Value) > 0 {
			t.Errorf("%s: field %s, recorded as %q, is not written", where, f.Key, f.Value)
		}
	}
}

// TestGoldenHeaders reads the typed header of every recorded request and answer
// and writes it again: the same fields with the same values.
func TestGoldenHeaders(t *testing.T) {
	var d wire.Decoder
	var c wire.Command
	codes := map[int32]bool{}
	for _, s := range golden(t) {
		for i := range s.Frames {
			f := &s.Frames[i]
			if err := d.Decode(f.Payload(), &c); err != nil {
				t.Fatal(err)
			}
			h := Request(f.Kind.Code)
			if f.Kind.Response {
				h = Response(f.Kind.Request)
				// An answer that failed may have the fields of none.
				if c.Code != wire.Success && f.Kind.Request != wire.ReqPullMessage || c.Code == wire.SubscriptionNotLatest {
					continue
				}
			}
			where := s.Name + " " + f.Kind.Name + " " + wire.CodeName(f.Kind.Request)
			if h == nil {
				for _, field := range c.Ext {
					if !beside[string(field.Key)] {
						t.Errorf("%s: field %s, but no header", where, field.Key)
					}
				}
				continue
			}
			if err := h.DecodeExt(c.Ext); err != nil {
				t.Errorf("%s: %v", where, err)
				continue
			}
			codes[c.Code] = true
			if h, ok := h.(*SendResponse); ok && (string(h.Region) != "DefaultRegion" || !h.TraceOn) {
				t.Errorf("%s: %+v", where, h)
			}
			recorded := c.Clone().Ext
			have := encoded(t, h)
			if clean, ok := have.Get("cleanOffset"); ok && string(clean) == "true" {
				recorded = append(recorded, wire.Field{Key: []byte("cleanOffset"), Value: clean})
			}
			sameFields(t, where, have, recorded)
		}
	}
	if len(codes) < 45 {
		t.Errorf("only %d kinds of headers were read", len(codes))
	}
}

// TestRecordedSend spells out one header, so that no field is swapped.
func TestRecordedSend(t *testing.T) {
	fields := func(s string) (f wire.Fields) {
		for _, kv := range strings.Fields(s) {
			k, v, _ := strings.Cut(kv, "=")
			f = append(f, wire.Field{Key: []byte(k), Value: []byte(v)})
		}
		return f
	}
	want := SendRequest{
		ProducerGroup: []byte("pg"), Topic: []byte("tp"), DefaultTopic: []byte("TBW102"),
		DefaultTopicQueueNums: 4, QueueID: -1, SysFlag: 5, BornTimestamp: 1795362102706, Flag: 7,
		Properties: []byte("TAGS\x01a"), ReconsumeTimes: 9, UnitMode: true, MaxReconsumeTimes: 16,
		HasMaxReconsumeTimes: true, Batch: true, BrokerName: []byte("b-a"),
	}
	var got SendRequest
	short := fields("n=b-a m=TRUE l=16 k=true j=9 i=TAGS\x01a h=7 g=1795362102706 f=5 e=-1 d=+4 c=TBW102 b=tp a=pg z=1 aa=2")
	if err := got.Decode(wire.ReqSendMessageV2, short); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("have %+v, %v\nwant %+v", got, err, want)
	}
	want.BrokerName = nil
	long := fields("producerGroup=pg topic=tp defaultTopic=TBW102 defaultTopicQueueNums=4 queueId=-1 sysFlag=5 " +
		"bornTimestamp=1795362102706 flag=7 properties=TAGS\x01a reconsumeTimes=9 unitMode=true maxReconsumeTimes=16 batch=true a=x")
	if err := got.Decode(wire.ReqSendMessage, long); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("have %+v, %v\nwant %+v", got, err, want)
	}
	// The optional ones may lack; nothing is left from before.
	want = SendRequest{ProducerGroup: []byte("pg"), Topic: []byte("tp"), DefaultTopic: []byte("x")}
	if err := got.DecodeV2(fields("a=pg b=tp c=x d=0 e=0 f=0 g=0 h=0 l= j=")); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("have %+v, %v\nwant %+v", got, err, want)
	}
}

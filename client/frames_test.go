// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/internal/wire/wiretest"
	"github.com/twostage/twostage/message"
)

// storing answers sends of all kinds.
func storing(r *remoting.Request) bool {
	switch r.Code {
	case wire.ReqSendMessageV2, wire.ReqSendBatchMessage, wire.ReqSendReplyMessageV2:
		r.Reply(&wire.Response{Header: &header.SendResponse{MsgID: []byte("7F00000100002A9F0000000000000000"), Region: []byte("R")}})
		return true
	}
	return false
}

// What goes over the wire is what the Java client sent for the same messages: code,
// flags, names of fields, their values but for those of time and place, properties,
// and the members of batches.
func TestSendsLookLikeJava(t *testing.T) {
	scenarios, err := wiretest.Load(os.DirFS("../testdata/golden/frames"))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[int32]int{}
	for _, s := range scenarios {
		if !strings.HasPrefix(s.Name, "java-producer-") && !strings.HasPrefix(s.Name, "java-transaction-") && s.Name != "java-request-reply" {
			continue
		}
		for i := range s.Frames {
			f := &s.Frames[i]
			if f.Kind.Response || f.To != "broker" || !slices.Contains([]int32{wire.ReqSendMessageV2, wire.ReqSendBatchMessage, wire.ReqSendReplyMessageV2}, f.Kind.Code) {
				continue
			}
			var d wire.Decoder
			var recorded wire.Command
			if err := d.Decode(f.Payload(), &recorded); err != nil {
				t.Fatal(err)
			}
			var h header.SendRequest
			if err := h.DecodeV2(recorded.Ext); err != nil {
				t.Fatal(err)
			}
			if message.CheckTopic(string(h.Topic)) != nil || message.IsSendForbidden(string(h.Topic)) || len(recorded.Body) == 0 || len(recorded.Body) > 4<<20 || h.QueueID < 0 || h.ReconsumeTimes > 0 {
				continue // what only Java lets out
			}
			seen[f.Kind.Code]++
			synctest.Test(t, func(t *testing.T) { compareSend(t, s.Name, &recorded, &h) })
		}
	}
	if seen[wire.ReqSendMessageV2] < 15 || seen[wire.ReqSendBatchMessage] == 0 || seen[wire.ReqSendReplyMessageV2] == 0 {
		t.Errorf("compared %v", seen)
	}
}

// compareSend sends what was recorded, and compares.
func compareSend(t *testing.T, name string, recorded *wire.Command, h *header.SendRequest) {
	w := newWorld(t)
	a := w.broker(string(h.BrokerName), 10001, storing)
	w.topic(string(h.Topic), h.QueueID+1, a)
	p, err := NewProducer(string(h.ProducerGroup), w.with()...)
	if err != nil {
		t.Fatal(err)
	}
	if err := resend(t.Context(), p, recorded, h); err != nil {
		t.Errorf("%s: %v", name, err)
	}
	synctest.Wait()
	if all := a.got(recorded.Code); len(all) != 1 {
		t.Errorf("%s: %d requests of code %d", name, len(all), recorded.Code)
	} else {
		compareFrames(t, name, all[0].Command, recorded)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	a.stop()
	w.stopNames()
}

// resend has p send the messages of a recorded request in the way that makes such a
// request.
func resend(ctx context.Context, p *Producer, recorded *wire.Command, h *header.SendRequest) error {
	m := &message.Message{Topic: string(h.Topic), Flag: h.Flag, Properties: message.ParseProperties(h.Properties), Body: recorded.Body}
	if message.SysFlag(h.SysFlag).Has(message.FlagCompressed) {
		body, err := message.Inflate(recorded.Body, 1<<20)
		if err != nil {
			return err
		}
		m.Body = body
	}
	delete(m.Properties, message.PropertyUniqueKey) // it is the producer's to make
	switch {
	case recorded.Code == wire.ReqSendBatchMessage:
		var all []*message.Message
		err := message.RangeBatch(recorded.Body, func(flag int32, body, props []byte) error {
			one := &message.Message{Topic: m.Topic, Flag: flag, Properties: message.ParseProperties(props), Body: body}
			delete(one.Properties, message.PropertyUniqueKey)
			all = append(all, one)
			return nil
		})
		if err != nil {
			return err
		}
		_, err = p.SendBatch(ctx, all)
		return err
	case recorded.Code == wire.ReqSendReplyMessageV2:
		asked := &message.Received{Message: *m, BrokerName: string(h.BrokerName)}
		asked.Properties[message.PropertyCluster] = strings.TrimSuffix(m.Topic, "_"+message.ReplySuffix)
		delete(asked.Properties, message.PropertyMessageType)
		return p.Reply(ctx, asked, m.Body)
	case m.Properties[message.PropertyCorrelationID] != "":
		for _, name := range []string{message.PropertyCorrelationID, message.PropertyReplyToClient, message.PropertyTTL} {
			delete(m.Properties, name)
		}
		ctx, cancel := context.WithTimeout(ctx, 20*time.Second) // as recorded
		defer cancel()
		if _, err := p.Request(ctx, m); !errors.Is(err, ErrNoReply) {
			return err
		}
		return nil
	case recorded.IsOneWay():
		return p.SendOneway(ctx, m)
	}
	_, err := p.SendTo(ctx, Queue{m.Topic, string(h.BrokerName), h.QueueID}, m)
	return err
}

// compareFrames compares a request with a recorded one.
func compareFrames(t *testing.T, name string, got, want *wire.Command) {
	t.Helper()
	if got.Flag != want.Flag || got.Encoding != want.Encoding {
		t.Errorf("%s: flag %d and encoding %v, want %d, %v", name, got.Flag, got.Encoding, want.Flag, want.Encoding)
	}
	fields := func(c *wire.Command) map[string]string {
		all := map[string]string{}
		for _, f := range c.Ext {
			all[string(f.Key)] = string(f.Value)
		}
		return all
	}
	g, r := fields(got), fields(want)
	if have, must := slices.Sorted(maps.Keys(g)), slices.Sorted(maps.Keys(r)); !slices.Equal(have, must) {
		t.Errorf("%s: fields %v, want %v", name, have, must)
	}
	for _, key := range []string{"a", "b", "c", "d", "f", "h", "j", "k", "m", "n"} {
		if g[key] != r[key] {
			t.Errorf("%s: field %s is %q, want %q", name, key, g[key], r[key])
		}
	}
	compareProperties(t, name, []byte(g["i"]), []byte(r["i"]))
	switch {
	case want.Code == wire.ReqSendBatchMessage:
		compareBatches(t, name, got.Body, want.Body)
	case g["f"] == "0" && !bytes.Equal(got.Body, want.Body):
		t.Errorf("%s: another body", name)
	}
}

// compareProperties leaves out WAIT=true, which Java adds and which is so without it.
func compareProperties(t *testing.T, name string, got, want []byte) {
	t.Helper()
	g, r := message.ParseProperties(got), message.ParseProperties(want)
	delete(g, message.PropertyWait)
	delete(r, message.PropertyWait)
	if have, must := slices.Sorted(maps.Keys(g)), slices.Sorted(maps.Keys(r)); !slices.Equal(have, must) {
		t.Errorf("%s: properties %v, want %v", name, have, must)
	}
	for key := range r {
		switch key {
		case message.PropertyUniqueKey, message.PropertyCorrelationID, message.PropertyReplyToClient:
			if len(g[key]) < 8 {
				t.Errorf("%s: property %s is %q", name, key, g[key])
			}
		default:
			if g[key] != r[key] {
				t.Errorf("%s: property %s is %q, want %q", name, key, g[key], r[key])
			}
		}
	}
}

func compareBatches(t *testing.T, name string, got, want []byte) {
	t.Helper()
	type member struct {
		flag        int32
		body, props []byte
	}
	members := func(batch []byte) (all []member) {
		if err := message.RangeBatch(batch, func(flag int32, body, props []byte) error {
			all = append(all, member{flag, body, props})
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return all
	}
	g, r := members(got), members(want)
	if len(g) != len(r) {
		t.Fatalf("%s: %d members, want %d", name, len(g), len(r))
	}
	for i := range r {
		if g[i].flag != r[i].flag || !bytes.Equal(g[i].body, r[i].body) {
			t.Errorf("%s: member %d differs", name, i)
		}
		compareProperties(t, name, g[i].props, r[i].props)
	}
}

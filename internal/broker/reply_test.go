// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"strconv"
	"testing"

	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

const replyTopic = "DefaultCluster_REPLY_TOPIC"

func reply(code int32, to string) *wire.Request {
	h := sendHeader(replyTopic, "MSG_TYPE", "reply", "CORRELATION_ID", "id-1")
	if to != "" {
		h.Properties = message.AppendProperty(h.Properties, message.PropertyReplyToClient, to)
	}
	h.ReconsumeTimes = 2
	req := &wire.Request{Code: code, Header: h, Body: []byte("the reply")}
	if code == wire.ReqSendReplyMessage {
		req.Header = (*header.SendRequestV1)(h)
	}
	return req
}

// replied sends a reply and gives the header of the answer.
func (c *client) replied(req *wire.Request) (*wire.Command, header.SendResponse) {
	c.w.t.Helper()
	cmd, err := c.Invoke(c.w.ctx, c.w.addr, req)
	if err != nil {
		c.w.t.Fatal(err)
	}
	var h header.SendResponse
	if cmd.Code == wire.Success {
		if err := h.DecodeExt(cmd.Ext); err != nil {
			c.w.t.Fatal(err)
		}
	}
	return cmd, h
}

func TestReplyGoesToItsClientAndIntoTheLog(t *testing.T) {
	const now = 1_700_000_000_123
	w := startAt(t, vfs.NewMem(), func() int64 { return now })
	requester := w.answering(func(*wire.Command) *wire.Response { return &wire.Response{Code: wire.Success} })
	requester.produces("me@1", "p")
	replier := w.client()
	for i, code := range []int32{wire.ReqSendReplyMessage, wire.ReqSendReplyMessageV2} {
		cmd, h := replier.replied(reply(code, "me@1"))
		_, at, err := message.ParseOffsetID(string(h.MsgID))
		if cmd.Code != wire.Success || err != nil || h.QueueOffset != int64(i) || h.QueueID != 0 {
			t.Fatalf("answered %d %s %+v %v", cmd.Code, cmd.Remark, h, err)
		}
		push := requester.expect(wire.ReqPushReplyMessageToClient)
		var p header.ReplyRequest
		if err := p.DecodeExt(push.Ext); err != nil {
			t.Fatal(err)
		}
		props := message.ParseProperties([]byte(p.Properties))
		if props[message.PropertyPushReplyTime] != strconv.Itoa(now) || props["CORRELATION_ID"] != "id-1" || props[message.PropertyReplyToClient] != "me@1" || len(props) != 4 {
			t.Errorf("properties %v", props)
		}
		if p.Topic != replyTopic || p.ProducerGroup != "p" || p.BornTimestamp != 7 || p.Flag != 3 || p.ReconsumeTimes != 2 || p.StoreTimestamp != now ||
			p.DefaultTopic != message.TopicAutoCreate || p.StoreHost != w.Advertised() || p.BornHost == "" || string(push.Body) != "the reply" || push.IsOneWay() {
			t.Errorf("pushed %+v %q", p, push.Body)
		}
		list := w.stored(replyTopic, 0)
		if len(list) != i+1 {
			t.Fatalf("%d stored", len(list))
		}
		rec := list[i]
		if string(rec.Body) != "the reply" || rec.PhysicalOffset != at || rec.ReconsumeTimes != 2 || rec.Flag != 3 {
			t.Errorf("stored %+v", rec)
		}
		w.wantProperties(&rec, "MSG_TYPE", "reply", "CORRELATION_ID", "id-1", message.PropertyReplyToClient, "me@1") // as sent
	}
}

func TestReplyWithoutACopy(t *testing.T) {
	w := start(t, vfs.NewMem(), "storeReplyMessageEnable", "false")
	requester := w.answering(func(*wire.Command) *wire.Response { return &wire.Response{Code: wire.Success} })
	requester.produces("me", "p")
	if cmd, h := w.client().replied(reply(wire.ReqSendReplyMessageV2, "me")); cmd.Code != wire.Success || string(h.MsgID) != "0" || h.QueueOffset != 0 {
		t.Errorf("answered %d %s %+v", cmd.Code, cmd.Remark, h)
	}
	if list := w.stored(replyTopic, 0); len(list) != 0 {
		t.Errorf("%d stored", len(list))
	}
}

// A reply that does not reach its client is an error, and stored all the same.
func TestReplyThatIsNotTaken(t *testing.T) {
	w := start(t, vfs.NewMem())
	w.answering(func(*wire.Command) *wire.Response { return &wire.Response{Code: 9, Remark: "no thanks"} }).produces("refuses", "p")
	consumer := w.client()
	consumer.heartbeat("consumer", "g", "T", "*")
	c := w.client()
	for i, tc := range [][2]string{
		{"", "REPLY_TO_CLIENT"}, {"nobody", "<nobody>"}, {"consumer", "<consumer>"}, {"refuses", "no thanks"},
	} {
		c.refused(wire.SystemError, reply(wire.ReqSendReplyMessage, tc[0]), tc[1])
		if list := w.stored(replyTopic, 0); len(list) != i+1 {
			t.Errorf("%q: %d stored", tc[0], len(list))
		}
	}
	long := reply(wire.ReqSendReplyMessageV2, "refuses")
	h := long.Header.(*header.SendRequest)
	h.QueueID = 9
	c.refused(wire.SystemError, long, "queueId[9]")
	h.QueueID, h.Properties = 0, make([]byte, message.MaxPropertiesLength+1)
	c.refused(wire.MessageIllegal, long, "32767")
	h.Properties, h.Topic = nil, []byte("a b")
	c.refused(wire.SystemError, long, "a b")
	c.refused(wire.SystemError, &wire.Request{Code: wire.ReqSendReplyMessageV2}, "missing")
}

// A client that dies while it is told ends the wait at once.
func TestReplyToAClientThatGoesAway(t *testing.T) {
	w := start(t, vfs.NewMem())
	requester := w.answering(nil)
	requester.produces("me", "p")
	done := make(chan *wire.Command, 1)
	replier := w.client()
	go func() {
		cmd, _ := replier.Invoke(w.ctx, w.addr, reply(wire.ReqSendReplyMessageV2, "me"))
		done <- cmd
	}()
	requester.expect(wire.ReqPushReplyMessageToClient)
	replier.send(sendHeader("T"), "others go on") // on the same connection
	_ = requester.Close()
	if cmd := <-done; cmd == nil || cmd.Code != wire.SystemError {
		t.Errorf("answered %v", cmd)
	}
}

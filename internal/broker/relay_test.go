// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"fmt"
	"strings"
	"testing"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// answering is a client that answers what the broker asks; nil: not at all.
func (w *world) answering(answer func(*wire.Command) *wire.Response) *client {
	c := &client{w: w, pushed: make(chan *wire.Command, 1000)}
	c.Client = remoting.NewClient(remoting.ClientConfig{Version: wire.Version, Language: wire.LanguageJava, Routes: func(int32) (remoting.Route, bool) {
		return remoting.Route{Handler: func(r *remoting.Request) {
			if r.IsOneWay() {
				return
			}
			t := r.Ticket()
			c.pushed <- r.Clone()
			if answer != nil {
				t.Reply(answer(r.Command))
			}
		}}, true
	}})
	w.t.Cleanup(func() { _ = c.Close() })
	return c
}

func runningInfo(group, id string) *wire.Request {
	return &wire.Request{Code: wire.ReqGetConsumerRunningInfo, Header: &header.RunningInfoRequest{ConsumerGroup: group, ClientID: id},
		Fields: wire.Fields{{Key: []byte("AccessKey"), Value: []byte("a")}, {Key: []byte("SecurityToken"), Value: []byte("t")}, {Key: []byte("Signature"), Value: []byte("s=")}}}
}

// TestRunningInfoIsRelayed but not what the sender proves itself with: a consumer could
// cut another request from the bytes that were signed.
func TestRunningInfoIsRelayed(t *testing.T) {
	w := start(t, vfs.NewMem())
	text := []byte(`{"mqTable":{{"brokerName":"b","queueId":0,"topic":"T"}:{"commitOffset":2}}}`)
	consumer := w.answering(func(c *wire.Command) *wire.Response {
		return &wire.Response{Code: 77, Remark: "as it is", Header: &header.GroupRequest{Group: "x"}, Body: text}
	})
	consumer.heartbeat("c1", "g", "T", "*")
	w.answering(nil).heartbeat("c2", "g", "T", "*")
	admin := w.client()
	cmd, err := admin.Invoke(w.ctx, w.addr, runningInfo("g", "c1"))
	if err != nil {
		t.Fatal(err)
	}
	if v, _ := cmd.Ext.Get("group"); cmd.Code != 77 || string(cmd.Remark) != "as it is" || string(cmd.Body) != string(text) || string(v) != "x" {
		t.Errorf("answered %d %q %v %s", cmd.Code, cmd.Remark, cmd.Ext, cmd.Body)
	}
	asked := consumer.expect(wire.ReqGetConsumerRunningInfo)
	for name, want := range map[string]string{"consumerGroup": "g", "clientId": "c1", "AccessKey": "", "SecurityToken": "", "Signature": "", "jstackEnable": "false"} {
		if v, there := asked.Ext.Get(name); string(v) != want || there != (want != "") {
			t.Errorf("%s=%q was relayed, want %q", name, v, want)
		}
	}
	admin.refused(wire.SystemError, runningInfo("g", "c3"), "<g> <c3> not online")
	admin.refused(wire.SystemError, runningInfo("h", "c1"), "<h> <c1> not online")
}

// A client that goes away while it is asked is an error at once, and one that is
// silent does not keep others from being asked.
func TestRelayToClientsThatDoNotAnswer(t *testing.T) {
	w := start(t, vfs.NewMem())
	silent := w.answering(nil)
	silent.heartbeat("silent", "g", "T", "*")
	live := w.answering(func(*wire.Command) *wire.Response { return &wire.Response{Code: wire.Success} })
	live.heartbeat("live", "g", "T", "*")
	admin := w.client()
	const waiting = 100
	gone := make(chan string, waiting)
	for range waiting {
		go func() {
			cmd, err := admin.Invoke(w.ctx, w.addr, runningInfo("g", "silent"))
			if err != nil {
				gone <- err.Error()
				return
			}
			gone <- fmt.Sprint(cmd.Code, " ", string(cmd.Remark))
		}()
	}
	for range waiting {
		silent.expect(wire.ReqGetConsumerRunningInfo)
	}
	for range 20 { // on the same connection
		if cmd, err := admin.Invoke(w.ctx, w.addr, runningInfo("g", "live")); err != nil || cmd.Code != wire.Success {
			t.Fatalf("the live one: %v %v", cmd, err)
		}
	}
	_ = silent.Close()
	for range waiting {
		if says := <-gone; !strings.HasPrefix(says, "1 invoke consumer <g> <silent> Exception: ") {
			t.Errorf("answered %s", says)
		}
	}
}

func TestRelayNeedsAClientThatKnowsIt(t *testing.T) {
	w := start(t, vfs.NewMem())
	old := w.client()
	beat := &wire.Request{Code: wire.ReqHeartBeat, Language: wire.LanguageJava, Version: 61, Body: body.Marshal(&body.HeartbeatData{ClientID: "old",
		ConsumerDataSet: []body.ConsumerData{{GroupName: "g"}}})}
	if _, err := old.Invoke(w.ctx, w.addr, beat); err != nil {
		t.Fatal(err)
	}
	w.client().refused(wire.SystemError, runningInfo("g", "old"), "<old> Version <61> too low", "V3_1_8_SNAPSHOT")
}

func TestConsumeDirectly(t *testing.T) {
	w := start(t, vfs.NewMem())
	result := []byte(`{"autoCommit":true,"consumeResult":"CR_SUCCESS","order":false,"spentTimeMills":0}`)
	consumer := w.answering(func(*wire.Command) *wire.Response { return &wire.Response{Code: wire.Success, Body: result} })
	consumer.heartbeat("c", "g", "T", "*")
	admin := w.client()
	sent := admin.send(sendHeader("T", "TAGS", "x"), "the text")
	id := string(sent.Header.MsgID)
	directly := func(id string, version int32) *wire.Request {
		return &wire.Request{Code: wire.ReqConsumeMessageDirectly, Language: wire.LanguageJava, Version: version,
			Header: &header.ConsumeDirectlyRequest{ConsumerGroup: "g", ClientID: "c", MsgID: id, BrokerName: "another", Topic: "T"}}
	}
	for _, version := range []int32{409, wire.Version} {
		cmd, err := admin.Invoke(w.ctx, w.addr, directly(id, version))
		if err != nil || cmd.Code != wire.Success || string(cmd.Body) != string(result) {
			t.Fatalf("%v %v", cmd, err)
		}
		asked := consumer.expect(wire.ReqConsumeMessageDirectly)
		var rec message.Record
		if _, err := message.DecodeRecord(asked.Body, &rec, true); err != nil || string(rec.Body) != "the text" || string(rec.Topic) != "T" {
			t.Errorf("relayed %+v %v", rec, err)
		}
		want := map[string]string{"brokerName": "broker-a", "msgId": id, "topicSysFlag": "", "groupSysFlag": ""}
		if version == wire.Version {
			want["topicSysFlag"], want["groupSysFlag"] = "0", "0"
		}
		for name, value := range want {
			if v, _ := asked.Ext.Get(name); string(v) != value {
				t.Errorf("version %d: %s=%q was relayed, want %q", version, name, v, value)
			}
		}
	}
	admin.refused(wire.SystemError, directly("nonsense", 409), `"nonsense"`)
	admin.refused(wire.SystemError, directly("7F000001000051AF00000000000FFFFF", 409), "can not find message")
}

func TestConsumerStatus(t *testing.T) {
	w := start(t, vfs.NewMem())
	for _, id := range []string{"c1", "c2", "refuses"} {
		c := w.answering(func(cmd *wire.Command) *wire.Response {
			var h header.ConsumerStatusRequest
			if err := h.DecodeExt(cmd.Ext); err != nil || cmd.Code != wire.ReqGetConsumerStatusFromClient || h.Topic != "T" || h.Group != "g" || id == "refuses" {
				return &wire.Response{Code: wire.SystemError}
			}
			return &wire.Response{Code: wire.Success, Body: []byte(`{"messageQueueTable":{{"brokerName":"broker-a","queueId":1,"topic":"T"}:7}}`)}
		})
		c.heartbeat(id, "g", "T", "*")
	}
	admin := w.client()
	status := func(group, id string) *wire.Request {
		return &wire.Request{Code: wire.ReqInvokeBrokerToGetConsumerStatus, Header: &header.ConsumerStatusRequest{Topic: "T", Group: group, ClientAddr: id}}
	}
	for id, want := range map[string]string{"": "c1 c2", "c2": "c2", "refuses": "", "nobody": ""} {
		cmd, err := admin.Invoke(w.ctx, w.addr, status("g", id))
		if err != nil || cmd.Code != wire.Success {
			t.Fatalf("%v %v", cmd, err)
		}
		var b body.GetConsumerStatusBody
		if err := body.Unmarshal(cmd.Body, &b); err != nil {
			t.Fatal(err)
		}
		for _, name := range strings.Fields(want) {
			if at := b.ConsumerTable[name][body.MessageQueue{Topic: "T", BrokerName: "broker-a", QueueID: 1}]; at != 7 {
				t.Errorf("%q: %s is at %d", id, name, at)
			}
		}
		if len(b.ConsumerTable) != len(strings.Fields(want)) {
			t.Errorf("%q: %v, want %s", id, b.ConsumerTable, want)
		}
	}
	admin.refused(wire.SystemError, status("h", ""), "[h]")
}

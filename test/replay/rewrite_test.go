// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package replay

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/wiretest"
	"github.com/twostage/twostage/message"
)

// known is what the server gave out in place of what RocketMQ gave out.
type known struct {
	broker   netip.AddrPort
	physical map[string]string // commit log offsets
	half     map[string]string // offsets in the queue of half messages
}

// learn notes the offsets of an answer or a push.
func (k *known) learn(t *testing.T, req, want, have *wire.Command) {
	t.Helper()
	if id := ext(want, "msgId"); id != "" && want.IsResponse() && req.Code != wire.ReqSendBatchMessage {
		k.physical[offsetIn(t, id)] = offsetIn(t, ext(have, "msgId"))
		k.half[ext(want, "queueOffset")] = ext(have, "queueOffset")
	}
	if want.Code == wire.ReqCheckTransactionState && !want.IsResponse() {
		k.physical[ext(want, "commitLogOffset")] = ext(have, "commitLogOffset")
		k.half[ext(want, "tranStateTableOffset")] = ext(have, "tranStateTableOffset")
	}
	if req != nil && req.Code == wire.ReqPullMessage && want.Code == wire.Success {
		ours := map[int64]int64{}
		_ = message.RangeRecords(have.Body, false, func(r *message.Record) error {
			ours[r.QueueOffset] = r.PhysicalOffset
			return nil
		})
		_ = message.RangeRecords(want.Body, false, func(r *message.Record) error {
			k.physical[strconv.FormatInt(r.PhysicalOffset, 10)] = strconv.FormatInt(ours[r.QueueOffset], 10)
			return nil
		})
	}
}

func offsetIn(t *testing.T, id string) string {
	t.Helper()
	if id == "" {
		return "none"
	}
	_, offset, err := message.ParseOffsetID(id)
	if err != nil {
		t.Fatalf("offset id %q: %v", id, err)
	}
	return strconv.FormatInt(offset, 10)
}

// frame gives what to send in place of a recorded request: the same bytes, but
// for offsets that this server has given out and the time of a search by time.
func (k *known) frame(t *testing.T, f *wiretest.Frame) []byte {
	t.Helper()
	c := decode(t, f)
	given := func(name string, table map[string]string) {
		t.Helper()
		for i := range c.Ext {
			if string(c.Ext[i].Key) != name {
				continue
			}
			v, ok := table[string(c.Ext[i].Value)]
			if !ok {
				t.Fatalf("frame %d: %s=%s was never given out", f.Number, name, c.Ext[i].Value)
			}
			c.Ext[i].Value = []byte(v)
		}
	}
	switch c.Code {
	case wire.ReqConsumerSendMsgBack:
		given("offset", k.physical)
	case wire.ReqEndTransaction:
		given("commitLogOffset", k.physical)
		given("tranStateTableOffset", k.half)
	case wire.ReqViewMessageByID:
		given("offset", k.physical)
	case wire.ReqConsumeMessageDirectly:
		id := ext(c, "msgId")
		at, ok := k.physical[offsetIn(t, id)]
		if !ok {
			t.Fatalf("frame %d: msgId=%s was never given out", f.Number, id)
		}
		given("msgId", map[string]string{id: string(message.AppendOffsetID(nil, k.broker, number(at)))})
	case wire.ReqInvokeBrokerToResetOffset:
		if ext(c, "timestamp") != "-1" {
			given("timestamp", map[string]string{ext(c, "timestamp"): hourAgo()})
		}
	case wire.ReqSearchOffsetByTimestamp:
		// The recording asks with its own present time.
		given("timestamp", map[string]string{ext(c, "timestamp"): strconv.FormatInt(time.Now().UnixMilli(), 10)})
	default:
		return f.Bytes
	}
	return wire.AppendCommand(nil, c)
}

// subscriptions follows what the broker knows of consumers, to make up the
// heartbeats that the recordings cut.
type subscriptions struct {
	last    map[string]*wire.Command // heartbeat, by group
	version map[string]json.Number   // subVersion, by group and topic
}

// heartbeat is what the tests read of a heartbeat's body.
type heartbeat struct {
	ClientID        string `json:"clientID"`
	ConsumerDataSet []struct {
		GroupName           string `json:"groupName"`
		SubscriptionDataSet []struct {
			Topic      string      `json:"topic"`
			SubVersion json.Number `json:"subVersion"`
		} `json:"subscriptionDataSet"`
	} `json:"consumerDataSet"`
}

func (s *subscriptions) see(t *testing.T, c *wire.Command) {
	t.Helper()
	var h heartbeat
	if err := json.Unmarshal(c.Body, &h); err != nil {
		t.Fatalf("heartbeat %s: %v", c.Body, err)
	}
	for _, d := range h.ConsumerDataSet {
		s.last[d.GroupName] = c
		for _, sub := range d.SubscriptionDataSet {
			s.version[d.GroupName+"@"+sub.Topic] = sub.SubVersion
		}
	}
}

// newer gives the heartbeat that tells the broker of the subscription version of
// a pull, where the recording has none; nil when the broker knows it.
func (s *subscriptions) newer(t *testing.T, pull *wire.Command) *wire.Request {
	t.Helper()
	group, topic, version := ext(pull, "consumerGroup"), ext(pull, "topic"), ext(pull, "subVersion")
	last := s.last[group]
	if last == nil || number(version) <= number(s.version[group+"@"+topic].String()) {
		return nil
	}
	s.version[group+"@"+topic] = json.Number(version)
	return s.again(t, group, "")
}

// again repeats a group's heartbeat with the present versions, of another client
// if one is named.
func (s *subscriptions) again(t *testing.T, group, client string) *wire.Request {
	t.Helper()
	c := s.last[group]
	if c == nil {
		t.Fatalf("no heartbeat of %s to repeat", group)
	}
	var h map[string]any
	d := json.NewDecoder(bytes.NewReader(c.Body))
	d.UseNumber()
	if err := d.Decode(&h); err != nil {
		t.Fatal(err)
	}
	if client != "" {
		h["clientID"] = client
	}
	for _, data := range h["consumerDataSet"].([]any) {
		data := data.(map[string]any)
		for _, sub := range data["subscriptionDataSet"].([]any) {
			sub := sub.(map[string]any)
			if v, ok := s.version[fmt.Sprint(data["groupName"], "@", sub["topic"])]; ok {
				sub["subVersion"] = v
			}
		}
	}
	text, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	return &wire.Request{Code: wire.ReqHeartBeat, Encoding: c.Encoding, Language: c.Language, Version: c.Version, Body: text}
}

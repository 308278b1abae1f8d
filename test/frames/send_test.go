// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package frames

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
	"github.com/twostage/twostage/test/rig"
)

// sendAs sends a body under a request code, with a header of long names or of
// short ones.
func (p *peer) sendAs(code int32, topic, props string, batch bool, data []byte) *wire.Command {
	p.t.Helper()
	names := []string{"producerGroup", "topic", "defaultTopic", "defaultTopicQueueNums", "queueId", "sysFlag", "bornTimestamp", "flag", "properties",
		"reconsumeTimes", "unitMode", "batch"}
	if code != wire.ReqSendMessage {
		names = []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "m"}
	}
	values := []string{p.name("producer"), topic, message.TopicAutoCreate, "4", "0", "0", "1800000000000", "0", props, "0", "false", strconv.FormatBool(batch)}
	fields := make([]string, 0, 2*len(names))
	for i := range names {
		fields = append(fields, names[i], values[i])
	}
	return p.ask(code, data, fields...)
}

// Each member of a batch is a message of its own, by whichever request it came:
// it has its place in the queue, and is found by its own tag and its own keys.
func testBatchMembers(t *testing.T, p *peer) {
	topic := p.topic("topic", 1)
	tags := []string{"red", "green", "blue"}
	type key struct {
		offset int64
		text   string
	}
	want := map[string]key{}
	for n, code := range []int32{wire.ReqSendBatchMessage, wire.ReqSendMessageV2, wire.ReqSendMessage} {
		var data []byte
		for i, tag := range tags {
			at := n*len(tags) + i
			text, keys := fmt.Sprint("m", at), fmt.Sprintf("k%d both%d", at, at)
			props := message.AppendProperty(message.AppendProperty(nil, message.PropertyTags, tag), message.PropertyKeys, keys)
			data = message.AppendBatch(data, int32(at), []byte(text), message.AppendProperty(props, message.PropertyUniqueKey, uniqueKey()))
			for k := range strings.FieldsSeq(keys) {
				want[k] = key{int64(at), text}
			}
		}
		answer := p.sendAs(code, topic, "", true, data)
		if answer.Code != wire.Success || p.number(answer, "queueOffset") != int64(n*len(tags)) {
			t.Fatalf("%s: %s %s, %q", wire.CodeName(code), wire.ResponseName(answer.Code), answer.Remark, answer.Ext)
		}
	}
	for i, tag := range tags {
		group := p.group(tag, 16)
		p.subscribe(group, topic, "TAG", tag)
		if have, all := p.readTexts(p.pullAs(group, topic, 0, 0)), []string{fmt.Sprint("m", i), fmt.Sprint("m", i+3), fmt.Sprint("m", i+6)}; !slices.Equal(have, all) {
			t.Errorf("tag %s: pulled %q, want %q", tag, have, all)
		}
	}
	for k, w := range want {
		rig.Poll(t, "key "+k, func() error {
			found, _, err := rpc.QueryMessage(rig.Context(t), p.c, p.b.Broker, &header.QueryMessageRequest{
				Topic: topic, Key: k, MaxNum: 32, EndTimestamp: time.Now().Add(time.Hour).UnixMilli(),
			})
			var have []key
			if err == nil {
				err = message.RangeRecords(found, true, func(r *message.Record) error {
					if int64(r.Flag) != r.QueueOffset {
						t.Errorf("key %s: the member with flag %d is at offset %d", k, r.Flag, r.QueueOffset)
					}
					have = append(have, key{r.QueueOffset, string(r.Body)})
					return nil
				})
			}
			if err == nil && !slices.Equal(have, []key{w}) {
				err = fmt.Errorf("it has %v, want %v", have, w)
			}
			return err
		})
	}
}

// The properties of a message may have 32,767 bytes with the cluster's name, which
// the broker adds. One more is refused, and nothing of it is stored.
func testLargestProperties(t *testing.T, p *peer) {
	topic := p.topic("topic", 1)
	properties := func(n int) string {
		props := string(message.AppendProperty(nil, message.PropertyUniqueKey, uniqueKey())) + "\x02large\x01"
		return props + strings.Repeat("v", n-len(props))
	}
	const most = 32_767 - len("CLUSTER\x01DefaultCluster\x02")
	forms := []struct {
		code  int32
		batch bool
	}{{wire.ReqSendMessage, false}, {wire.ReqSendMessageV2, false}, {wire.ReqSendBatchMessage, true}}
	send := func(i, size int) *wire.Command {
		t.Helper()
		props, data := properties(size), []byte("m"+strconv.Itoa(i))
		if forms[i].batch {
			// AppendBatch makes no member that does not fit.
			member := []byte{0, 0, 0, byte(4*5 + len(data) + 2), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, byte(len(data))}
			member = append(append(member, data...), byte(size>>8), byte(size))
			n := len(member) + size
			member[0], member[1], member[2], member[3] = byte(n>>24), byte(n>>16), byte(n>>8), byte(n)
			props, data = "", append(member, props...)
		}
		return p.sendAs(forms[i].code, topic, props, forms[i].batch, data)
	}
	for i, form := range forms {
		if answer := send(i, most); answer.Code != wire.Success {
			t.Errorf("%s: %s %s", wire.CodeName(form.code), wire.ResponseName(answer.Code), answer.Remark)
		}
		if answer := send(i, most+1); answer.Code != wire.MessageIllegal || !strings.Contains(string(answer.Remark), "32767") {
			t.Errorf("%s, one byte more: %s %.300s", wire.CodeName(form.code), wire.ResponseName(answer.Code), answer.Remark)
		}
	}
	var have []string
	if _, err := rig.Drain(rig.Context(t), p.c, p.b.Broker, topic, 0, 0, func(r *message.Record) error {
		v, _ := r.Property("large")
		have = append(have, string(r.Body))
		if len(r.Properties) != 32_767 || strings.Trim(string(v), "v") != "" || len(v) < 32_600 {
			t.Errorf("%s came with %d bytes of properties, the value has %d", r.Body, len(r.Properties), len(v))
		}
		return nil
	}); err != nil || !slices.Equal(have, []string{"m0", "m1", "m2"}) {
		t.Errorf("stored are %q, %v", have, err)
	}
}

// A topic with a message type takes messages of that type only; the refusal names
// the topic, both types and the way out. A topic without one takes all.
func testMessageTypes(t *testing.T, p *peer) {
	kinds := map[string][]string{
		"NORMAL": {"TAGS", "t"}, "FIFO": {"__SHARDINGKEY", "k"}, "DELAY": {"DELAY", "1"}, "TRANSACTION": {"TRAN_MSG", "true", "PGROUP", p.name("producer")},
	}
	topics := []string{"NORMAL", "FIFO", "DELAY", "TRANSACTION", "MIXED", ""}
	for _, of := range topics {
		h := rig.TopicHeader(p.name("topic"+of), 1)
		if of != "" {
			h.Attributes = "+message.type=" + of
		}
		if err := rpc.CreateTopic(t.Context(), p.c, p.b.Broker, h); err != nil {
			t.Fatal(err)
		}
		for kind, properties := range kinds {
			answer := p.trySend(h.Topic, 0, kind, properties...)
			if of == "" || of == "MIXED" || of == kind {
				if answer.Code != wire.Success {
					t.Errorf("topic of %q, a message of %s: %s %s", of, kind, wire.ResponseName(answer.Code), answer.Remark)
				}
				continue
			}
			remark := string(answer.Remark)
			if answer.Code != wire.MessageIllegal || !strings.Contains(remark, h.Topic) || !strings.Contains(remark, of) || !strings.Contains(remark, kind) || !strings.Contains(remark, "message.type") {
				t.Errorf("topic of %s, a message of %s: %s %s", of, kind, wire.ResponseName(answer.Code), remark)
			}
		}
	}
	// A batch is as its members.
	fifo := message.AppendBatch(nil, 0, []byte("member"), message.AppendProperty(nil, "__SHARDINGKEY", "k"))
	if answer := p.sendAs(wire.ReqSendBatchMessage, p.name("topicNORMAL"), "", true, fifo); answer.Code != wire.MessageIllegal {
		t.Errorf("a batch of FIFO to a topic of NORMAL: %s %s", wire.ResponseName(answer.Code), answer.Remark)
	}
	// The type is a matter of the topic as it is now.
	h := rig.TopicHeader(p.name("topicNORMAL"), 1)
	h.Attributes = "-message.type"
	if err := rpc.CreateTopic(t.Context(), p.c, p.b.Broker, h); err != nil {
		t.Fatal(err)
	}
	p.send(h.Topic, 0, "later", kinds["FIFO"]...)
	if all, err := p.stored(h.Topic, 0); err != nil || !slices.Equal(all, []string{"NORMAL", "later"}) {
		t.Errorf("stored are %q, %v", all, err)
	}
}

// Delay levels are those of messageDelayLevel, here 1s 3s 2s 0s: each message
// comes after its delay and not before, in the order of their times; a level
// beyond the last is the last.
func testDelayLevels(t *testing.T, p *peer) {
	topic := p.topic("topic", 2)
	delays := map[string]time.Duration{"1": time.Second, "2": 3 * time.Second, "3": 2 * time.Second, "4": 0, "99": 0}
	sent := map[string]int64{}
	for _, level := range []string{"2", "3", "1", "4", "99"} {
		sent[level] = time.Now().UnixMilli()
		p.send(topic, 1, level, "DELAY", level, "colour", "red")
	}
	var order []string
	for _, m := range p.awaitDelivered(topic, 1, 5) {
		order = append(order, m.text)
		if late := m.at - sent[m.text] - delays[m.text].Milliseconds(); late < 0 || late > 10_000 || m.colour != "red" {
			t.Errorf("level %s came %d ms after its time, with the colour %q", m.text, late, m.colour)
		}
	}
	slices.Sort(order[:2])
	if want := []string{"4", "99", "1", "3", "2"}; !slices.Equal(order, want) {
		t.Errorf("delivered in the order %q, want %q", order, want)
	}
}

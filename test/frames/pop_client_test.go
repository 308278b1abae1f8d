// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package frames

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/message"
	"github.com/twostage/twostage/test/rig"
)

// allQueues asks for whichever queue has something.
const allQueues = -1

// orderlyQueue stands in a handle for the revive queue where the pop was orderly.
const orderlyQueue = "999"

// popping is a pop request.
type popping struct {
	group, topic string
	queue        int
	max          int           // 0: 32
	invisible    time.Duration // 0: a minute
	poll         time.Duration // how long the broker may hold the request
	order        bool
	attempt      string
	expression   string // "": none
	language     string // of the expression
}

func (r *popping) fields() []string {
	count, invisible := r.max, r.invisible
	if count == 0 {
		count = 32
	}
	if invisible == 0 {
		invisible = time.Minute
	}
	f := []string{
		"consumerGroup", r.group, "topic", r.topic, "queueId", strconv.Itoa(r.queue), "maxMsgNums", strconv.Itoa(count),
		"invisibleTime", strconv.FormatInt(invisible.Milliseconds(), 10), "pollTime", strconv.FormatInt(r.poll.Milliseconds(), 10),
		"bornTime", strconv.FormatInt(time.Now().UnixMilli(), 10), "initMode", "0", "order", strconv.FormatBool(r.order),
	}
	if r.attempt != "" {
		f = append(f, "attemptId", r.attempt)
	}
	if r.expression != "" {
		f = append(f, "expType", r.language, "exp", r.expression)
	}
	return f
}

// popped is a message that a pop gave.
type popped struct {
	text   string
	queue  int32
	offset int64
	times  int32  // how often it was given before
	handle string // POP_CK, what it is acknowledged by
	retry  string // the handle's: "0" from the topic, "1" or "2" from the retry topic
	answer *popAnswer
	at     time.Time // when the answer was here
}

// popAnswer is the header of the answer to a pop.
type popAnswer struct {
	popTime, invisible, rest int64
	reviveQueue              string
}

// pop asks once. An answer without messages gives none, and its code.
func (p *peer) pop(r popping) ([]popped, int32) {
	p.t.Helper()
	answer := p.ask(wire.ReqPopMessage, nil, r.fields()...)
	msgs, err := readPop(answer, r.topic)
	if err != nil {
		p.t.Fatal(err)
	}
	return msgs, answer.Code
}

// readPop reads an answer as Java's client does.
func readPop(answer *wire.Command, topic string) ([]popped, error) {
	switch answer.Code {
	case wire.Success:
	case wire.PollingTimeout, wire.PollingFull:
		return nil, nil
	default:
		return nil, fmt.Errorf("a pop is answered %s: %s", wire.ResponseName(answer.Code), answer.Remark)
	}
	get := func(name string) string { v, _ := answer.Ext.Get(name); return string(v) }
	head := &popAnswer{reviveQueue: get("reviveQid")}
	for name, to := range map[string]*int64{"popTime": &head.popTime, "invisibleTime": &head.invisible, "restNum": &head.rest} {
		n, err := strconv.ParseInt(get(name), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%s of a pop: %w", name, err)
		}
		*to = n
	}
	starts, offsets := triples(get("startOffsetInfo")), triples(get("msgOffsetInfo"))
	counts := triples(get("orderCountInfo"))
	if starts == nil || offsets == nil {
		return nil, fmt.Errorf("a pop's startOffsetInfo %q, msgOffsetInfo %q", get("startOffsetInfo"), get("msgOffsetInfo"))
	}
	var all []popped
	err := message.RangeRecords(answer.Body, true, func(rec *message.Record) error {
		m := popped{text: string(rec.Body), queue: rec.QueueID, offset: rec.QueueOffset, times: rec.ReconsumeTimes, answer: head, at: time.Now()}
		if string(rec.Topic) != topic {
			return fmt.Errorf("message %q of %s was popped from %s", rec.Body, rec.Topic, topic)
		}
		if handle, ok := rec.Property("POP_CK"); ok {
			m.handle = string(handle)
		} else {
			key := "0 " + strconv.Itoa(int(rec.QueueID))
			if !slices.Contains(strings.Split(offsets[key], ","), strconv.FormatInt(rec.QueueOffset, 10)) {
				return fmt.Errorf("message %q at offset %d of queue %d is not in msgOffsetInfo %q", rec.Body, rec.QueueOffset, rec.QueueID, get("msgOffsetInfo"))
			}
			m.handle = strings.Join([]string{
				starts[key], get("popTime"), get("invisibleTime"), head.reviveQueue, "0", brokerName,
				strconv.Itoa(int(rec.QueueID)), strconv.FormatInt(rec.QueueOffset, 10),
			}, " ")
			n, ok := counts[fmt.Sprintf("0 qo%d%%%d", rec.QueueID, rec.QueueOffset)]
			if !ok {
				n = counts[key]
			}
			if n, err := strconv.Atoi(n); err == nil && n > 0 {
				m.times = int32(n)
			}
		}
		part := strings.Split(m.handle, " ")
		if len(part) < 8 {
			return fmt.Errorf("handle %q of %q", m.handle, m.text)
		}
		m.retry = part[4]
		all = append(all, m)
		return nil
	})
	if err == nil && len(all) == 0 {
		err = fmt.Errorf("a pop found no message and is answered with success")
	}
	return all, err
}

// triples reads "retry queue value;retry queue value" into value by "retry queue".
func triples(info string) map[string]string {
	if info == "" {
		return nil
	}
	all := map[string]string{}
	for one := range strings.SplitSeq(info, ";") {
		if i := strings.LastIndexByte(one, ' '); i > 0 {
			all[one[:i]] = one[i+1:]
		}
	}
	return all
}

// collect pops until n messages have come.
func (p *peer) collect(r popping, n int) []popped {
	p.t.Helper()
	var all []popped
	if r.poll == 0 {
		r.poll = time.Second
	}
	rig.Poll(p.t, fmt.Sprintf("popping %d messages of %s", n, r.topic), func() error {
		got, _ := p.pop(r)
		all = append(all, got...)
		if len(all) < n {
			return fmt.Errorf("these have come: %q", texts(all))
		}
		return nil
	})
	return all
}

func texts(msgs []popped) []string {
	all := make([]string, 0, len(msgs))
	for _, m := range msgs {
		all = append(all, m.text)
	}
	return all
}

// wantTexts compares with the texts in the order of their coming.
func (p *peer) wantTexts(what string, msgs []popped, want ...string) {
	p.t.Helper()
	if have := texts(msgs); !slices.Equal(have, want) {
		p.t.Fatalf("%s: popped %q, want %q", what, have, want)
	}
}

// sorted gives the messages by their texts.
func sorted(msgs []popped) []popped {
	return slices.SortedFunc(slices.Values(msgs), func(a, b popped) int { return strings.Compare(a.text, b.text) })
}

// named gives the message with this text.
func (p *peer) named(msgs []popped, text string) popped {
	p.t.Helper()
	i := slices.IndexFunc(msgs, func(m popped) bool { return m.text == text })
	if i < 0 {
		p.t.Fatalf("%q is not among %q", text, texts(msgs))
	}
	return msgs[i]
}

// retryTopic is the topic that messages go to which were not acknowledged.
func retryTopic(group, topic string) string { return "%RETRY%" + group + "_" + topic }

// ackFields are those of an ack or a change of the invisible time. Where the message lies is in its handle.
func (m *popped) ackFields(group, topic string) []string {
	part := strings.Split(m.handle, " ")
	switch part[4] {
	case "1":
		topic = retryTopic(group, topic)
	case "2":
		topic = "%RETRY%" + group + "+" + topic
	}
	return []string{"consumerGroup", group, "topic", topic, "queueId", part[6], "extraInfo", m.handle, "offset", part[7]}
}

// ack acknowledges messages one by one.
func (p *peer) ack(group, topic string, msgs ...popped) {
	p.t.Helper()
	for _, m := range msgs {
		p.must(wire.ReqAckMessage, nil, m.ackFields(group, topic)...)
	}
}

// batchAck acknowledges messages with one request.
func (p *peer) batchAck(group, topic string, msgs ...popped) {
	p.t.Helper()
	type entry struct {
		Group     string `json:"c"`
		Topic     string `json:"t"`
		Retry     string `json:"r"`
		Start     int64  `json:"so"`
		Queue     int64  `json:"q"`
		Revive    int64  `json:"rq"`
		PopTime   int64  `json:"pt"`
		Invisible int64  `json:"it"`
		Bits      []byte `json:"b"` // bit i: the message at Start+i
	}
	entries := map[string]*entry{}
	for _, m := range msgs {
		part := strings.Split(m.handle, " ")
		var n [8]int64
		for i, s := range part[:8] {
			n[i], _ = strconv.ParseInt(s, 10, 64)
		}
		key := strings.Join(slices.Concat(part[:5], part[6:7]), " ")
		e := entries[key]
		if e == nil {
			e = &entry{Group: group, Topic: topic, Retry: part[4], Start: n[0], Queue: n[6], Revive: n[3], PopTime: n[1], Invisible: n[2]}
			entries[key] = e
		}
		bit := int(n[7] - n[0])
		for len(e.Bits) <= bit/8 {
			e.Bits = append(e.Bits, 0)
		}
		e.Bits[bit/8] |= 1 << (bit % 8)
	}
	list := make([]*entry, 0, len(entries))
	for _, e := range entries {
		list = append(list, e)
	}
	text, err := json.Marshal(map[string]any{"brokerName": brokerName, "acks": list})
	if err != nil {
		p.t.Fatal(err)
	}
	p.must(wire.ReqBatchAckMessage, text)
}

// invisible asks for another invisible time from now on, and gives the message
// with its new handle.
func (p *peer) invisible(group, topic string, m popped, d time.Duration) popped {
	p.t.Helper()
	fields := append(m.ackFields(group, topic), "invisibleTime", strconv.FormatInt(d.Milliseconds(), 10))
	answer := p.must(wire.ReqChangeMessageInvisibleTime, nil, fields...)
	part := strings.Split(m.handle, " ")
	m.handle = strings.Join(append([]string{
		part[7], p.field(answer, "popTime"), p.field(answer, "invisibleTime"), p.field(answer, "reviveQid"),
	}, part[4:8]...), " ")
	return m
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package frames

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/message"
	"github.com/twostage/twostage/test/rig"
)

// delivered is a message in a topic.
type delivered struct {
	text, colour string
	at           int64 // store time in ms
}

// awaitDelivered waits until a queue holds n messages.
func (p *peer) awaitDelivered(topic string, queue int32, n int) []delivered {
	p.t.Helper()
	var all []delivered
	rig.Poll(p.t, fmt.Sprintf("%d messages in %s", n, topic), func() error {
		all = nil
		_, err := rig.Drain(rig.Context(p.t), p.c, p.b.Broker, topic, queue, 0, func(r *message.Record) error {
			colour, _ := r.Property("colour")
			all = append(all, delivered{string(r.Body), string(colour), r.StoreTimestamp})
			return nil
		})
		if err == nil && len(all) < n {
			err = fmt.Errorf("there are %v", all)
		}
		return err
	})
	if len(all) > n {
		p.t.Fatalf("%s holds %v, want %d messages", topic, all, n)
	}
	return all
}

// deliverIn gives the properties of a message due that long from now.
func deliverIn(d time.Duration) (at int64, properties []string) {
	at = time.Now().Add(d).UnixMilli()
	return at, []string{"TIMER_DELIVER_MS", strconv.FormatInt(at, 10)}
}

// A timer is delivered at its time, which may be asked for in three ways, and
// not before, into the queue that it was sent to.
func testTimer(t *testing.T, p *peer) {
	topic := p.topic("topic", 2)
	due := map[string]int64{}
	now := func() int64 { return time.Now().UnixMilli() }
	due["sec"] = now() + 2000
	p.send(topic, 1, "sec", "TIMER_DELAY_SEC", "2", "colour", "red")
	due["ms"] = now() + 1234
	p.send(topic, 1, "ms", "TIMER_DELAY_MS", "1234", "colour", "green")
	at, properties := deliverIn(3456 * time.Millisecond)
	due["at"] = at
	p.send(topic, 1, "at", append(properties, "colour", "blue")...)
	_, properties = deliverIn(-time.Hour)
	due["past"] = now()
	p.send(topic, 1, "past", append(properties, "colour", "black")...)
	all := p.awaitDelivered(topic, 1, 4)
	var order []string
	for _, m := range all {
		order = append(order, m.text+" "+m.colour)
		if late := m.at - due[m.text]; late < 0 || late > 10_000 {
			t.Errorf("%s was delivered %d ms after its time", m.text, late)
		}
	}
	if want := []string{"past black", "ms green", "sec red", "at blue"}; !slices.Equal(order, want) {
		t.Errorf("delivered %q, want %q", order, want)
	}
}

func testTimerRefused(t *testing.T, p *peer) {
	topic := p.topic("topic", 1)
	for _, properties := range [][]string{
		{"TIMER_DELAY_SEC", strconv.Itoa(3*86400 + 1)}, // timerMaxDelaySec is 3 days
		{"TIMER_DELAY_MS", strconv.Itoa((3*86400 + 1) * 1000)},
		{"TIMER_DELIVER_MS", "9223372036854775807"},
		{"TIMER_DELIVER_MS", "soon"},
		{"TIMER_DELAY_MS", "1e3"},
	} {
		answer := p.trySend(topic, 0, "never", properties...)
		if answer.Code != wire.MessageIllegal || !strings.Contains(string(answer.Remark), properties[1]) && !strings.Contains(string(answer.Remark), "timerMaxDelaySec") {
			t.Errorf("%q is answered %s: %s", properties, wire.ResponseName(answer.Code), answer.Remark)
		}
	}
	p.send(topic, 0, "plain")
	if all, err := p.stored(topic, 0); err != nil || !slices.Equal(all, []string{"plain"}) {
		t.Errorf("stored are %q, %v", all, err)
	}
}

// A timer that is recalled in time is never delivered.
func testRecall(t *testing.T, p *peer) {
	topic := p.topic("topic", 1)
	at, properties := deliverIn(6 * time.Second)
	answer := p.send(topic, 0, "recalled", properties...)
	handle := p.field(answer, "recallHandle")
	text, err := base64.URLEncoding.DecodeString(handle)
	part := strings.Split(string(text), " ")
	if err != nil || len(part) != 5 || part[0] != "v1" || part[1] != topic || part[2] != brokerName {
		t.Fatalf("recall handle %q, %v", text, err)
	}
	if n, err := strconv.ParseInt(part[3], 10, 64); err != nil || n < at-1000 || n > at+1001 {
		t.Errorf("recall handle %q for a message due at %d", text, at)
	}
	p.send(topic, 0, "other", properties...)
	_, later := deliverIn(8 * time.Second)
	p.send(topic, 0, "later", later...)
	if _, has := p.send(topic, 0, "plain").Ext.Get("recallHandle"); has {
		t.Error("a message without a timer has a recall handle")
	}
	recall := func(topic, handle string) []string {
		return []string{"producerGroup", p.name("producer"), "topic", topic, "recallHandle", handle}
	}
	if id := p.field(p.must(wire.ReqRecallMessage, nil, recall(topic, handle)...), "msgId"); id != part[4] {
		t.Errorf("recalled %s, want %s", id, part[4])
	}
	elsewhere := p.topic("elsewhere", 1)
	p.refused(wire.IllegalOperation, wire.ReqRecallMessage, nil, recall(elsewhere, handle)...)
	p.refused(wire.IllegalOperation, wire.ReqRecallMessage, nil, recall(topic, "nonsense")...)
	p.refused(wire.TopicNotExist, wire.ReqRecallMessage, nil, recall(p.name("unknown"), handle)...)
	past := base64.URLEncoding.EncodeToString(fmt.Appendf(nil, "v1 %s %s %d %s", topic, brokerName, time.Now().UnixMilli()-1000, part[4]))
	p.refused(wire.IllegalOperation, wire.ReqRecallMessage, nil, recall(topic, past)...)

	var all []string
	for _, m := range p.awaitDelivered(topic, 0, 3) {
		all = append(all, m.text)
	}
	if want := []string{"plain", "other", "later"}; !slices.Equal(all, want) {
		t.Errorf("delivered are %q, want %q", all, want)
	}
}

// Timers survive a server that is killed before they are due, and one that is
// killed while they are: each is delivered once, none before its time.
func TestTimersKilled(t *testing.T) {
	t.Parallel()
	b := start(t)
	p := b.peer(t, wire.JSON)
	topic, far := p.topic("topic", 1), p.topic("far", 1)
	due := map[string]int64{}
	const n = 60
	for i := range n {
		text := fmt.Sprintf("timer-%02d", i)
		at, properties := deliverIn(time.Second + time.Duration(i)*50*time.Millisecond)
		due[text] = at
		p.send(topic, 0, text, properties...)
	}
	at, properties := deliverIn(7 * time.Second)
	handle := p.field(p.send(far, 0, "recalled", properties...), "recallHandle")
	p.send(far, 0, "kept", properties...)
	p.must(wire.ReqRecallMessage, nil, "producerGroup", p.name("producer"), "topic", far, "recallHandle", handle)
	b.kill(t)
	// Some are delivered, some are not.
	rig.Poll(t, "the first timers", func() error {
		all, err := p.stored(topic, 0)
		if err == nil && len(all) < n/3 {
			err = fmt.Errorf("%d are delivered", len(all))
		}
		return err
	})
	b.kill(t)
	seen := map[string]bool{}
	for _, m := range p.awaitDelivered(topic, 0, n) {
		if m.at < due[m.text] || seen[m.text] {
			t.Errorf("%s was delivered %d ms after its time (before as well: %v)", m.text, m.at-due[m.text], seen[m.text])
		}
		seen[m.text] = true
	}
	_, properties = deliverIn(max(0, time.Until(time.UnixMilli(at))) + time.Second)
	p.send(far, 0, "last", properties...)
	for i, m := range p.awaitDelivered(far, 0, 2) {
		if want := []string{"kept", "last"}[i]; m.text != want {
			t.Errorf("message %d is %s, want %s", i, m.text, want)
		}
	}
	// Nothing is delivered twice later on either.
	p.awaitDelivered(topic, 0, n)
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package topic

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/message"
)

func TestAlter(t *testing.T) {
	fifo := map[string]string{"message.type": "FIFO"}
	tests := []struct {
		current map[string]string
		change  string
		want    map[string]string
		err     string
	}{
		{nil, "", nil, ""},
		{fifo, "", fifo, ""},
		{nil, "+message.type=FIFO", fifo, ""},
		{fifo, "+message.type=DELAY", map[string]string{"message.type": "DELAY"}, ""},
		{fifo, "-message.type", nil, ""},
		{fifo, "+queue.type=SimpleCQ, +cleanup.policy=DELETE", map[string]string{"message.type": "FIFO", "queue.type": "SimpleCQ", "cleanup.policy": "DELETE"}, ""},
		{nil, "-message.type", nil, "message.type can't be deleted: the topic does not have it"},
		{nil, "+message.type=fifo", nil, `message.type="fifo": accepted is one of UNSPECIFIED, NORMAL, FIFO, DELAY, TRANSACTION, MIXED`},
		{nil, "message.type=FIFO", nil, `"message.type=FIFO" is neither +name=value nor -name`},
		{nil, "+message.type", nil, "neither"},
		{fifo, "-message.type=FIFO", nil, "neither"},
		{nil, "+message.type=FIFO,-message.type", nil, "message.type is changed twice"},
		{nil, "+color=red", nil, `there is no "color"; known are cleanup.policy, message.type, queue.type`},
		{nil, "+queue.type=BatchCQ", nil, "queue.type=BatchCQ is not served here; accepted is SimpleCQ"},
		{nil, "+cleanup.policy=COMPACTION", nil, "not served here"},
		{nil, "+", nil, "neither"},
		{nil, "-", nil, `there is no ""`},
	}
	for _, test := range tests {
		before := maps.Clone(test.current)
		got, err := alter(test.current, test.change)
		if test.err != "" {
			if !errors.Is(err, ErrAttribute) || !strings.Contains(err.Error(), test.err) {
				t.Errorf("%q: %v", test.change, err)
			}
		} else if err != nil || !maps.Equal(got, test.want) || len(got) == 0 && got != nil {
			t.Errorf("%q: %v, %v", test.change, got, err)
		}
		if !maps.Equal(test.current, before) {
			t.Errorf("%q changed what was there", test.change)
		}
	}
}

func TestMessageType(t *testing.T) {
	tests := []struct{ props, want string }{
		{"", TypeNormal},
		{"TAGS\x01a", TypeNormal},
		{"__SHARDINGKEY\x01a", TypeFIFO},
		{"DELAY\x013\x02__SHARDINGKEY\x01a", TypeFIFO},
		{"__SHARDINGKEY\x01a\x02DELAY\x013\x02", TypeFIFO},
		{"DELAY\x013", TypeDelay},
		{"TIMER_DELIVER_MS\x013", TypeDelay},
		{"TIMER_DELAY_SEC\x013", TypeDelay},
		{"TIMER_DELAY_MS\x013", TypeDelay},
		{"__STARTDELIVERTIME\x013", TypeDelay},
		{"__SHARDINGKEY\x01a\x02__STARTDELIVERTIME\x013", TypeFIFO},
		{"__SHARDINGKEY\x01a\x02TRAN_MSG\x01true", TypeTransaction},
		{"TRAN_MSG\x01false\x02DELAY\x011", TypeDelay},
	}
	for _, test := range tests {
		if got := MessageType([]byte(test.props)); got != test.want {
			t.Errorf("%q is %s, want %s", test.props, got, test.want)
		}
	}
	for kind, takes := range map[string]bool{"": true, TypeMixed: true, TypeUnspecified: true, TypeFIFO: true, TypeNormal: false, TypeDelay: false} {
		c := body.TopicConfig{Attributes: map[string]string{AttributeMessageType: kind}}
		if Takes(&c, TypeFIFO) != takes {
			t.Errorf("a topic of type %q: %v", kind, !takes)
		}
		if TakesAll(&c) != (takes && kind != TypeFIFO) {
			t.Errorf("a topic of type %q takes all: %v", kind, TakesAll(&c))
		}
	}
}

// TestPutKeepsAttributes: a change of a topic that does not speak of its
// attributes leaves them.
func TestPutKeepsAttributes(t *testing.T) {
	tb := open(t, config(vfs.NewMem()))
	c := body.NewTopicConfig("T")
	if err := tb.Put(c, "+message.type=FIFO"); err != nil {
		t.Fatal(err)
	}
	c.ReadQueueNums = 3
	if err := tb.Put(c, ""); err != nil {
		t.Fatal(err)
	}
	if got, _ := tb.Get("T"); got.ReadQueueNums != 3 || got.Attributes[AttributeMessageType] != TypeFIFO {
		t.Errorf("%+v", got)
	}
	if err := tb.Put(c, "+x=y"); !errors.Is(err, ErrAttribute) || errors.Is(err, message.ErrName) {
		t.Error(err)
	}
}

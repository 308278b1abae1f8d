// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	rocketmq "github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
)

// SQL92 goes by the properties and by the tags; a message without the property
// is unknown, and so is its negation.
func testSQL92(t *testing.T, c *cluster) {
	topic := c.topic(t, "topic", 2)
	p := c.producer(t)
	for i := range 60 {
		m := primitive.NewMessage(topic, []byte(fmt.Sprintf("%02d", i)))
		m.WithTag([]string{"red", "green", "blue"}[i%3])
		if i%2 == 0 {
			m.WithProperty("n", strconv.Itoa(i))
		}
		m.WithProperty("colour", []string{"grün", "it's"}[i%2])
		send(t, p, m)
	}
	for i, tc := range []struct {
		expression string
		want       func(i int) bool
	}{
		{"n BETWEEN 10 AND 20", func(i int) bool { return i%2 == 0 && i >= 10 && i <= 20 }},
		{"NOT (n > 30) AND TAGS IN ('red', 'blue')", func(i int) bool { return i%2 == 0 && i <= 30 && i%3 != 1 }},
		{"n IS NULL AND colour = 'it''s'", func(i int) bool { return i%2 == 1 }},
		{"n IS NOT NULL AND (TAGS = 'green' OR n >= 50.0) AND colour <> 'it''s'", func(i int) bool { return i%2 == 0 && (i%3 == 1 || i >= 50) }},
	} {
		in := &inbox{}
		c.selecting(t, name(t, fmt.Sprint("group", i)), topic, consumer.MessageSelector{Type: consumer.SQL92, Expression: tc.expression}, in)
		var want []string
		for i := range 60 {
			if tc.want(i) {
				want = append(want, fmt.Sprintf("%02d", i))
			}
		}
		in.await(t, soon, want...)
	}

	// What comes while the consumer waits is filtered as well.
	in := &inbox{}
	c.selecting(t, name(t, "waiting"), topic, consumer.MessageSelector{Type: consumer.SQL92, Expression: "n > 1000"}, in)
	for _, n := range []string{"5", "2000", "7", "3000"} {
		m := primitive.NewMessage(topic, []byte("late-"+n))
		m.WithProperty("n", n)
		send(t, p, m)
	}
	in.await(t, soon, "late-2000", "late-3000")
}

// A pull consumer with a tag, in whole lots, that stops in the middle.
func testPullTags(t *testing.T, c *cluster) {
	topic, group := c.topic(t, "topic", 1), name(t, "group")
	p := c.producer(t)
	var want []string
	for i := range 100 {
		m := primitive.NewMessage(topic, []byte(fmt.Sprintf("%03d", i)))
		m.WithTag([]string{"rare", "common"}[min(1, i%10)])
		send(t, p, m)
		if i%10 == 0 {
			want = append(want, string(m.Body))
		}
	}
	pull := func(n int) []string {
		t.Helper()
		q, err := rocketmq.NewPullConsumer(consumer.WithNsResolver(c.resolver()), consumer.WithInstance(instance()),
			consumer.WithGroupName(group), consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset), consumer.WithPullBatchSize(4))
		if err == nil {
			err = q.Subscribe(topic, consumer.MessageSelector{Type: consumer.TAG, Expression: "rare"})
		}
		if err == nil {
			err = q.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		var have []string
		await(t, patient, func() string {
			r, err := q.Poll(t.Context(), time.Second)
			if err != nil && !errors.Is(err, consumer.ErrNoNewMsg) {
				return err.Error()
			}
			if err == nil {
				have = append(have, bodies(r.GetMsgList())...)
				q.ACK(t.Context(), r, consumer.ConsumeSuccess)
			}
			if len(have) < n {
				return fmt.Sprintf("polled %q", have)
			}
			return ""
		})
		if err := q.Shutdown(); err != nil {
			t.Fatal(err)
		}
		return have
	}
	have := pull(4)
	if len(have) < len(want) {
		have = append(have, pull(len(want)-len(have))...)
	}
	slices.Sort(have)
	if !slices.Equal(slices.Compact(have), want) {
		t.Errorf("polled %q, want %q", have, want)
	}
}

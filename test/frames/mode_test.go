// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package frames

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/message"
	"github.com/twostage/twostage/test/rig"
)

// mover is a group that moves between pull and pop, and what it has consumed: what
// it pulled and committed, and what it popped and acknowledged.
type mover struct {
	p            *peer
	group, topic string
	done         map[string]int
	acked        map[string]bool
}

func (m *mover) mode(mode string) {
	m.p.t.Helper()
	m.p.mode(m.group, m.topic, mode, 0)
}

// pop takes messages for a while and acknowledges those that are named.
func (m *mover) pop(n int, invisible time.Duration, ack ...string) []popped {
	m.p.t.Helper()
	all := m.p.collect(popping{group: m.group, topic: m.topic, queue: allQueues, max: n, invisible: invisible}, n)
	for _, one := range all {
		m.seen(one.text)
		if slices.Contains(ack, one.text) {
			m.ack(one)
		}
	}
	return all
}

func (m *mover) ack(one popped) {
	m.p.t.Helper()
	m.p.ack(m.group, m.topic, one)
	m.done[one.text]++
	m.acked[one.text] = true
}

func (m *mover) seen(text string) {
	m.p.t.Helper()
	if m.acked[text] {
		m.p.t.Errorf("%s was acknowledged and is given again", text)
	}
}

// pull takes up to n messages of a topic's queue from the group's offset on, and
// commits what it took. A topic that is not there yet has none.
func (m *mover) pull(topic string, n int32) []string {
	m.p.t.Helper()
	ctx := rig.Context(m.p.t)
	at, err := rpc.QueryOffset(ctx, m.p.c, m.p.b.Broker, m.group, topic, 0)
	if code, _ := rpc.CodeOf(err); code == wire.QueryNotFound || code == wire.TopicNotExist {
		at, err = 0, nil
	}
	if err != nil {
		m.p.t.Fatal(err)
	}
	h := rig.PullHeader(topic, 0, at)
	h.ConsumerGroup, h.MaxMsgNums = []byte(m.group), n
	got, err := rpc.Pull(ctx, m.p.c, m.p.b.Broker, h)
	if code, _ := rpc.CodeOf(err); code == wire.TopicNotExist {
		return nil
	}
	if err != nil {
		m.p.t.Fatal(err)
	}
	if got.Code != wire.Success {
		return nil
	}
	var all []string
	if err := message.RangeRecords(got.Records, true, func(r *message.Record) error {
		all = append(all, string(r.Body))
		m.seen(string(r.Body))
		m.done[string(r.Body)]++
		return nil
	}); err != nil {
		m.p.t.Fatal(err)
	}
	if err := rpc.UpdateOffset(ctx, m.p.c, m.p.b.Broker, m.group, topic, 0, got.Header.NextBeginOffset); err != nil {
		m.p.t.Fatal(err)
	}
	return all
}

// await consumes by more until all of these are done.
func (m *mover) await(want []string, more func()) {
	m.p.t.Helper()
	rig.Poll(m.p.t, "everything to be consumed", func() error {
		more()
		missing := slices.DeleteFunc(slices.Clone(want), func(s string) bool { return m.done[s] > 0 })
		if len(missing) > 0 {
			return fmt.Errorf("missing are %q", missing)
		}
		return nil
	})
}

// A group moves from pull to pop and back, and again, while messages are out and
// others are in its pop retry topic, and the server is killed each time: all
// are consumed, and none that was acknowledged is given again.
func TestModesKilled(t *testing.T) {
	t.Parallel()
	for _, enc := range []wire.Encoding{wire.JSON, wire.Binary} {
		t.Run(enc.String(), func(t *testing.T) {
			t.Parallel()
			b := start(t)
			p := b.peer(t, enc)
			m := &mover{p: p, done: map[string]int{}, acked: map[string]bool{}}
			m.topic, m.group = p.topic("topic", 1), p.group("group", 16)
			p.heartbeat(m.group, m.topic)
			retries := "%RETRY%" + m.group
			p.sendAll(m.topic, 0, numbered("m", 0, 20)...)
			if first := m.pull(m.topic, 4); !slices.Equal(first, numbered("m", 0, 4)) {
				t.Fatalf("pulled %q", first)
			}

			m.mode("POP")
			out := m.pop(8, 2*time.Second, "m04", "m07", "m08", "m10")
			p.wantTexts("the first pop", out, numbered("m", 4, 12)...)
			p.invisible(m.group, m.topic, p.named(out, "m11"), 9*time.Second)
			rig.Poll(t, "retries", func() error {
				all, err := p.stored(retryTopic(m.group, m.topic), 0)
				if err == nil && len(all) < 3 {
					err = fmt.Errorf("there are %q", all)
				}
				return err
			})
			b.kill(t)
			p.heartbeat(m.group, m.topic)
			// Pops give of the topic and of the pop retry topic. One of the latter is left.
			for {
				one := m.pop(1, 3*time.Second)[0]
				if one.retry != "0" {
					if !strings.Contains("m05 m06 m09", one.text) {
						t.Fatalf("%s comes as a retry", one.text)
					}
					break
				}
				m.ack(one)
			}
			m.mode("PULL")
			b.kill(t)
			p.heartbeat(m.group, m.topic)

			// What was left of the pops comes to the group's own retry topic.
			m.await([]string{"m05"}, func() { m.pull(retries, 1) })
			m.await(numbered("m", 0, 16), func() {
				if m.done["m15"] == 0 {
					m.pull(m.topic, 1)
				}
				m.pull(retries, 1)
			})

			m.mode("POP")
			b.kill(t)
			p.heartbeat(m.group, m.topic)
			p.sendAll(m.topic, 0, numbered("m", 20, 24)...)
			rest := numbered("m", 16, 24)
			m.pop(4, time.Second, "m18", "m19")
			b.kill(t)
			p.heartbeat(m.group, m.topic)
			m.await(rest, func() { m.pop(1, time.Second, rest...) })
			for _, text := range numbered("m", 0, 24) {
				if m.done[text] != 1 {
					t.Errorf("%s was consumed %d times", text, m.done[text])
				}
			}
			for line := range strings.Lines(b.Log()) {
				if strings.Contains(line, "level=WARN") && strings.Contains(line, "rmq_sys_REVIVE_LOG") {
					t.Errorf("a warning for nothing: %s", line)
				}
			}
		})
	}
}

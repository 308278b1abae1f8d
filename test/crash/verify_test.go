// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package crash

import (
	"context"
	"fmt"
	"hash/crc32"
	"math"
	"testing"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
	"github.com/twostage/twostage/test/rig"
)

// keep is how many topics of former rounds are read again after each start;
// older ones are deleted.
const keep = 6

// samples is how many messages of a topic are looked up by key.
const samples = 8

// verifier checks a server after a start.
type verifier struct {
	*store
	ctx  context.Context
	c    *remoting.Client
	addr string
	name string // of the round
}

func (v *verifier) report(t *testing.T, what string, found []string) {
	t.Helper()
	for _, p := range found {
		t.Errorf("%s: %s: %s", v.name, what, p)
	}
}

// all checks everything. clean says that the server was stopped, not killed.
func (v *verifier) all(t *testing.T, clean bool, fresh []reading, tx string, halves []half) {
	t.Helper()
	for i := range v.past {
		p := &v.past[i]
		now := v.read(t, p.topic)
		v.report(t, "topic "+p.topic+" of a former round", checkUnchanged(p.queues, now))
		if p.log != nil {
			v.report(t, "topic "+p.topic+" of a former round", checkTopic(p.log, now))
		}
		p.queues = now
	}
	for _, f := range fresh {
		if f.log == nil {
			continue
		}
		f.queues = v.read(t, f.topic)
		v.report(t, "topic "+f.topic, checkTopic(f.log, f.queues))
		v.lookUp(t, f)
		v.past = append(v.past, f)
	}
	v.transactions(t, tx, halves)
	v.metadata(t)
	v.consumerOffsets(t, clean)
	for len(v.past) > keep {
		v.drop(t)
	}
}

// read reads all queues of a topic, and holds that their max offsets agree. The
// topic may grow meanwhile.
func (v *verifier) read(t *testing.T, topic string) map[int32][]stored {
	t.Helper()
	all := make(map[int32][]stored)
	for q := range int32(queues) {
		before, err := rpc.MaxOffset(v.ctx, v.c, v.addr, topic, q)
		if err != nil {
			t.Fatalf("%s: topic %s queue %d: %v", v.name, topic, q, err)
		}
		_, err = rig.Drain(v.ctx, v.c, v.addr, topic, q, 0, func(r *message.Record) error {
			key, _ := r.Property(message.PropertyUniqueKey)
			if string(r.Topic) != topic {
				key = fmt.Appendf(nil, "%s of topic %s", key, r.Topic)
			}
			all[q] = append(all[q], stored{
				key: string(key), queue: r.QueueID, queueOffset: r.QueueOffset, position: r.PhysicalOffset, crc: crc32.ChecksumIEEE(r.Body),
			})
			return nil
		})
		if err != nil {
			t.Fatalf("%s: reading: %v", v.name, err)
		}
		after, err := rpc.MaxOffset(v.ctx, v.c, v.addr, topic, q)
		if n := int64(len(all[q])); err != nil || n < before || n > after {
			t.Errorf("%s: topic %s queue %d: the max offset was %d, then %d messages were read, then it was %d (%v)", v.name, topic, q, before, n, after, err)
		}
	}
	return all
}

// lookUp finds some acknowledged messages by their keys, as the index has them.
func (v *verifier) lookUp(t *testing.T, f reading) {
	t.Helper()
	step := max(len(f.log)/samples, 1)
	for i := len(f.log) - 1; i >= 0; i -= step {
		m := f.log[i]
		if m.answered == 0 {
			continue
		}
		rig.Poll(t, v.name+": the index has "+m.key, func() error {
			records, _, err := rpc.QueryMessage(v.ctx, v.c, v.addr, &header.QueryMessageRequest{
				Topic: f.topic, Key: m.key, MaxNum: 32, EndTimestamp: math.MaxInt64, UniqueKey: true,
			})
			if err != nil {
				return err
			}
			n := 0
			err = message.RangeRecords(records, true, func(r *message.Record) error {
				n++
				if key, _ := r.Property(message.PropertyUniqueKey); string(key) != m.key || r.QueueOffset != m.offset || r.QueueID != m.queue {
					return fmt.Errorf("found %s at queue %d offset %d, it is at queue %d offset %d", key, r.QueueID, r.QueueOffset, m.queue, m.offset)
				}
				return nil
			})
			if err == nil && n != 1 {
				err = fmt.Errorf("found %d times", n)
			}
			return err
		})
	}
}

// transactions checks what was ended before the start, then answers the
// broker's questions until everything is ended.
func (v *verifier) transactions(t *testing.T, topic string, halves []half) {
	t.Helper()
	v.report(t, "transactions before anybody was asked", checkTransactions(halves, v.read(t, topic), nil, false))
	for i := range halves {
		if halves[i].ended {
			v.ended[halves[i].key] = true
		}
	}
	k, err := newChecker(v.ctx, v.addr, producerGroup, v.ended)
	if err != nil {
		t.Fatalf("%s: %v", v.name, err)
	}
	defer k.close()
	open := func(h *half) bool {
		if h.want == rollback {
			return h.answered > 0 && !h.tried && !k.took(h.key)
		}
		return h.answered > 0 || k.took(h.key)
	}
	var now map[int32][]stored
	settled := func() error {
		now = v.read(t, topic)
		visible := make(map[string]bool)
		for _, records := range now {
			for _, r := range records {
				visible[r.key] = true
			}
		}
		for i := range halves {
			if h := &halves[i]; !visible[h.key] && open(h) {
				return fmt.Errorf("%s is open", h.key)
			}
		}
		return nil
	}
	rig.Poll(t, v.name+": open transactions are asked about, and end", func() error {
		if _, err := k.seen(); err != nil {
			t.Fatalf("%s: check-back: %v", v.name, err)
		}
		return settled()
	})
	if err := k.close(); err != nil {
		t.Errorf("%s: %v", v.name, err)
	}
	asked, err := k.seen()
	if err != nil {
		t.Errorf("%s: check-back: %v", v.name, err)
	}
	v.asked += len(asked)
	rig.Poll(t, v.name+": what was committed at last is visible", settled)
	for i := range halves {
		halves[i].ended = halves[i].ended || v.ended[halves[i].key]
	}
	v.report(t, "transactions", checkTransactions(halves, now, asked, true))
	v.past = append(v.past, reading{topic: topic, queues: now})
}

func (v *verifier) metadata(t *testing.T) {
	t.Helper()
	found, err := settle(v.ctx, v.c, v.addr, v.topics, v.groups)
	if err != nil {
		t.Fatalf("%s: %v", v.name, err)
	}
	v.report(t, "topics and groups", found)
}

func (v *verifier) consumerOffsets(t *testing.T, clean bool) {
	t.Helper()
	now, err := v.offsets.read(v.ctx, v.c, v.addr)
	if err != nil {
		t.Fatalf("%s: %v", v.name, err)
	}
	v.report(t, "consumer offsets", v.offsets.check(now, clean))
	v.offsets.answered = now
}

// drop deletes the oldest topic; its messages must go at once, and the ledger
// holds that it does not come back.
func (v *verifier) drop(t *testing.T) {
	t.Helper()
	topic := v.past[0].topic
	v.past = v.past[1:]
	v.topics.begin(topic, "")
	if err := rpc.DeleteTopic(v.ctx, v.c, v.addr, topic); err != nil {
		t.Fatalf("%s: %v", v.name, err)
	}
	v.topics.done()
	p, err := rpc.Pull(v.ctx, v.c, v.addr, rig.PullHeader(topic, 0, 0))
	if err == nil && len(p.Records) > 0 {
		t.Errorf("%s: topic %s is deleted and still has messages", v.name, topic)
	}
}

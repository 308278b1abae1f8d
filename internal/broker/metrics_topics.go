// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"cmp"
	"strings"

	"github.com/twostage/twostage/internal/broker/inflow"
	"github.com/twostage/twostage/internal/broker/txn"
	"github.com/twostage/twostage/internal/promtext"
	"github.com/twostage/twostage/internal/session"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/message"
)

var (
	familyIn        = promtext.Family{Name: "rocketmq_messages_in_total", Help: "Messages that became visible to consumers of the topic since the start.", Kind: promtext.Counter}
	familyInBytes   = promtext.Family{Name: "rocketmq_throughput_in_total", Help: "Bytes of the records of those messages.", Kind: promtext.Counter}
	familySize      = promtext.Family{Name: "rocketmq_message_size", Help: "Bytes of the records of those messages, one by one.", Kind: promtext.Histogram}
	familyOut       = promtext.Family{Name: "rocketmq_messages_out_total", Help: "Messages given to consumers since the start.", Kind: promtext.Counter}
	familyOutBytes  = promtext.Family{Name: "rocketmq_throughput_out_total", Help: "Bytes of records given to consumers since the start.", Kind: promtext.Counter}
	familyDead      = promtext.Family{Name: "rocketmq_send_to_dlq_messages_total", Help: "Messages that became dead letters since the start.", Kind: promtext.Counter}
	familyProducers = promtext.Family{Name: "rocketmq_producer_connections", Help: "Connections of a producer group.", Kind: promtext.Gauge}
	familyConsumers = promtext.Family{Name: "rocketmq_consumer_connections", Help: "Connections of a consumer group.", Kind: promtext.Gauge}
	familyConflicts = promtext.Family{Name: "twostage_subscription_conflicts", Help: "Members of a consumer group that subscribe to something else than most of it.", Kind: promtext.Gauge}
	familyHalf      = promtext.Family{Name: "rocketmq_half_messages", Help: "Undecided transactions, counted from state.", Kind: promtext.Gauge}
	familyCommit    = promtext.Family{Name: "rocketmq_commit_messages_total", Help: "Transactions committed since the start.", Kind: promtext.Counter}
	familyRollback  = promtext.Family{Name: "rocketmq_rollback_messages_total", Help: "Transactions rolled back since the start.", Kind: promtext.Counter}
	familyFinish    = promtext.Family{Name: "rocketmq_finish_message_latency", Help: "Seconds from the half message to the commit.", Kind: promtext.Histogram, Unit: "milliseconds"} // RocketMQ's unit, which is wrong
)

type inKey struct {
	topic string
	kind  inflow.Kind
}

type groupTopic struct{ group, topic string }

type counts struct{ messages, bytes int64 }

// again tells whether RocketMQ leaves a topic out of what comes in and goes out:
// its messages were counted for the topic that they were sent to.
func again(topic string) bool {
	return strings.HasPrefix(topic, message.RetryPrefix) || strings.HasPrefix(topic, message.DLQPrefix)
}

// traffic is what came in and went out, of the topics that there are.
func (s *scrape) traffic() {
	there := func(name string) bool { _, ok := s.b.topics.Get(name); return ok }
	s.b.inflow.Keep(there, func(group string) bool { _, ok := s.b.groups.Get(group); return ok })
	var in []row[inKey, inflow.Tally]
	s.b.inflow.Range(func(topic string, k inflow.Kind, t *inflow.Tally) {
		if !again(topic) {
			in = append(in, row[inKey, inflow.Tally]{inKey{topic, k}, *t})
		}
	})
	in, rest, n := admit(&s.kept.topics, in, s.limit, func(a, b inKey) int { return cmp.Or(strings.Compare(a.topic, b.topic), cmp.Compare(a.kind, b.kind)) },
		func(rest, v *inflow.Tally) {
			rest.Messages += v.Messages
			rest.Bytes += v.Bytes
			for i := range v.Sizes {
				rest.Sizes[i] += v.Sizes[i]
			}
		})
	s.folded += n
	labels := s.labelled(len(in), func(i int) []byte {
		k := &in[i].key
		return s.with("topic", k.topic, "message_type", k.kind.String(), "is_system", s.isSystem(k.topic, ""))
	})
	each := func(f promtext.Family, write func(labels []byte, t *inflow.Tally)) {
		s.w.Begin(f)
		for i := range in {
			breathe(i)
			write(labels.at(i), &in[i].v)
		}
		if n > 0 {
			write(s.with("topic", other, "message_type", other, "is_system", "false"), &rest)
		}
	}
	each(familyIn, func(labels []byte, t *inflow.Tally) { s.w.Int(labels, t.Messages) })
	each(familyInBytes, func(labels []byte, t *inflow.Tally) { s.w.Int(labels, t.Bytes) })
	each(familySize, func(labels []byte, t *inflow.Tally) {
		s.w.Distribution(labels, inflow.SizeBounds[:], t.Sizes[:], float64(t.Bytes))
	})
	s.outgoing()
}

func (s *scrape) outgoing() {
	var out []row[groupTopic, counts]
	s.b.stats.EachGroup(func(group, topic string, messages, bytes int64) {
		k := groupTopic{group, topic}
		if _, ok := s.b.topics.Get(k.topic); ok && !again(k.topic) {
			out = append(out, row[groupTopic, counts]{k, counts{messages, bytes}})
		}
	})
	out, rest, n := admit(&s.kept.out, out, s.limit, func(a, b groupTopic) int {
		return cmp.Or(strings.Compare(a.topic, b.topic), strings.Compare(a.group, b.group))
	}, func(rest, v *counts) { rest.messages, rest.bytes = rest.messages+v.messages, rest.bytes+v.bytes })
	s.folded += n
	labels := s.labelled(len(out), func(i int) []byte {
		k := &out[i].key
		return s.with("topic", k.topic, "consumer_group", k.group, "is_system", s.isSystem(k.topic, k.group))
	})
	each := func(f promtext.Family, value func(*counts) int64) {
		s.w.Begin(f)
		for i := range out {
			breathe(i)
			s.w.Int(labels.at(i), value(&out[i].v))
		}
		if n > 0 {
			s.w.Int(s.with("topic", other, "consumer_group", other, "is_system", "false"), value(&rest))
		}
	}
	each(familyOut, func(c *counts) int64 { return c.messages })
	each(familyOutBytes, func(c *counts) int64 { return c.bytes })
}

// deadLetters is what groups have given up, by the topic that it was sent to.
func (s *scrape) deadLetters() {
	rows, rest, n := admit(&s.kept.dead, rowsOf(s.b.inflow.Dead()), s.limit, func(a, b inflow.Dead) int {
		return cmp.Or(strings.Compare(a.Topic, b.Topic), strings.Compare(a.Group, b.Group))
	}, sum)
	s.folded += n
	s.w.Begin(familyDead)
	for _, r := range rows {
		s.w.Int(s.with("topic", r.key.Topic, "consumer_group", r.key.Group, "is_system", s.isSystem(r.key.Topic, r.key.Group)), r.v)
	}
	if n > 0 {
		s.w.Int(s.with("topic", other, "consumer_group", other, "is_system", "false"), rest)
	}
}

func sum(rest, v *int64) { *rest += *v }

// producerKey is values of labels: several numbers of clients may make one text.
type producerKey struct{ group, language, version string }

type consumerKey struct {
	producerKey
	mode string
}

func clientOf(group string, c *session.Client) producerKey {
	return producerKey{groupLabel(group), strings.ToLower(c.Language.String()), strings.ToLower(wire.VersionName(c.Version))}
}

func compareClients(a, b producerKey) int {
	return cmp.Or(strings.Compare(a.group, b.group), strings.Compare(a.language, b.language), strings.Compare(a.version, b.version))
}

// modes are RocketMQ's label consume_mode.
var modes = map[body.ConsumeType]string{body.ConsumeActively: "pull", body.ConsumePassively: "push", body.ConsumePop: "pop"}

// rowsOf makes rows of what was counted by labels.
func rowsOf[K comparable, V any](by map[K]V) []row[K, V] {
	rows := make([]row[K, V], 0, len(by))
	for k, v := range by {
		rows = append(rows, row[K, V]{k, v})
	}
	return rows
}

func (s *scrape) connections() {
	by := map[producerKey]int64{}
	for _, g := range s.b.session.ProducerGroups() {
		clients := s.b.session.Producers(g)
		for i := range clients {
			by[clientOf(g, &clients[i])]++
		}
	}
	producers, rest, n := admit(&s.kept.makers, rowsOf(by), s.limit, compareClients, sum)
	s.folded += n
	s.w.Begin(familyProducers)
	for _, r := range producers {
		s.w.Int(s.with("producer_group", r.key.group, "language", r.key.language, "version", r.key.version, "protocol_type", "remoting"), r.v)
	}
	if n > 0 {
		s.w.Int(s.with("producer_group", other, "language", other, "version", other, "protocol_type", "remoting"), rest)
	}
	s.consumers()
	conflicts := map[string]int64{}
	for g, n := range s.b.session.Conflicting() {
		conflicts[groupLabel(g)] += int64(n)
	}
	disputes, rest, n := admit(&s.kept.disputes, rowsOf(conflicts), s.limit, strings.Compare, sum)
	s.folded += n
	s.each(familyConflicts, "group", disputes, rest, n)
}

func (s *scrape) consumers() {
	by := map[consumerKey]int64{}
	for _, g := range s.b.session.ConsumerGroups() {
		members, mode := s.b.session.ConsumerClients(g)
		for i := range members {
			by[consumerKey{clientOf(g, &members[i]), cmp.Or(modes[mode], other)}]++
		}
	}
	rows, rest, n := admit(&s.kept.takers, rowsOf(by), s.limit, func(a, b consumerKey) int { return compareClients(a.producerKey, b.producerKey) }, sum)
	s.folded += n
	s.w.Begin(familyConsumers)
	for _, r := range rows {
		s.w.Int(s.with("consumer_group", r.key.group, "language", r.key.language, "version", r.key.version, "consume_mode", r.key.mode,
			"protocol_type", "remoting", "is_system", yes(message.IsSystemGroup(r.key.group))), r.v)
	}
	if n > 0 {
		s.w.Int(s.with("consumer_group", other, "language", other, "version", other, "consume_mode", other, "protocol_type", "remoting", "is_system", "false"), rest)
	}
}

// each writes a family with one label.
func (s *scrape) each(f promtext.Family, label string, rows []row[string, int64], rest int64, n int) {
	s.w.Begin(f)
	for _, r := range rows {
		s.w.Int(s.with(label, r.key), r.v)
	}
	if n > 0 {
		s.w.Int(s.with(label, other), rest)
	}
}

func (s *scrape) transactions() {
	tx := s.b.txn.Stats()
	var half []row[string, int64]
	for topic, n := range tx.Pending {
		half = append(half, row[string, int64]{topic, int64(n)})
	}
	half, rest, n := admit(&s.kept.half, half, s.limit, strings.Compare, sum)
	s.folded += n
	s.each(familyHalf, "topic", half, rest, n)

	settled, all, n := admit(&s.kept.settled, rowsOf(tx.Finished), s.limit, strings.Compare, func(rest, v *txn.Finished) {
		rest.Committed += v.Committed
		rest.RolledBack += v.RolledBack
		rest.LatencySum += v.LatencySum
		for i := range v.Latency {
			rest.Latency[i] += v.Latency[i]
		}
	})
	s.folded += n
	if n > 0 {
		settled = append(settled, row[string, txn.Finished]{other, all})
	}
	s.w.Begin(familyCommit)
	for i := range settled {
		s.w.Int(s.with("topic", settled[i].key), settled[i].v.Committed)
	}
	s.w.Begin(familyRollback)
	for i := range settled {
		s.w.Int(s.with("topic", settled[i].key), settled[i].v.RolledBack)
	}
	s.w.Begin(familyFinish)
	for i := range settled {
		f := &settled[i].v
		var counts [len(txn.LatencyBounds) + 1]int64
		above := f.Committed
		for i, n := range f.Latency {
			counts[i] = n
			above -= n
		}
		counts[len(counts)-1] = above
		s.w.Distribution(s.with("topic", settled[i].key), txn.LatencyBounds[:], counts[:], f.LatencySum)
	}
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/twostage/twostage/internal/broker/offset"
	"github.com/twostage/twostage/internal/promtext"
	"github.com/twostage/twostage/internal/session"
	"github.com/twostage/twostage/message"
)

func exported(name, help string) promtext.Family {
	return promtext.Family{Name: "rocketmq_" + name, Help: help, Kind: promtext.Gauge}
}

var (
	exportTopic     = exported("producer_offset", "Sum of the max offsets of the topic's queues.")
	exportRetry     = exported("topic_retry_offset", "The same of retry topics.")
	exportDLQ       = exported("topic_dlq_offset", "The same of the dead letters of a group.")
	exportProducers = exported("producer_count", "Connections of a producer group.")
	exportMembers   = exported("group_count", "Connections of a consumer group.")
	exportDiff      = exported("group_diff", "Messages that the group has not consumed.")
	exportRetryDiff = exported("group_retrydiff", "The same in its retry topics.")
	exportDLQDiff   = exported("group_dlqdiff", "The same in dead letter topics.")
	exportOffset    = exported("consumer_offset", "Sum of the group's offsets in the topic's queues.")
	exportLatency   = exported("group_get_latency_by_storetime", "Milliseconds since the first message was stored that the group has not consumed.")
)

// exporter writes the names, labels and meanings of rocketmq-exporter 0.0.2 for this
// broker. The name of the broker is the label broker, as there.
func (s *scrape) exporter() {
	s.exportTopics()
	s.exportGroups()
	s.exportRates()
	s.exportRuntime()
}

// own is labels of the exporter: cluster, broker and name, value, ...
func (s *scrape) own(pairs ...string) []byte {
	s.labels = promtext.AppendLabel(s.labels[:0], "cluster", s.b.cfg.Identity.Cluster)
	s.labels = promtext.AppendLabel(s.labels, "broker", s.b.cfg.Identity.Name)
	for i := 0; i+1 < len(pairs); i += 2 {
		s.labels = promtext.AppendLabel(s.labels, pairs[i], pairs[i+1])
	}
	return s.labels
}

// exportTopics is how far topics are.
func (s *scrape) exportTopics() {
	all, _ := s.b.topics.All()
	var plain, retries, dead []row[string, int64]
	for name, t := range all {
		total := int64(0)
		for id := range max(t.ReadQueueNums, t.WriteQueueNums) {
			if q := s.b.store.LookupQueue(name, id); q != nil {
				total += q.Max()
			}
		}
		switch r := (row[string, int64]{name, total}); {
		case strings.HasPrefix(name, message.RetryPrefix):
			retries = append(retries, r)
		case strings.HasPrefix(name, message.DLQPrefix):
			r.key = name[len(message.DLQPrefix):]
			dead = append(dead, r)
		default:
			plain = append(plain, r)
		}
	}
	for i, of := range []struct {
		family promtext.Family
		label  string
		rows   []row[string, int64]
	}{{exportTopic, "topic", plain}, {exportRetry, "topic", retries}, {exportDLQ, "group", dead}} {
		rows, rest, n := admit(&s.kept.exported[i], of.rows, s.limit, strings.Compare, sum)
		s.folded += n
		s.w.Begin(of.family)
		for _, r := range rows {
			s.w.Int(s.own(of.label, r.key), r.v)
		}
		if n > 0 {
			s.w.Int(s.own(of.label, other), rest)
		}
	}
}

// standing is how a group stands in a topic.
type standing struct {
	diff, consumed, latency int64
	clustering              bool
	online                  int
}

// member is the labels of the members of a group.
type member struct{ group, addresses, ids string }

// exportClients is who is there.
func (s *scrape) exportClients() {
	senders := map[string]int64{}
	for _, g := range s.b.session.ProducerGroups() {
		senders[groupLabel(g)] += int64(len(s.b.session.Producers(g)))
	}
	rows, rest, n := admit(&s.kept.senders, rowsOf(senders), s.limit, strings.Compare, sum)
	s.folded += n
	s.w.Begin(exportProducers)
	for _, r := range rows {
		s.w.Int(s.own("group", r.key), r.v)
	}
	if n > 0 {
		s.w.Int(s.own("group", other), rest)
	}

	members := map[member]int64{}
	for _, g := range s.b.session.ConsumerGroups() {
		clients, _ := s.b.session.ConsumerClients(g)
		addresses, ids := whoIsThere(clients)
		members[member{groupLabel(g), addresses, ids}] += int64(len(clients))
	}
	who, rest, n := admit(&s.kept.members, rowsOf(members), s.limit, func(a, b member) int {
		return cmp.Or(strings.Compare(a.group, b.group), strings.Compare(a.addresses, b.addresses), strings.Compare(a.ids, b.ids))
	}, sum)
	s.folded += n
	if n > 0 {
		who = append(who, row[member, int64]{member{other, other, other}, rest})
	}
	s.w.Begin(exportMembers)
	for _, r := range who {
		s.labels = promtext.AppendLabel(s.labels[:0], "caddr", r.key.addresses)
		s.labels = promtext.AppendLabel(s.labels, "localaddr", r.key.ids)
		s.labels = promtext.AppendLabel(s.labels, "group", r.key.group)
		s.w.Int(s.labels, r.v)
	}
}

// exportGroups is how far groups are.
func (s *scrape) exportGroups() {
	s.exportClients()
	rows, rest, n := admit(&s.kept.standings, s.standings(), s.limit, func(a, b groupTopic) int {
		return cmp.Or(strings.Compare(a.topic, b.topic), strings.Compare(a.group, b.group))
	}, func(rest, v *standing) {
		rest.diff += v.diff
		rest.consumed += v.consumed
		rest.latency = max(rest.latency, v.latency)
		rest.clustering = true
	})
	s.folded += n
	if n > 0 {
		rows = append(rows, row[groupTopic, standing]{groupTopic{other, other}, rest})
	}
	for _, f := range []struct {
		family promtext.Family
		prefix string
	}{{exportDiff, ""}, {exportRetryDiff, message.RetryPrefix}, {exportDLQDiff, message.DLQPrefix}} {
		s.w.Begin(f.family)
		for i := range rows {
			k, v := &rows[i].key, &rows[i].v
			if !v.clustering || f.prefix == "" && again(k.topic) || !strings.HasPrefix(k.topic, f.prefix) {
				continue
			}
			s.labels = promtext.AppendLabel(s.labels[:0], "group", k.group)
			s.labels = promtext.AppendLabel(s.labels, "topic", k.topic)
			s.labels = promtext.AppendLabel(s.labels, "countOfOnlineConsumers", strconv.Itoa(v.online))
			s.labels = promtext.AppendLabel(s.labels, "msgModel", "1") // CLUSTERING
			s.w.Int(s.labels, v.diff)
		}
	}
	s.w.Begin(exportOffset)
	for i := range rows {
		s.w.Int(s.own("topic", rows[i].key.topic, "group", rows[i].key.group), rows[i].v.consumed)
	}
	s.w.Begin(exportLatency)
	for i := range rows {
		if rows[i].v.clustering {
			s.w.Int(s.own("topic", rows[i].key.topic, "group", rows[i].key.group), rows[i].v.latency)
		}
	}
}

// standings are those of all groups in the topics where they have offsets.
func (s *scrape) standings() (rows []row[groupTopic, standing]) {
	b := s.b
	t := &s.kept.times
	online := map[string]int{}
	b.offsets.Places(func(group, topic string, places []offset.Place) {
		config, ok := b.topics.Get(topic)
		if !ok {
			return
		}
		v := standing{clustering: true}
		sub, here, broadcast := b.session.Subscription(group, topic)
		if here {
			n, known := online[group]
			if !known {
				members, _ := b.session.ConsumerClients(group)
				n = len(members)
				online[group] = n
			}
			if v.online, v.clustering = n, !broadcast; sub == nil {
				return
			}
		}
		for _, p := range places {
			q := b.store.LookupQueue(topic, p.Queue)
			if q == nil || p.Queue >= config.ReadQueueNums {
				continue
			}
			v.consumed += p.Offset
			if lag := q.Max() - p.Offset; lag > 0 && v.clustering { // the others' is not told
				v.diff += lag
				v.latency = max(v.latency, s.ago(t.at(b.store, q, p.Offset)))
			}
		}
		rows = append(rows, row[groupTopic, standing]{groupTopic{group, topic}, v})
	})
	return rows
}

// whoIsThere is the exporter's labels caddr and localaddr: where clients come from,
// and the first part of their ids.
func whoIsThere(clients []session.Client) (addresses, ids string) {
	var a, b []string
	for _, c := range clients {
		a = append(a, c.Conn.RemoteAddr().String())
		id, _, _ := strings.Cut(c.ID, "@")
		b = append(b, strings.ToValidUTF8(id, "\ufffd")) // so that equal labels are equal texts
	}
	slices.Sort(a)
	slices.Sort(b)
	return strings.Join(slices.Compact(a), ","), strings.Join(slices.Compact(b), ",")
}

// minute is a statistic of the last minute, by RocketMQ's name and key: messages or
// bytes a second, and their sum; false: there was none.
func (b *Broker) minute(name, key string) (perSecond, sum float64, ok bool) {
	v, err := b.stats.View(name, key)
	return v.Minute.PerSecond, float64(v.Minute.Sum), err == nil
}

// exportRates is how fast messages come and go.
func (s *scrape) exportRates() {
	minute := s.b.minute
	cluster, name := s.b.cfg.Identity.Cluster, s.b.cfg.Identity.Name
	whole := promtext.AppendLabel(promtext.AppendLabel(promtext.AppendLabel(nil, "cluster", cluster), "brokerIP", s.b.Advertised()), "broker", name)
	for _, f := range []struct {
		family promtext.Family
		stat   string
	}{{exported("broker_tps", "Messages a second that came in the last minute."), "BROKER_PUT_NUMS"},
		{exported("broker_qps", "Messages a second that were given in the last minute."), "BROKER_GET_NUMS"}} {
		s.w.Begin(f.family)
		rate, _, _ := minute(f.stat, cluster)
		s.w.Sample(whole, rate)
	}
	for _, f := range []struct {
		family promtext.Family
		stat   string
	}{{exported("producer_tps", "Messages a second that came to the topic in the last minute."), "TOPIC_PUT_NUMS"},
		{exported("producer_message_size", "Bytes a second of those."), "TOPIC_PUT_SIZE"}} {
		s.w.Begin(f.family)
		for _, topic := range s.kept.exported[0].listed {
			if rate, _, ok := minute(f.stat, topic); ok {
				s.w.Sample(s.own("topic", topic), rate)
			}
		}
	}
	for _, f := range []struct {
		family promtext.Family
		stat   string
		sum    bool
	}{{exported("consumer_tps", "Messages a second that the group was given in the last minute."), "GROUP_GET_NUMS", false},
		{exported("consumer_message_size", "Bytes a second of those."), "GROUP_GET_SIZE", false},
		{exported("send_back_nums", "Messages that the group sent back in the last minute."), "SNDBCK_PUT_NUMS", true}} {
		s.w.Begin(f.family)
		for _, k := range s.kept.standings.listed {
			rate, total, ok := minute(f.stat, k.topic+"@"+k.group)
			if f.sum {
				rate = total
			}
			if ok {
				s.w.Sample(s.own("topic", k.topic, "group", k.group), rate)
			}
		}
	}
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"cmp"
	"strconv"
	"strings"

	"github.com/twostage/twostage/internal/broker/offset"
	"github.com/twostage/twostage/internal/broker/pop"
	"github.com/twostage/twostage/internal/promtext"
	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/message"
)

var (
	familyLag        = promtext.Family{Name: "rocketmq_consumer_lag_messages", Help: "Messages that the group has not consumed.", Kind: promtext.Gauge}
	familyLagTime    = promtext.Family{Name: "rocketmq_consumer_lag_latency", Help: "Milliseconds since the first of them was stored.", Kind: promtext.Gauge, Unit: "milliseconds"}
	familyInflight   = promtext.Family{Name: "rocketmq_consumer_inflight_messages", Help: "Messages that the group was given and has not consumed.", Kind: promtext.Gauge}
	familyQueueing   = promtext.Family{Name: "rocketmq_consumer_queueing_latency", Help: "Milliseconds since the first message was stored that the group was not given yet.", Kind: promtext.Gauge, Unit: "milliseconds"}
	familyReady      = promtext.Family{Name: "rocketmq_consumer_ready_messages", Help: "Messages that the group was not given yet.", Kind: promtext.Gauge}
	familyQueueLag   = promtext.Family{Name: "twostage_consumer_queue_lag_messages", Help: "Messages of a queue that the group has not consumed. Queues without any are left out.", Kind: promtext.Gauge}
	familyQueueSince = promtext.Family{Name: "twostage_consumer_queue_lag_seconds", Help: "Seconds since the first of them was stored.", Kind: promtext.Gauge}
)

type lagKey struct {
	topic, group string
	retry        bool
}

// lagging is how far a group is behind. Times are ms since 1970, 0: nothing is left.
type lagging struct {
	messages, inflight, ready int64
	since, readySince         int64
}

func (l *lagging) add(v *lagging) {
	l.messages += v.messages
	l.inflight += v.inflight
	l.ready += v.ready
	l.since, l.readySince = earlier(l.since, v.since), earlier(l.readySince, v.readySince)
}

// earlier is the lesser of two times, 0 being none.
func earlier(a, b int64) int64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

type queueKey struct {
	topic, group string
	queue        int32
}

func (k queueKey) compare(o queueKey) int {
	return cmp.Or(strings.Compare(k.topic, o.topic), strings.Compare(k.group, o.group), cmp.Compare(k.queue, o.queue))
}

// storeTimes remembers when messages were stored that groups stand at, so that a
// group that stands still costs no read.
type storeTimes struct{ last, next map[storePlace]int64 }

type storePlace struct {
	queue  *store.Queue
	offset int64
}

// at is the store time of a message, 0 when it is gone.
func (t *storeTimes) at(log *store.Store, q *store.Queue, offset int64) int64 {
	k := storePlace{q, max(offset, q.Min())}
	at, ok := t.next[k]
	if !ok {
		if at, ok = t.last[k]; !ok {
			at, _ = log.StoreTimeAt(q, k.offset) // what can't be read has no time
		}
		t.next[k] = at
	}
	return at
}

// lags collects how far groups are behind.
type lags struct {
	s      *scrape
	pops   map[pop.Place]pop.Progress
	groups map[lagKey]lagging
	queues []row[queueKey, lagging]
	seen   int
}

// lag is how far groups are behind in the topics where they have offsets: those
// that are online, in what they subscribe to; those that are not, in all. Members
// that broadcast keep their offsets, so that nobody knows.
func (s *scrape) lag() {
	t := &s.kept.times
	t.last, t.next = t.next, make(map[storePlace]int64, len(t.next))
	l := &lags{s: s, pops: s.b.pops.InFlight(), groups: make(map[lagKey]lagging, len(s.kept.lags.listed))}
	s.b.offsets.Places(l.add)
	rows, rest, n := admit(&s.kept.lags, rowsOf(l.groups), s.limit, func(a, b lagKey) int {
		return cmp.Or(strings.Compare(a.topic, b.topic), strings.Compare(a.group, b.group), strings.Compare(yes(a.retry), yes(b.retry)))
	}, (*lagging).add)
	s.folded += n
	labels := s.labelled(len(rows), func(i int) []byte {
		k := &rows[i].key
		return s.with("consumer_group", k.group, "topic", k.topic, "is_retry", yes(k.retry), "is_system", s.isSystem(k.topic, k.group))
	})
	each := func(f promtext.Family, value func(*lagging) int64) {
		s.w.Begin(f)
		for i := range rows {
			breathe(i)
			s.w.Int(labels.at(i), value(&rows[i].v))
		}
		if n > 0 {
			s.w.Int(s.with("consumer_group", other, "topic", other, "is_retry", "false", "is_system", "false"), value(&rest))
		}
	}
	each(familyLag, func(l *lagging) int64 { return l.messages })
	each(familyLagTime, func(l *lagging) int64 { return s.ago(l.since) })
	each(familyInflight, func(l *lagging) int64 { return l.inflight })
	each(familyQueueing, func(l *lagging) int64 { return s.ago(l.readySince) })
	each(familyReady, func(l *lagging) int64 { return l.ready })
	s.queueLag(l.queues)
}

func (s *scrape) queueLag(rows []row[queueKey, lagging]) {
	rows, rest, n := admit(&s.kept.queues, rows, s.limit, queueKey.compare, (*lagging).add)
	s.folded += n
	labels := s.labelled(len(rows), func(i int) []byte {
		k := &rows[i].key
		return s.with("consumer_group", k.group, "topic", k.topic, "queue_id", strconv.Itoa(int(k.queue)))
	})
	each := func(f promtext.Family, value func(*lagging) float64) {
		s.w.Begin(f)
		for i := range rows {
			breathe(i)
			s.w.Sample(labels.at(i), value(&rows[i].v))
		}
		if n > 0 {
			s.w.Sample(s.with("consumer_group", other, "topic", other, "queue_id", other), value(&rest))
		}
	}
	each(familyQueueLag, func(l *lagging) float64 { return float64(l.messages) })
	each(familyQueueSince, func(l *lagging) float64 { return float64(s.ago(l.since)) / 1000 })
}

// ago is how many ms have passed since a time, 0 when there is none.
func (s *scrape) ago(at int64) int64 {
	if at == 0 {
		return 0
	}
	return max(s.now-at, 0)
}

// add adds a group's places in a topic.
func (l *lags) add(group, topic string, places []offset.Place) {
	l.seen++
	breathe(l.seen)
	b := l.s.b
	t, ok := b.topics.Get(topic)
	if _, known := b.groups.Get(group); !ok || !known {
		return
	}
	retry, of := strings.HasPrefix(topic, message.RetryPrefix), topic
	if retry {
		of = pop.TopicOf(topic, group)
	}
	if sub, online, broadcast := b.session.Subscription(group, of); online && (sub == nil || broadcast) {
		return
	}
	k := lagKey{topic: of, group: group, retry: retry}
	sum := l.groups[k]
	for _, p := range places {
		if p.Queue >= max(t.ReadQueueNums, t.WriteQueueNums) || p.Offset < 0 {
			continue
		}
		one := l.place(group, t, p)
		sum.add(&one)
		if one.messages > 0 {
			l.queues = append(l.queues, row[queueKey, lagging]{queueKey{topic, group, p.Queue}, one})
		}
	}
	l.groups[k] = sum
}

// place is how far a group is behind in one queue.
func (l *lags) place(group string, t *body.TopicConfig, p offset.Place) (v lagging) {
	b := l.s.b
	q := b.store.LookupQueue(t.TopicName, p.Queue)
	if q == nil {
		return v
	}
	// What is gone is not left to be consumed.
	end, from := q.Max(), max(p.Offset, q.Min())
	first, next := from, max(p.Pulled, from)
	if popped, ok := l.pops[pop.Place{Group: group, Topic: t.TopicName, Queue: p.Queue}]; ok {
		next = max(from, popped.Next)
		if first = next; popped.InFlight > 0 {
			first = min(first, popped.Oldest)
		}
		v.inflight = popped.InFlight
		v.messages = max(end-next, 0) + v.inflight
	} else {
		next = min(next, max(end, from))
		v.inflight = next - from
		v.messages = max(end-from, 0)
	}
	v.ready = max(end-next, 0)
	times := &l.s.kept.times
	if v.messages > 0 {
		v.since = times.at(b.store, q, first)
	}
	if v.ready > 0 {
		v.readySince = times.at(b.store, q, next)
	}
	return v
}

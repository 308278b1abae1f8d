// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/twostage/twostage/internal/broker/inflow"
	"github.com/twostage/twostage/internal/promtext"
	"github.com/twostage/twostage/message"
)

// Names says which names a scrape uses besides those of RocketMQ 5.
type Names struct {
	Exporter bool // adds those of rocketmq-exporter
	Units    bool // ends names with their unit, as the Prometheus listener of RocketMQ 5.2 and later does
}

const (
	// other is the value of labels under which stands what is too much. No topic and
	// no group can have the name.
	other = "(other)"
	// unnamable is that for groups whose names the broker keeps nothing under, such
	// as those of producers: any bytes, of any length, come in heartbeats.
	unnamable = "(invalid)"
)

// groupLabel is the value of a label for a group of a heartbeat.
func groupLabel(group string) string {
	if message.CheckGroup(group) != nil {
		return unnamable
	}
	return group
}

// scrapes is what is kept from one scrape to the next. Scrapes take turns.
type scrapes struct {
	mu   sync.Mutex
	size int // of the last answer

	topics   admission[inKey]
	out      admission[groupTopic]
	lags     admission[lagKey]
	queues   admission[queueKey]
	makers   admission[producerKey]
	takers   admission[consumerKey]
	settled  admission[string]
	half     admission[string]
	disputes admission[string]
	dead     admission[inflow.Dead]

	exported  [3]admission[string]
	senders   admission[string]
	members   admission[member]
	standings admission[groupTopic]

	times storeTimes
	took  time.Duration // by the last one
}

// scrape is one under way.
type scrape struct {
	b      *Broker
	kept   *scrapes
	w      *promtext.Writer
	limit  int
	now    int64  // ms since 1970
	node   []byte // labels of this broker
	labels []byte // scratch
	folded int    // label sets that stand under other
}

// AppendMetrics appends what there is one of for each topic, group or kind of
// request, as Prometheus's text: most is under the names of RocketMQ 5. It holds no
// lock of others for longer than it takes to copy what that guards. Before Open there
// is nothing. It may be called by any goroutine; calls take turns.
func (b *Broker) AppendMetrics(dst []byte, names Names) []byte {
	if !b.opened.Load() {
		return dst
	}
	m := &b.scrapes
	m.mu.Lock()
	defer m.mu.Unlock()
	began := time.Now()
	w := &promtext.Writer{Buf: slices.Grow(dst, m.size+m.size/8), Units: names.Units}
	s := &scrape{b: b, kept: m, w: w, limit: b.cfg.Metrics.MaxSeries, now: b.o.NowMillis()}
	s.node = promtext.AppendLabel(s.node, "cluster", b.cfg.Identity.Cluster)
	s.node = promtext.AppendLabel(s.node, "node_type", "broker")
	s.node = promtext.AppendLabel(s.node, "node_id", b.cfg.Identity.Name)
	s.traffic()
	s.deadLetters()
	s.connections()
	s.transactions()
	s.lag()
	s.requests()
	s.storage()
	if names.Exporter {
		s.exporter()
	}
	m.times.last = nil // what nobody asked for is not asked for again
	s.w.Begin(familyFolded)
	s.w.Int(s.node, int64(s.folded))
	s.w.Begin(familyTook)
	s.w.Sample(s.node, m.took.Seconds())
	m.took, m.size = time.Since(began), len(w.Buf)-len(dst)
	return w.Buf
}

var (
	familyFolded = promtext.Family{Name: "twostage_metrics_folded", Help: "Label sets that this scrape has put under the label value (other) (metricsOtelCardinalityLimit).", Kind: promtext.Gauge}
	familyTook   = promtext.Family{Name: "twostage_metrics_scrape_seconds", Help: "What the scrape before this one took.", Kind: promtext.Gauge}
)

// with is the labels of the node and name, value, ... It is valid until the next.
func (s *scrape) with(pairs ...string) []byte {
	s.labels = append(s.labels[:0], s.node...)
	for i := 0; i+1 < len(pairs); i += 2 {
		s.labels = promtext.AppendLabel(s.labels, pairs[i], pairs[i+1])
	}
	return s.labels
}

// labelSets is the labels of rows, one behind the other.
type labelSets struct {
	text []byte
	ends []int
}

func (l *labelSets) at(i int) []byte {
	if i == 0 {
		return l.text[:l.ends[0]]
	}
	return l.text[l.ends[i-1]:l.ends[i]]
}

// labelled makes the labels of n rows once for all families that have them.
func (s *scrape) labelled(n int, of func(i int) []byte) *labelSets {
	l := &labelSets{ends: make([]int, n)}
	for i := range n {
		breathe(i)
		l.text = append(l.text, of(i)...)
		if l.ends[i] = len(l.text); i == 0 {
			l.text = slices.Grow(l.text, len(l.text)*n*5/4)
		}
	}
	return l
}

// breathe lets others run, now and then in a loop over what may be many: a scrape
// must not keep a processor from sends for as long as the scheduler would let it.
func breathe(i int) {
	if i%256 == 255 {
		runtime.Gosched()
	}
}

func yes(b bool) string {
	if b {
		return "true"
	}
	return "false"
}

// isSystem is RocketMQ's label is_system.
func (s *scrape) isSystem(topic, group string) string {
	return yes(s.b.topics.IsSystem(topic) || message.IsSystemGroup(group))
}

// countedAs counts messages of a kind that consumers can see.
func (b *Broker) countedAs(k inflow.Kind) func(topic string, messages, bytes int) {
	return func(topic string, messages, bytes int) {
		b.stats.In(topic, messages, bytes)
		if message.IsSystemTopic(topic) { // there it only waits
			return
		}
		var t inflow.Tally
		t.Add(int64(messages), int64(bytes/max(messages, 1)))
		b.inflow.Add(topic, k, &t)
	}
}

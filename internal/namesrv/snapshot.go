// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package namesrv

import (
	"maps"
	"slices"
	"strings"

	"github.com/twostage/twostage/internal/wire/body"
)

// snapshot is what the name server knows at one moment. It never changes.
type snapshot struct {
	brokers map[string]body.BrokerData // by broker name; its maps are not changed either
	topics  topicMap
}

// Flags of QueueData.TopicSysFlag.
const (
	flagUnit    = 1
	flagUnitSub = 2
)

// route gives the route of a topic, false when no registered broker has it.
func (s *snapshot) route(topic string) (*body.TopicRouteData, bool) {
	queues := s.topics.get(topic)
	r := &body.TopicRouteData{QueueDatas: queues}
	for _, q := range queues {
		if b, ok := s.brokers[q.BrokerName]; ok {
			r.BrokerDatas = append(r.BrokerDatas, b)
		}
	}
	return r, len(r.BrokerDatas) > 0
}

// clusterNames gives the broker names of each cluster, sorted.
func (s *snapshot) clusterNames() map[string][]string {
	clusters := make(map[string][]string)
	for _, name := range slices.Sorted(maps.Keys(s.brokers)) {
		cluster := s.brokers[name].Cluster
		clusters[cluster] = append(clusters[cluster], name)
	}
	return clusters
}

func (s *snapshot) clusterInfo() *body.ClusterInfo {
	return &body.ClusterInfo{BrokerAddrTable: s.brokers, ClusterAddrTable: s.clusterNames()}
}

// topicNames lists the topics for which pick is true of some broker's queues.
func (s *snapshot) topicNames(pick func(body.QueueData) bool) *body.TopicList {
	list := &body.TopicList{}
	s.topics.each(func(topic string, queues []body.QueueData) {
		if slices.ContainsFunc(queues, pick) {
			list.TopicList = append(list.TopicList, topic)
		}
	})
	slices.Sort(list.TopicList)
	return list
}

func anyQueue(body.QueueData) bool { return true }

func unitTopic(q body.QueueData) bool { return q.TopicSysFlag&flagUnit != 0 }

func unitSubTopic(q body.QueueData) bool { return q.TopicSysFlag&flagUnitSub != 0 }

func unitSubOnlyTopic(q body.QueueData) bool { return unitSubTopic(q) && !unitTopic(q) }

// clusterTopics lists the topics that brokers of a cluster have.
func (s *snapshot) clusterTopics(cluster string) *body.TopicList {
	return s.topicNames(func(q body.QueueData) bool {
		b, ok := s.brokers[q.BrokerName]
		return ok && b.Cluster == cluster
	})
}

// systemTopics lists the names of clusters and brokers, which are topics of the
// brokers, and the address of one broker.
func (s *snapshot) systemTopics() *body.TopicList {
	list := &body.TopicList{}
	for cluster, names := range s.clusterNames() {
		list.TopicList = append(append(list.TopicList, cluster), names...)
	}
	slices.Sort(list.TopicList)
	list.TopicList = slices.Compact(list.TopicList)
	for _, name := range slices.Sorted(maps.Keys(s.brokers)) {
		addrs := s.brokers[name].BrokerAddrs
		list.BrokerAddr = addrs[slices.Min(slices.Collect(maps.Keys(addrs)))]
		break
	}
	return list
}

// shards is how many parts a topicMap has: a change of one topic copies one part.
const shards = 256

// topicMap maps a topic to the queues of its brokers, sorted by broker name. It
// never changes; edit makes another.
type topicMap struct {
	parts *[shards]map[string][]body.QueueData // nil: empty
}

// shard is FNV-1a, folded.
func shard(topic string) int {
	h := uint32(2166136261)
	for i := range len(topic) {
		h = (h ^ uint32(topic[i])) * 16777619
	}
	return int((h ^ h>>8 ^ h>>16 ^ h>>24) % shards)
}

func (m topicMap) get(topic string) []body.QueueData {
	if m.parts == nil {
		return nil
	}
	return m.parts[shard(topic)][topic]
}

func (m topicMap) each(fn func(topic string, queues []body.QueueData)) {
	if m.parts == nil {
		return
	}
	for _, part := range m.parts {
		for topic, queues := range part {
			fn(topic, queues)
		}
	}
}

// edit begins a changed copy.
func (m topicMap) edit() *topicEdit {
	e := &topicEdit{parts: new([shards]map[string][]body.QueueData)}
	if m.parts != nil {
		*e.parts = *m.parts
	}
	return e
}

// topicEdit is a topicMap being made.
type topicEdit struct {
	parts *[shards]map[string][]body.QueueData
	own   [shards]bool // the part is a copy
}

func (e *topicEdit) part(topic string) map[string][]body.QueueData {
	i := shard(topic)
	if !e.own[i] {
		e.own[i] = true
		if e.parts[i] = maps.Clone(e.parts[i]); e.parts[i] == nil {
			e.parts[i] = make(map[string][]body.QueueData)
		}
	}
	return e.parts[i]
}

func find(queues []body.QueueData, broker string) (int, bool) {
	return slices.BinarySearchFunc(queues, broker, func(q body.QueueData, name string) int {
		return strings.Compare(q.BrokerName, name)
	})
}

// put sets the queues that q's broker has of a topic.
func (e *topicEdit) put(topic string, q body.QueueData) {
	queues := e.parts[shard(topic)][topic]
	i, found := find(queues, q.BrokerName)
	switch {
	case !found:
		queues = slices.Insert(slices.Clone(queues), i, q)
	case queues[i] == q:
		return
	default:
		queues = slices.Clone(queues)
		queues[i] = q
	}
	e.part(topic)[topic] = queues
}

// remove takes the queues of a broker away from a topic, and the topic when none
// are left.
func (e *topicEdit) remove(topic, broker string) {
	queues := e.parts[shard(topic)][topic]
	i, found := find(queues, broker)
	if !found {
		return
	}
	if len(queues) == 1 {
		delete(e.part(topic), topic)
		return
	}
	e.part(topic)[topic] = slices.Delete(slices.Clone(queues), i, i+1)
}

// drop takes a topic away.
func (e *topicEdit) drop(topic string) {
	if _, ok := e.parts[shard(topic)][topic]; ok {
		delete(e.part(topic), topic)
	}
}

func (e *topicEdit) done() topicMap { return topicMap{parts: e.parts} }

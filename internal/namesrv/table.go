// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package namesrv

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/twostage/twostage/internal/wire/body"
)

const (
	// silence is how long a broker may say nothing.
	silence = 120 * time.Second
	// maxPerConn bounds the brokers that register over one connection.
	maxPerConn = 256
)

// Bits of a topic's permission.
const (
	permWrite = 1 << 1
	permRead  = 1 << 2
)

// masterID is the broker id of masters.
const masterID = 0

// peer is the connection that a broker registered over.
type peer interface {
	comparable
	Closed() <-chan struct{}
	RemoteAddr() netip.AddrPort
}

// identity says which broker is meant.
type identity struct {
	cluster, name, addr string
	id                  int64
}

func (i identity) String() string {
	return fmt.Sprintf("broker %q id %d of cluster %q at %s", i.name, i.id, i.cluster, i.addr)
}

// check refuses what no broker can be called.
func (i identity) check() error {
	if i.cluster == "" || i.name == "" {
		return fmt.Errorf("%v: clusterName and brokerName must not be empty", i)
	}
	if i.id < 0 {
		return fmt.Errorf("%v: brokerId must not be negative", i)
	}
	host, port, err := net.SplitHostPort(i.addr)
	if n, perr := strconv.ParseUint(port, 10, 16); err != nil || perr != nil || host == "" || n == 0 {
		return fmt.Errorf("%v: brokerAddr must be host:port", i)
	}
	return nil
}

// registration is what a broker says of itself.
type registration struct {
	identity
	haAddr  string
	timeout time.Duration // silence that is allowed; 0: the usual
	version body.DataVersion
	topics  map[string]body.TopicConfig
}

// live is a registered broker.
type live[P peer] struct {
	identity
	haAddr  string
	timeout time.Duration
	version body.DataVersion
	peer    P
	heard   time.Time
	partial bool // it began with one topic, which may be a part of its table
}

func (l *live[P]) alive() bool {
	select {
	case <-l.peer.Closed():
		return false
	default:
		return true
	}
}

// table is who is registered. Its methods are for one goroutine at a time; the
// snapshots it gives may be read by any.
type table[P peer] struct {
	byAddr map[string]*live[P]
	now    *snapshot
}

func newTable[P peer]() *table[P] {
	return &table[P]{byAddr: make(map[string]*live[P]), now: &snapshot{}}
}

// conflictError says why a broker may not register.
type conflictError struct {
	who   identity
	other identity
	via   netip.AddrPort
	ago   time.Duration
	why   string
}

func (e *conflictError) Error() string {
	return fmt.Sprintf("refused %v: %s: %v is registered over the connection from %s and was heard %v ago",
		e.who, e.why, e.other, e.via, e.ago.Round(time.Millisecond))
}

// result is what a broker learns by registering.
type result struct {
	masterAddr, haAddr string // of the master; for slaves only
	first              bool
}

// register takes a broker in or keeps it.
func (t *table[P]) register(r *registration, p P, now time.Time) (result, error) {
	if err := r.check(); err != nil {
		return result{}, err
	}
	if err := t.admit(r, p, now); err != nil {
		return result{}, err
	}
	old := t.byAddr[r.addr]
	if old != nil && old.identity != r.identity {
		// The address is listed once: it may have changed from slave to master.
		t.remove(old)
		old = nil
	}
	for _, other := range t.byAddr { // what admit let pass is gone or replaced
		if other != old && other.name == r.name && (other.id == r.id || other.cluster != r.cluster) {
			t.remove(other)
		}
	}
	first := old == nil
	l := &live[P]{identity: r.identity, haAddr: r.haAddr, timeout: r.timeout, version: r.version, peer: p, heard: now}
	if l.timeout <= 0 {
		l.timeout = silence
	}
	l.partial = len(r.topics) <= 1 && (first || old.partial)
	t.byAddr[r.addr] = l
	next := *t.now
	if first {
		next.brokers = t.withAddr(r.identity)
	}
	if r.id == masterID && (first || old.version != r.version || old.peer != p || old.partial && !l.partial) {
		next.topics = withTopics(next.topics, r.name, r.topics)
	}
	t.now = &next
	res := result{first: first}
	if r.id != masterID {
		if addr, ok := next.brokers[r.name].BrokerAddrs[masterID]; ok {
			res.masterAddr, res.haAddr = addr, t.byAddr[addr].haAddr
		}
	}
	return res, nil
}

// admit refuses a broker that would take another one's place.
func (t *table[P]) admit(r *registration, p P, now time.Time) error {
	count := 0
	for _, other := range t.byAddr {
		if other.peer == p && other.addr != r.addr {
			count++
		}
		why := ""
		switch {
		case other.addr == r.addr && other.name != r.name && other.peer != p:
			why = "its address belongs to another broker; set brokerIP1 and listenPort so that each broker has its own"
		case other.addr == r.addr || other.name != r.name:
		case other.cluster != r.cluster:
			why = "its name belongs to another cluster; give it another brokerName"
		case other.id == r.id:
			why = "its name and id belong to a broker at another address; give it another brokerName or brokerId, or stop the other"
		}
		if why != "" && other.alive() && now.Sub(other.heard) < other.timeout {
			return &conflictError{who: r.identity, other: other.identity, via: other.peer.RemoteAddr(), ago: now.Sub(other.heard), why: why}
		}
	}
	if count >= maxPerConn {
		return fmt.Errorf("refused %v: %d brokers are registered over this connection already", r.identity, count)
	}
	return nil
}

func (t *table[P]) withAddr(i identity) map[string]body.BrokerData {
	brokers := maps.Clone(t.now.brokers)
	if brokers == nil {
		brokers = make(map[string]body.BrokerData)
	}
	b := brokers[i.name]
	b.Cluster, b.BrokerName, b.BrokerAddrs = i.cluster, i.name, maps.Clone(b.BrokerAddrs)
	if b.BrokerAddrs == nil {
		b.BrokerAddrs = make(map[int64]string)
	}
	b.BrokerAddrs[i.id] = i.addr
	brokers[i.name] = b
	return brokers
}

func withTopics(m topicMap, broker string, topics map[string]body.TopicConfig) topicMap {
	e := m.edit()
	for name, c := range topics {
		if c.TopicName != "" {
			name = c.TopicName
		}
		e.put(name, body.QueueData{
			BrokerName: broker, ReadQueueNums: c.ReadQueueNums, WriteQueueNums: c.WriteQueueNums,
			Perm: c.Perm, TopicSysFlag: c.TopicSysFlag,
		})
	}
	return e.done()
}

// remove takes a broker out, and its topics when it was the last of its name.
func (t *table[P]) remove(l *live[P]) {
	delete(t.byAddr, l.addr)
	next := *t.now
	next.brokers = maps.Clone(next.brokers)
	b := next.brokers[l.name]
	b.BrokerAddrs = maps.Clone(b.BrokerAddrs)
	delete(b.BrokerAddrs, l.id)
	next.brokers[l.name] = b
	if len(b.BrokerAddrs) == 0 {
		delete(next.brokers, l.name)
		e := next.topics.edit()
		next.topics.each(func(topic string, _ []body.QueueData) { e.remove(topic, l.name) })
		next.topics = e.done()
	}
	t.now = &next
}

// unregister takes a broker out at its own wish. One that is registered from
// another address, or as another, stays.
func (t *table[P]) unregister(i identity) bool {
	l := t.byAddr[i.addr]
	if l == nil || l.identity != i {
		return false
	}
	t.remove(l)
	return true
}

// dropPeer takes out who registered over p.
func (t *table[P]) dropPeer(p P) (gone []identity) {
	for _, l := range t.byAddr {
		if l.peer == p {
			gone = append(gone, l.identity)
			t.remove(l)
		}
	}
	return gone
}

// expire takes out who was silent for too long and gives them.
func (t *table[P]) expire(now time.Time) (gone []*live[P]) {
	for _, l := range t.byAddr {
		if now.Sub(l.heard) >= l.timeout {
			gone = append(gone, l)
			t.remove(l)
		}
	}
	return gone
}

// version gives the data version of a broker and whether it is there as the one
// it says it is. same says that v is that version: then it counts as heard.
func (t *table[P]) version(i identity, v body.DataVersion, p P, now time.Time) (have body.DataVersion, same, known bool) {
	l := t.byAddr[i.addr]
	if l == nil || l.identity != i {
		return have, false, false
	}
	// Asked over a new connection it must register: when the old one ends, what
	// came over that one goes.
	same = l.version == v && l.peer == p && !l.partial
	if same {
		l.heard = now
	}
	return l.version, same, true
}

// touch notes that a broker is alive.
func (t *table[P]) touch(cluster, addr string, now time.Time) bool {
	l := t.byAddr[addr]
	if l == nil || l.cluster != cluster {
		return false
	}
	l.heard = now
	return true
}

// deleteTopic takes a topic from the brokers of a cluster, of all when it is "".
func (t *table[P]) deleteTopic(topic, cluster string) {
	next := *t.now
	e := next.topics.edit()
	if cluster == "" {
		e.drop(topic)
	}
	for name, b := range next.brokers {
		if b.Cluster == cluster {
			e.remove(topic, name)
		}
	}
	next.topics = e.done()
	t.now = &next
}

// registerTopic sets what brokers have of a topic. All must be registered.
func (t *table[P]) registerTopic(topic string, queues []body.QueueData) error {
	next := *t.now
	e := next.topics.edit()
	for _, q := range queues {
		if _, ok := next.brokers[q.BrokerName]; !ok {
			return fmt.Errorf("topic %q: broker %q is not registered", topic, q.BrokerName)
		}
		e.put(topic, q)
	}
	next.topics = e.done()
	t.now = &next
	return nil
}

// setWrite gives or takes the write permission of a broker's topics, and counts
// them. Given, they are readable and writable and no more, as in RocketMQ.
func (t *table[P]) setWrite(broker string, on bool) (count int32) {
	next := *t.now
	e := next.topics.edit()
	next.topics.each(func(topic string, queues []body.QueueData) {
		i := slices.IndexFunc(queues, func(q body.QueueData) bool { return q.BrokerName == broker })
		if i < 0 {
			return
		}
		q := queues[i]
		if q.Perm &^= permWrite; on {
			q.Perm = permRead | permWrite
		}
		e.put(topic, q)
		count++
	})
	next.topics = e.done()
	t.now = &next
	return count
}

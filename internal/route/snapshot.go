// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package route

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/twostage/twostage/internal/wire/body"
)

// MaxQueues is how many queues to publish to, or to read from, a route may have.
const MaxQueues = 1 << 20

// Bits of a topic's permission.
const (
	permWrite = 1 << 1
	permRead  = 1 << 2
)

// Broker is where the master and the slaves of a broker name are.
type Broker struct {
	Name    string
	Cluster string
	addrs   map[int64]string // "host:port" by broker id
}

// Snapshot is the route of a topic at one moment.
type Snapshot struct {
	topic     string
	orderConf string
	write     []body.MessageQueue
	read      []body.MessageQueue
	queues    []body.QueueData // by broker name
	brokers   []Broker         // by name
	index     map[string]int   // in brokers
}

// New makes a snapshot of data, of which it keeps nothing that could change.
func New(topic string, data *body.TopicRouteData) (*Snapshot, error) {
	s := &Snapshot{topic: topic, orderConf: data.OrderTopicConf, index: make(map[string]int, len(data.BrokerDatas))}
	if err := s.setBrokers(data.BrokerDatas); err != nil {
		return nil, fmt.Errorf("route of topic %q: %w", topic, err)
	}
	s.queues = slices.Clone(data.QueueDatas)
	slices.SortStableFunc(s.queues, func(a, b body.QueueData) int { return cmp.Compare(a.BrokerName, b.BrokerName) })
	s.queues = slices.CompactFunc(s.queues, func(a, b body.QueueData) bool { return a.BrokerName == b.BrokerName })
	if err := s.setQueues(); err != nil {
		return nil, fmt.Errorf("route of topic %q: %w", topic, err)
	}
	return s, nil
}

func (s *Snapshot) setBrokers(all []body.BrokerData) error {
	for _, b := range all {
		if b.BrokerName == "" {
			return fmt.Errorf("a broker of cluster %q has no name", b.Cluster)
		}
		for id := range b.BrokerAddrs {
			if id < 0 {
				return fmt.Errorf("broker %q has the id %d", b.BrokerName, id)
			}
		}
		s.brokers = append(s.brokers, Broker{Name: b.BrokerName, Cluster: b.Cluster, addrs: maps.Clone(b.BrokerAddrs)})
	}
	slices.SortStableFunc(s.brokers, func(a, b Broker) int { return cmp.Compare(a.Name, b.Name) })
	s.brokers = slices.CompactFunc(s.brokers, func(a, b Broker) bool { return a.Name == b.Name })
	for i := range s.brokers {
		s.index[s.brokers[i].Name] = i
	}
	return nil
}

func (s *Snapshot) setQueues() (err error) {
	for _, q := range s.queues {
		if q.BrokerName == "" || q.ReadQueueNums < 0 || q.WriteQueueNums < 0 {
			return fmt.Errorf("broker %q has %d queues to write and %d to read", q.BrokerName, q.WriteQueueNums, q.ReadQueueNums)
		}
		if q.Perm&permRead != 0 {
			if s.read, err = s.add(s.read, q.BrokerName, q.ReadQueueNums); err != nil {
				return err
			}
		}
		_, master := s.MasterAddr(q.BrokerName)
		if s.orderConf == "" && q.Perm&permWrite != 0 && master {
			if s.write, err = s.add(s.write, q.BrokerName, q.WriteQueueNums); err != nil {
				return err
			}
		}
	}
	if s.orderConf == "" {
		return nil
	}
	s.write, err = s.orderQueues()
	return err
}

func (s *Snapshot) add(to []body.MessageQueue, broker string, n int32) ([]body.MessageQueue, error) {
	if len(to)+int(n) > MaxQueues {
		return nil, fmt.Errorf("more than %d queues, with %d of broker %q", MaxQueues, n, broker)
	}
	to = slices.Grow(to, int(n))
	for id := range n {
		to = append(to, body.MessageQueue{Topic: s.topic, BrokerName: broker, QueueID: id})
	}
	return to, nil
}

// orderQueues gives the queues of the order configuration, in its order.
func (s *Snapshot) orderQueues() (queues []body.MessageQueue, err error) {
	for part := range strings.SplitSeq(s.orderConf, ";") {
		if part == "" {
			continue // Java drops empty parts at the end
		}
		broker, count, _ := strings.Cut(part, ":")
		n, err := strconv.ParseInt(count, 10, 32)
		if err != nil || n < 0 || broker == "" {
			return nil, fmt.Errorf("order configuration %.200q: %.200q is not broker:queues", s.orderConf, part)
		}
		if queues, err = s.add(queues, broker, int32(n)); err != nil {
			return nil, err
		}
	}
	return queues, nil
}

// Topic is the name of the topic.
func (s *Snapshot) Topic() string { return s.topic }

// Ordered says whether the topic has an order configuration.
func (s *Snapshot) Ordered() bool { return s.orderConf != "" }

// WriteQueues are the queues to publish to. The caller must not change the slice.
func (s *Snapshot) WriteQueues() []body.MessageQueue { return s.write }

// ReadQueues are the queues to read from. The caller must not change the slice.
func (s *Snapshot) ReadQueues() []body.MessageQueue { return s.read }

// QueueDatas are the queue counts and permissions by broker, sorted by its name.
// The caller must not change the slice.
func (s *Snapshot) QueueDatas() []body.QueueData { return s.queues }

// Brokers are the brokers of the route, sorted by name. The caller must not
// change the slice.
func (s *Snapshot) Brokers() []Broker { return s.brokers }

// Broker finds a broker by name.
func (s *Snapshot) Broker(name string) (Broker, bool) {
	if b := s.broker(name); b != nil {
		return *b, true
	}
	return Broker{}, false
}

// broker finds a broker by name, nil if it is not there. A few are compared more
// quickly than looked up.
func (s *Snapshot) broker(name string) *Broker {
	const few = 4
	if len(s.brokers) > few {
		if i, ok := s.index[name]; ok {
			return &s.brokers[i]
		}
		return nil
	}
	for i := range s.brokers {
		if s.brokers[i].Name == name {
			return &s.brokers[i]
		}
	}
	return nil
}

// MasterAddr is the address, as host:port, of a broker's master. Publishing,
// transactions, offsets to be committed and locks go there.
func (s *Snapshot) MasterAddr(broker string) (addr string, ok bool) {
	b := s.broker(broker)
	if b == nil {
		return "", false
	}
	return b.Addr(0)
}

// ReadAddr is the address to pull from: of the given broker id; where that is
// gone, of the next higher id if the given one is a slave's; else of the lowest
// id there is.
func (s *Snapshot) ReadAddr(broker string, id int64) (addr string, gotID int64, ok bool) {
	b, _ := s.Broker(broker)
	if addr, ok = b.Addr(id); ok {
		return addr, id, true
	}
	if id > 0 {
		if addr, ok = b.Addr(id + 1); ok {
			return addr, id + 1, true
		}
	}
	for _, id := range b.IDs() {
		if addr, ok = b.Addr(id); ok {
			return addr, id, true
		}
	}
	return "", 0, false
}

// Equal says whether both snapshots say the same of the same topic. A nil
// snapshot equals nil only.
func (s *Snapshot) Equal(o *Snapshot) bool {
	if s == nil || o == nil {
		return s == o
	}
	return s.topic == o.topic && s.orderConf == o.orderConf && slices.Equal(s.queues, o.queues) &&
		slices.EqualFunc(s.brokers, o.brokers, func(a, b Broker) bool {
			return a.Name == b.Name && a.Cluster == b.Cluster && maps.Equal(a.addrs, b.addrs)
		})
}

// Addr is the address, as host:port, of the broker with that id; 0 is the master.
func (b Broker) Addr(id int64) (addr string, ok bool) {
	addr, ok = b.addrs[id]
	return addr, ok && addr != ""
}

// IDs are the ids of the brokers of that name, in ascending order.
func (b Broker) IDs() []int64 { return slices.Sorted(maps.Keys(b.addrs)) }

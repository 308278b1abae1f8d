// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package consume

import (
	"context"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
)

const (
	beat        = 300 * time.Millisecond // between heartbeats, with a rebalance each
	callTimeout = 3 * time.Second
	held        = 500 * time.Millisecond // of a pull or pop that finds nothing
)

// member is a client of a consumer group, in goroutines of its own, with a
// connection of its own.
type member struct {
	w     *world
	g     group
	id    string
	names []string // of the topics it subscribes to

	client *remoting.Client
	call   rpc.Caller
	ctx    context.Context
	cancel context.CancelFunc
	leave  chan struct{} // closed when it is to go in good order
	ended  chan struct{}
	poke   chan struct{}
	work   sync.WaitGroup

	mu      sync.Mutex
	conns   map[net.Conn]bool
	thawed  chan struct{}     // closed when it is not frozen
	tenures map[queue]*tenure // of run alone
	life    int               // of the broker when the locks were taken; of run alone
}

// join starts a client of a group.
func (w *world) join(g group, id string) *member {
	m := &member{
		w: w, g: g, id: id, names: []string{g.topic}, leave: make(chan struct{}), ended: make(chan struct{}), poke: make(chan struct{}, 1),
		conns: make(map[net.Conn]bool), thawed: make(chan struct{}), tenures: make(map[queue]*tenure),
	}
	close(m.thawed)
	if !g.pop {
		m.names = append(m.names, g.retryTopics()...)
	}
	m.ctx, m.cancel = context.WithCancel(w.ctx)
	m.client = remoting.NewClient(remoting.ClientConfig{
		Language: wire.LanguageJava, Version: wire.Version, Dial: m.dial,
		Routes: func(code int32) (remoting.Route, bool) {
			return remoting.Route{Handler: m.told}, code == wire.ReqNotifyConsumerIDsChanged
		},
	})
	m.call = gate{m, w.cfg.fault(id, m.client)}
	go m.run()
	return m
}

func (m *member) dial(ctx context.Context, addr string) (net.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.conns[c] = true
	return c, nil
}

// told serves the broker's word that the group has changed.
func (m *member) told(*remoting.Request) {
	select {
	case m.poke <- struct{}{}:
	default:
	}
}

// gate holds the calls of a client that is frozen.
type gate struct {
	m *member
	rpc.Caller
}

func (g gate) Invoke(ctx context.Context, addr string, req *wire.Request) (*wire.Command, error) {
	if err := g.m.warm(ctx); err != nil {
		return nil, err
	}
	answer, err := g.Caller.Invoke(ctx, addr, req)
	if err := g.m.warm(ctx); err != nil {
		return nil, err
	}
	return answer, err
}

// warm waits until the client is not frozen.
func (m *member) warm(ctx context.Context) error {
	m.mu.Lock()
	thawed := m.thawed
	m.mu.Unlock()
	select {
	case <-thawed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// freeze stops everything that the client does, until the function that it gives
// is called.
func (m *member) freeze() (thaw func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	thawed := make(chan struct{})
	m.thawed = thawed
	return sync.OnceFunc(func() { close(thawed) })
}

// pause waits; false when the client is gone.
func (m *member) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return m.warm(m.ctx) == nil
	case <-m.ctx.Done():
		return false
	}
}

// note adds to the history, unless the client is gone.
func (m *member) note(e event) bool {
	return m.w.history.addIf(func(int) bool { return m.ctx.Err() == nil }, m.mine(e))
}

// ask notes that something is asked, and gives its number.
func (m *member) ask(e event) int { return m.w.history.add(m.mine(e)) }

func (m *member) mine(e event) event {
	e.group, e.who = m.g.name, m.id
	return e
}

// timed bounds a call.
func (m *member) timed() (context.Context, context.CancelFunc) {
	return context.WithTimeout(m.ctx, callTimeout)
}

// crash cuts the connection without a word and drops all state.
func (m *member) crash() {
	m.cancel()
	m.w.history.add(m.mine(event{kind: crashed}))
	m.mu.Lock()
	for c := range m.conns {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = c.Close()
	}
	m.mu.Unlock()
	<-m.ended
}

// part goes in good order and waits for that.
func (m *member) part() {
	close(m.leave)
	<-m.ended
}

// run is the client's life.
func (m *member) run() {
	defer close(m.ended)
	defer func() { _ = m.client.Close() }()
	defer m.work.Wait()
	defer m.cancel()
	if m.g.pop {
		m.heartbeat()
		m.startPops()
	} else if m.g.orderly {
		m.forget()
	}
	for {
		m.heartbeat()
		if !m.g.pop {
			m.rebalance()
			for _, t := range m.tenures {
				t.commit()
			}
		} else if m.g.storesOffsets() {
			m.look()
		}
		wait := time.NewTimer(beat/2 + rand.N(beat))
		select {
		case <-m.poke:
		case <-wait.C:
		case <-m.leave:
			wait.Stop()
			m.goodbye()
			return
		case <-m.ctx.Done():
			wait.Stop()
			return
		}
		wait.Stop()
	}
}

func (m *member) heartbeat() {
	d := body.ConsumerData{
		GroupName: m.g.name, ConsumeType: body.ConsumePassively, MessageModel: body.Clustering, ConsumeFromWhere: body.ConsumeFromFirstOffset,
	}
	for _, name := range m.names {
		d.SubscriptionDataSet = append(d.SubscriptionDataSet, body.SubscriptionData{Topic: name, SubString: "*", ExpressionType: "TAG", SubVersion: 1})
	}
	ctx, cancel := m.timed()
	defer cancel()
	_ = rpc.Heartbeat(ctx, m.call, m.w.addr(), &body.HeartbeatData{ClientID: m.id, ConsumerDataSet: []body.ConsumerData{d}})
}

// goodbye gives everything back.
func (m *member) goodbye() {
	for q := range m.tenures {
		m.drop(q)
	}
	if m.g.pop {
		m.work.Wait()
	}
	ctx, cancel := m.timed()
	defer cancel()
	_ = rpc.Unregister(ctx, m.call, m.w.addr(), &header.UnregisterClientRequest{ClientID: m.id, ConsumerGroup: m.g.name})
}

// rebalance takes the queues that are this client's by the list of the group's
// clients, and gives up those that are not.
func (m *member) rebalance() {
	ctx, cancel := m.timed()
	defer cancel()
	ids, err := rpc.ConsumerList(ctx, m.call, m.w.addr(), m.g.name)
	if err != nil {
		return
	}
	slices.Sort(ids)
	want := make(map[queue]bool)
	for _, name := range m.names {
		n := int32(queues)
		if name != m.g.topic {
			n = 1
		}
		from, to := average(int(n), len(ids), slices.Index(ids, m.id))
		for q := from; q < to; q++ {
			want[queue{name, int32(q)}] = true
		}
	}
	for q, t := range m.tenures {
		if !want[q] || t.over() {
			m.drop(q)
		}
	}
	if m.g.orderly {
		want = m.lock(want)
	}
	for q := range want {
		if m.tenures[q] == nil {
			m.take(q)
		}
		if m.g.orderly && m.tenures[q] == nil { // it could not be taken
			m.unlock(q)
		}
	}
}

// average is RocketMQ's allocation by averages: consecutive queues, and one more
// for each of the first clients where they do not come out even.
func average(queues, clients, index int) (from, to int) {
	if index < 0 {
		return 0, 0
	}
	each, more := queues/clients, queues%clients
	from = index*each + min(index, more)
	to = from + each
	if index < more {
		to++
	}
	return from, to
}

// lock takes and renews the locks of queues, and gives those that it got. Those
// that it did not are given up.
func (m *member) lock(want map[queue]bool) map[queue]bool {
	b := &body.LockBatchRequestBody{ConsumerGroup: m.g.name, ClientID: m.id}
	asked := make(map[queue]int)
	life := m.w.history.lifeNow()
	for q := range want {
		b.MqSet = append(b.MqSet, body.MessageQueue{Topic: q.topic, BrokerName: brokerName, QueueID: q.id})
		asked[q] = m.ask(event{kind: lockAsked, q: q})
	}
	if len(want) == 0 {
		return nil
	}
	ctx, cancel := m.timed()
	defer cancel()
	locked, err := rpc.LockBatch(ctx, m.call, m.w.addr(), b)
	if err != nil {
		return nil
	}
	got := make(map[queue]bool)
	for _, mq := range locked {
		q := queue{mq.Topic, mq.QueueID}
		of, ok := asked[q]
		if !ok {
			m.w.fail("%s locked %v, which it did not ask for", m.id, mq)
			continue
		}
		m.note(event{kind: lockDone, of: of})
		got[q] = true
	}
	for q, t := range m.tenures {
		if !got[q] {
			t.lose()
			m.drop(q)
		}
	}
	m.life = life
	return got
}

// forget gives back what one of this name may have had that crashed: the group may
// have given those queues to others, who would wait until its locks expire.
func (m *member) forget() {
	for q := range int32(queues) {
		m.unlock(queue{m.g.topic, q})
	}
	m.unlock(queue{m.g.retryTopics()[0], 0})
}

// unlock gives a lock back.
func (m *member) unlock(q queue) {
	m.ask(event{kind: unlockAsked, q: q})
	ctx, cancel := m.timed()
	defer cancel()
	_ = rpc.UnlockBatch(ctx, m.call, m.w.addr(), &body.LockBatchRequestBody{
		ConsumerGroup: m.g.name, ClientID: m.id, MqSet: []body.MessageQueue{{Topic: q.topic, BrokerName: brokerName, QueueID: q.id}},
	})
}

// TestAverage holds that each queue is one client's.
func TestAverage(t *testing.T) {
	for n := range 12 {
		for clients := 1; clients < 15; clients++ {
			behind := 0
			for i := range clients {
				from, to := average(n, clients, i)
				if from != behind || to < from || to-from > n/clients+1 || to-from < n/clients {
					t.Errorf("%d queues, client %d of %d: %d to %d", n, i, clients, from, to)
				}
				behind = to
			}
			if behind != n {
				t.Errorf("%d queues, %d clients: %d are allocated", n, clients, behind)
			}
		}
	}
	if from, to := average(4, 3, -1); from != to {
		t.Errorf("a client that is not in the list has %d to %d", from, to)
	}
}

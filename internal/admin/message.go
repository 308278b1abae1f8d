// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"

	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// ErrNoMessage: no broker has the message.
var ErrNoMessage = errors.New("no such message")

const (
	// queryMost is how many messages are asked of a broker by key at once; where it may give
	// fewer (maxMsgsNumBatch, and defaultQueryMaxNum of a unique key), half of it is a full page, too.
	queryMost = 64
	// queryPages is how often a broker is asked for one key.
	queryPages = 256
)

// MessagesByKey finds messages of a topic by a key of theirs that were stored between
// begin and end in milliseconds, both included, 0 for end meaning now and later;
// oldest first, at most limit, 0 for all. more says that there may be others: above
// limit, older ones than queryPages pages of a broker, or of a second in which more were
// stored than it gives at once. ErrNoMessage when there is none. Brokers that do not
// answer are errors beside what the others say.
func (a *Admin) MessagesByKey(ctx context.Context, topic, key string, begin, end int64, limit int) (list []*message.Received, more bool, err error) {
	if end == 0 {
		end = math.MaxInt64 >> 1
	}
	h := &header.QueryMessageRequest{Topic: topic, Key: key, MaxNum: queryMost, BeginTimestamp: begin, EndTimestamp: end}
	list, more, err = a.query(ctx, h, func(m *message.Received) bool { return slices.Contains(m.Keys(), key) || m.UniqueKey() == key })
	if limit > 0 && len(list) > limit {
		list, more = list[:limit], true
	}
	return list, more, err
}

// MessagesByUniqueKey finds the messages of a topic that have a unique key, which
// are several when the producer or a tool has sent it again: the last ones, where
// they are more than a broker gives (defaultQueryMaxNum).
func (a *Admin) MessagesByUniqueKey(ctx context.Context, topic, id string) ([]*message.Received, error) {
	h := &header.QueryMessageRequest{Topic: topic, Key: id, MaxNum: queryMost, EndTimestamp: math.MaxInt64 >> 1, UniqueKey: true}
	list, _, err := a.query(ctx, h, func(m *message.Received) bool { return m.UniqueKey() == id })
	return list, err
}

// query asks the masters that have the topic. What the index gives is compared: it
// knows only hashes of keys.
func (a *Admin) query(ctx context.Context, h *header.QueryMessageRequest, wanted func(*message.Received) bool) (list []*message.Received, more bool, err error) {
	queues, err := a.Queues(ctx, "", h.Topic)
	if err != nil {
		return nil, false, err
	}
	var errs []error
	asked := map[string]bool{}
	for _, q := range queues {
		if asked[q.Broker] {
			continue
		}
		asked[q.Broker] = true
		found, others, err := a.queryAt(ctx, q, *h)
		if err != nil {
			errs = append(errs, fmt.Errorf("broker %s: %w", q.Broker, err))
		}
		more = more || others
		list = append(list, slices.DeleteFunc(found, func(m *message.Received) bool { return m.Topic != h.Topic || !wanted(m) })...)
	}
	if len(list) == 0 && len(errs) == 0 && !more {
		return nil, false, fmt.Errorf("%w: topic %s has none with key %q", ErrNoMessage, h.Topic, h.Key)
	}
	slices.SortStableFunc(list, func(x, y *message.Received) int { return x.StoreTime.Compare(y.StoreTime) })
	return list, more, errors.Join(errs...)
}

// queryAt asks one broker, which gives the last ones, for page after page up to the
// oldest of the page before. The index counts whole seconds: a page that brings nothing
// new is of one second, and what else is of it cannot be had.
func (a *Admin) queryAt(ctx context.Context, q Queue, h header.QueryMessageRequest) (list []*message.Received, more bool, err error) {
	known := map[int64]bool{} // by place in the log
	for range queryPages {
		page, err := a.queryPage(ctx, q, &h)
		if err != nil {
			return list, more, err
		}
		fresh, oldest := 0, int64(math.MaxInt64)
		for _, m := range page {
			oldest = min(oldest, m.StoreTime.UnixMilli())
			if !known[m.PhysicalOffset] {
				known[m.PhysicalOffset] = true
				list = append(list, m)
				fresh++
			}
		}
		if h.UniqueKey || len(page) < queryMost/2 {
			return list, more, nil
		}
		if fresh == 0 {
			more = more || len(page) >= queryMost
			oldest -= 1000
		}
		if h.EndTimestamp = oldest; oldest < h.BeginTimestamp {
			return list, more, nil
		}
	}
	return list, true, nil
}

func (a *Admin) queryPage(ctx context.Context, q Queue, h *header.QueryMessageRequest) (list []*message.Received, err error) {
	err = a.request(ctx, q.addr, func(ctx context.Context, addr string) error {
		records, _, err := rpc.QueryMessage(ctx, a.caller, addr, h)
		switch {
		case errors.Is(err, rpc.QueryNotFound):
			return nil
		case err != nil:
			return err
		}
		list, err = message.DecodeReceived(records)
		return err
	})
	for _, m := range list {
		m.BrokerName = q.Broker
	}
	return list, err
}

// MessageByOffsetID finds the message that the id of a broker names: the broker's
// address and a place in its log. Only brokers that a name server knows are asked,
// unless at names an address, host:port, to ask instead. ErrNoMessage when the id is
// none, its broker is not known, or has no such message.
func (a *Admin) MessageByOffsetID(ctx context.Context, at, id string) (*message.Received, error) {
	host, offset, err := message.ParseOffsetID(id)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoMessage, err)
	}
	name := ""
	if at == "" {
		if name, err = a.brokerAt(ctx, host); err != nil {
			return nil, err
		}
		at = host.String()
	}
	var m *message.Received
	err = a.request(ctx, at, func(ctx context.Context, addr string) error {
		record, err := rpc.ViewMessage(ctx, a.caller, addr, offset)
		if errors.Is(err, rpc.SystemError) {
			return fmt.Errorf("%w: %w", ErrNoMessage, err)
		}
		if err != nil {
			return err
		}
		list, err := message.DecodeReceived(record)
		if err != nil || len(list) != 1 {
			return cmp.Or(err, fmt.Errorf("%w: %s answers %d messages for %s", ErrNoMessage, addr, len(list), id))
		}
		m = list[0]
		return nil
	})
	if err != nil {
		return nil, err
	}
	m.BrokerName = name
	return m, nil
}

// brokerAt names the broker that is registered with an address.
func (a *Admin) brokerAt(ctx context.Context, host netip.AddrPort) (string, error) {
	brokers, err := a.Brokers(ctx)
	if err != nil {
		return "", err
	}
	for _, b := range brokers {
		for _, addr := range b.Addrs {
			if addr == host.String() {
				return b.Name, nil
			}
		}
	}
	return "", fmt.Errorf("%w: no broker is registered with the address %s that the id would name", ErrNoMessage, host)
}

// Message finds a message by its unique key or its offset id, whichever id is. The
// topic is needed for a unique key only; when it is given, a message of another topic
// is ErrNoMessage. Of several with one unique key it is the last stored.
func (a *Admin) Message(ctx context.Context, topic, id string) (*message.Received, error) {
	if topic == "" {
		if _, _, err := message.ParseOffsetID(id); err != nil {
			return nil, fmt.Errorf("%w: %s is no id that a broker gives; where it is a producer's, name the topic, too", ErrNoMessage, id)
		}
		return a.MessageByOffsetID(ctx, "", id)
	}
	list, err := a.MessagesByUniqueKey(ctx, topic, id)
	if len(list) > 0 {
		return list[len(list)-1], nil
	}
	if !errors.Is(err, ErrNoMessage) {
		return nil, err
	}
	m, other := a.MessageByOffsetID(ctx, "", id)
	switch {
	case errors.Is(other, ErrNoMessage):
		return nil, err
	case other != nil:
		return nil, other
	case m.Topic != topic:
		return nil, fmt.Errorf("%w: %s is of topic %s, not of %s", ErrNoMessage, id, m.Topic, topic)
	}
	return m, nil
}

// MessageAt finds the message of a queue with an offset; ErrNoMessage when the queue
// has none there.
func (a *Admin) MessageAt(ctx context.Context, topic, broker string, queue int32, offset int64) (*message.Received, error) {
	queues, err := a.Queues(ctx, "", topic)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(queues, func(q Queue) bool { return q.Broker == broker && q.ID == queue })
	if at < 0 {
		return nil, fmt.Errorf("%w: %s/%s/%d", ErrNoQueue, topic, broker, queue)
	}
	list, _, err := a.pull(ctx, queues[at], offset, 1)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 || list[0].QueueOffset != offset {
		return nil, fmt.Errorf("%w: queue %s has none at %d", ErrNoMessage, queues[at], offset)
	}
	return list[0], nil
}

// Consumed is what a client made of a message that it was given directly.
type Consumed struct {
	Group  string `json:"group"`
	Client string `json:"client"`
	Broker string `json:"broker"`
	*body.ConsumeMessageDirectlyResult
}

// ConsumeDirectly has a client of a consumer group consume a message at once,
// whatever the group's offsets are; with client empty the first one by name. The
// broker that has the message is asked. ErrNotOnline when the client is not there.
func (a *Admin) ConsumeDirectly(ctx context.Context, group, client string, m *message.Received) (*Consumed, error) {
	addr := m.StoreHost.String()
	if queues, err := a.Queues(ctx, "", m.Topic); err != nil {
		return nil, err
	} else if at := slices.IndexFunc(queues, func(q Queue) bool { return q.Broker == m.BrokerName }); at >= 0 {
		addr = queues[at].addr
	}
	res := &Consumed{Group: group, Client: client, Broker: m.BrokerName}
	if client == "" {
		err := a.request(ctx, addr, func(ctx context.Context, addr string) error {
			c, err := rpc.ConsumerConnection(ctx, a.caller, addr, group)
			if err != nil {
				return err
			}
			for _, one := range c.ConnectionSet {
				if res.Client == "" || one.ClientID < res.Client {
					res.Client = one.ClientID
				}
			}
			return nil
		})
		if errors.Is(err, rpc.ConsumerNotOnline) || err == nil && res.Client == "" {
			return nil, fmt.Errorf("%w: %s at the broker of the message, %s", ErrNotOnline, group, addr)
		}
		if err != nil {
			return nil, err
		}
	}
	h := &header.ConsumeDirectlyRequest{ConsumerGroup: group, ClientID: res.Client, MsgID: m.OffsetID(), BrokerName: m.BrokerName, Topic: m.Topic}
	got, err := rpc.ConsumeDirectly(ctx, a.relay, addr, h)
	if errors.Is(err, rpc.SystemError) && strings.Contains(err.Error(), "not online") {
		return nil, fmt.Errorf("%w: %w", ErrNotOnline, err)
	}
	res.ConsumeMessageDirectlyResult = got
	return res, err
}

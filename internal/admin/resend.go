// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// GroupResend is the producer group of messages that are sent again.
const GroupResend = "TWOSTAGE_RESEND"

// Stored says where a message was stored.
type Stored struct {
	Topic    string `json:"topic"`
	Broker   string `json:"broker"`
	Queue    int32  `json:"queue"`
	Offset   int64  `json:"offset"`
	OffsetID string `json:"offsetId"`
	// Safe is false when the message is stored, but not as safely as the broker is
	// set up to do it.
	Safe bool `json:"safe"`
}

// Resend stores a copy of a message: in another topic, or in its own when topic is
// empty, for all groups that read it. The copy has the body, flag and properties of
// the message, its unique key included, but for delays and what brokers have added:
// it can be consumed at once. It stays in the cluster of the message: ErrOtherCluster
// when the topic takes no messages there.
func (a *Admin) Resend(ctx context.Context, m *message.Received, topic string) (*Stored, error) {
	if topic == "" {
		topic = m.Topic
	}
	if err := message.CheckTopic(topic); err != nil {
		return nil, err
	}
	if message.IsSendForbidden(topic) {
		return nil, fmt.Errorf("topic %s takes no messages of clients: name another one to send the copy to", topic)
	}
	if strings.HasPrefix(topic, message.RetryPrefix) || strings.HasPrefix(topic, message.DLQPrefix) {
		return nil, fmt.Errorf("topic %s is for brokers to write: give a dead letter to its group with `twostage dlq resend GROUP`, or name another topic with --to", topic)
	}
	cluster, err := a.clusterOf(ctx, m.BrokerName)
	if err != nil {
		return nil, err
	}
	return a.store(ctx, cluster, topic, m, copied(m.Properties))
}

// clusterOf is the cluster that a broker is of.
func (a *Admin) clusterOf(ctx context.Context, broker string) (string, error) {
	all, err := a.Brokers(ctx)
	if err != nil {
		return "", err
	}
	at := slices.IndexFunc(all, func(b Broker) bool { return b.Name == broker })
	if at < 0 {
		return "", fmt.Errorf("%w: %q, which has the message", ErrNoBroker, broker)
	}
	return all[at].Cluster, nil
}

var (
	// ErrNoOrigin: a message of a group's dead letters does not say what topic it was
	// sent to.
	ErrNoOrigin = errors.New("the message does not tell its topic")
	// ErrOtherCluster: a topic takes no messages in the cluster that a message is in.
	ErrOtherCluster = errors.New("the topic takes no messages in the cluster of the message")
)

// OfOneMessage tells whether an error of Resend or ResendDeadLetter is about that
// message: others may well be sent.
func OfOneMessage(err error) bool {
	return slices.ContainsFunc([]error{ErrPopped, ErrNoOrigin, ErrOtherCluster, message.ErrProperties, rpc.MessageIllegal}, func(one error) bool { return errors.Is(err, one) })
}

// ErrPopped: a dead letter was popped. Who pops does not read the retry topic of its
// group, and brokers alone write to the one that it does read.
var ErrPopped = errors.New("the message was popped, and can't be given to one group alone")

// ResendDeadLetter gives a message of a group's dead letters to that group again, and
// to no other, by way of its retry topic: its consumers get it under the topic that
// it was sent to. Its tries begin anew. The dead letter stays where it is. A retry
// topic that is not there, because no consumer of the group ever was, is made. All
// of it is in the cluster of the message. ErrNoGroup when the group is gone, ErrPopped
// for a message that was popped, ErrNoOrigin.
func (a *Admin) ResendDeadLetter(ctx context.Context, group string, m *message.Received) (*Stored, error) {
	props := copied(m.Properties)
	origin := OriginTopic(m)
	if origin == "" {
		return nil, fmt.Errorf("%w: it has no property %s: send a copy to a topic of your choice instead", ErrNoOrigin, message.PropertyRetryTopic)
	}
	props[message.PropertyRetryTopic] = origin
	if id := m.Property(message.PropertyOriginMessageID); id != "" {
		props[message.PropertyOriginMessageID] = id
	}
	if m.Property(message.PropertyFirstPopTime) != "" && m.Property(message.PropertyRetryTopic) == "" {
		return nil, fmt.Errorf("%w: %s", ErrPopped, m.ID())
	}
	topic := message.RetryTopic(group)
	cluster, err := a.clusterOf(ctx, m.BrokerName)
	if err != nil {
		return nil, err
	}
	if _, err := a.Queues(ctx, cluster, topic); errors.Is(err, ErrNoTopic) {
		if err := a.makeRetryTopic(ctx, cluster, group, topic); err != nil {
			return nil, err
		}
	}
	return a.store(ctx, cluster, topic, m, props)
}

// makeRetryTopic makes the retry topic of a group in a cluster where it is set up, as
// brokers do when its first consumer comes.
func (a *Admin) makeRetryTopic(ctx context.Context, cluster, group, topic string) error {
	g, err := a.Group(ctx, cluster, group)
	if g == nil {
		return err
	}
	made, err := a.CreateTopic(ctx, Topic{Name: topic, Cluster: cluster, Queues: max(g.At[0].Config.RetryQueueNums, 1)})
	if err != nil && !errors.Is(err, ErrTopicExists) {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	return a.AwaitRoute(ctx, topic, made)
}

// OriginTopic is the topic that a dead letter, or a message of a retry topic, was
// sent to, "" when it does not say.
func OriginTopic(m *message.Received) string {
	if topic := m.Property(message.PropertyRetryTopic); topic != "" {
		return topic
	}
	return m.Property(message.PropertyDLQOriginTopic)
}

// ofBrokers are properties that say what became of one copy of a message, not what
// the message is.
var ofBrokers = []string{
	message.PropertyRealTopic, message.PropertyRealQueueID, message.PropertyRetryTopic, message.PropertyOriginMessageID, message.PropertyReconsumeTime,
	message.PropertyMaxReconsumeTimes, message.PropertyDLQOriginTopic, message.PropertyDLQOriginMessageID,
	message.PropertyDelay, message.PropertyTimerDelaySeconds, message.PropertyTimerDelayMillis, message.PropertyTimerDeliver,
	message.PropertyTimerOut, message.PropertyTimerEnqueue, message.PropertyTimerDequeue, message.PropertyTimerRollTimes,
	message.PropertyTimerDelayLevel, message.PropertyTimerDeleteKey,
	message.PropertyTransactionPrepared, message.PropertyTransactionCheckTimes, message.PropertyPreparedQueueOffset,
	message.PropertyPopCheckpoint, message.PropertyPopCheckOffset, message.PropertyFirstPopTime,
	message.PropertyCluster, message.PropertyMsgRegion, message.PropertyCRC32,
}

func copied(props message.Properties) message.Properties {
	p := maps.Clone(props)
	if p == nil {
		p = message.Properties{}
	}
	for _, name := range ofBrokers {
		delete(p, name)
	}
	return p
}

// store sends a copy of a message to a topic in a cluster, to the broker that has it if
// that takes it, otherwise to the first that does.
func (a *Admin) store(ctx context.Context, cluster, topic string, m *message.Received, props message.Properties) (*Stored, error) {
	data, err := a.Route(ctx, topic)
	if err != nil {
		return nil, err
	}
	q, addr := writable(data, cluster, m.BrokerName)
	if addr == "" {
		return nil, fmt.Errorf("%w: topic %s in cluster %s: see its permission and whether its master is up, or name a topic of that cluster with --to", ErrOtherCluster, topic, cluster)
	}
	flag := m.SysFlag.WithTransaction(message.TransactionNone) &^ (message.FlagBornHostV6 | message.FlagStoreHostV6)
	h := &header.SendRequest{
		ProducerGroup: []byte(GroupResend), Topic: []byte(topic), DefaultTopic: []byte(message.TopicAutoCreate), DefaultTopicQueueNums: 1,
		QueueID: min(m.QueueID, q.WriteQueueNums-1), SysFlag: int32(flag), BornTimestamp: time.Now().UnixMilli(), Flag: m.Flag,
		Properties: props.Append(nil), BrokerName: []byte(q.BrokerName),
	}
	if len(h.Properties) > message.MaxPropertiesLength {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", message.ErrProperties, len(h.Properties), message.MaxPropertiesLength)
	}
	var sent *rpc.Sent
	err = a.request(ctx, addr, func(ctx context.Context, addr string) (err error) {
		sent, err = rpc.Send(ctx, a.caller, addr, h, m.Body)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("broker %s: %w", q.BrokerName, err)
	}
	return &Stored{
		Topic: topic, Broker: q.BrokerName, Queue: sent.Header.QueueID, Offset: sent.Header.QueueOffset, OffsetID: string(sent.Header.MsgID),
		Safe: sent.Code == wire.Success,
	}, nil
}

// writable finds a broker of a cluster that takes messages, if it can the one of a name.
func writable(data *body.TopicRouteData, cluster, name string) (q body.QueueData, addr string) {
	const write = 2
	for _, some := range data.QueueDatas {
		at := slices.IndexFunc(data.BrokerDatas, func(b body.BrokerData) bool { return b.BrokerName == some.BrokerName })
		if at < 0 || data.BrokerDatas[at].Cluster != cluster || some.Perm&write == 0 || some.WriteQueueNums < 1 || data.BrokerDatas[at].BrokerAddrs[0] == "" {
			continue
		}
		if addr == "" || some.BrokerName == name {
			q, addr = some, data.BrokerDatas[at].BrokerAddrs[0]
		}
	}
	return q, addr
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"time"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// routes serves what brokers ask of a push consumer.
func (c *PushConsumer) routes() func(code int32) (remoting.Route, bool) {
	lane := remoting.NewLane("asked", 2, 64)
	handlers := remoting.NewLane("consume directly", 2, 64) // may take as long as handlers do
	all := map[int32]remoting.Route{
		wire.ReqNotifyConsumerIDsChanged:    {Handler: c.groupChanged},
		wire.ReqResetConsumerClientOffset:   {Handler: c.reset, Lane: lane},
		wire.ReqGetConsumerStatusFromClient: {Handler: c.status, Lane: lane},
		wire.ReqGetConsumerRunningInfo:      {Handler: c.info, Lane: lane},
		wire.ReqConsumeMessageDirectly:      {Handler: c.consumeDirectly, Lane: handlers},
	}
	return func(code int32) (remoting.Route, bool) {
		r, ok := all[code]
		return r, ok
	}
}

// turnDown answers what cannot be done.
func turnDown(r *remoting.Request, err error) {
	r.Reply(&wire.Response{Code: wire.SystemError, Remark: err.Error()})
}

// mine refuses requests about another group, and while the consumer is not started.
func (c *PushConsumer) mine(group string) error {
	if group != c.group {
		return fmt.Errorf("client: consumer group %q is not here, this client is one of %q", group, c.group)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != consumerStarted {
		return errors.New("client: the consumer is not started")
	}
	return nil
}

// groupChanged (40): a member came or went.
func (c *PushConsumer) groupChanged(r *remoting.Request) {
	var h header.ConsumerIDsChangedRequest
	if err := h.DecodeExt(r.Ext); err == nil && h.ConsumerGroup == c.group {
		c.wake()
	}
}

// reset (220): the group is to go on elsewhere.
func (c *PushConsumer) reset(r *remoting.Request) {
	var h header.ResetOffsetRequest
	var b body.ResetOffsetBody
	err := h.DecodeExt(r.Ext)
	if err == nil {
		err = body.Unmarshal(r.Body, &b)
	}
	if err == nil {
		err = c.mine(h.Group)
	}
	if err != nil {
		c.log.Warn("client: request to reset offsets refused", "err", err)
		turnDown(r, err)
		return
	}
	c.turn.Lock()
	defer c.turn.Unlock()
	for _, a := range c.assignments() {
		to, ok := b.OffsetTable[body.MessageQueue{Topic: a.queue.Topic, BrokerName: a.queue.Broker, QueueID: a.queue.ID}]
		if !ok || a.queue.Topic != h.Topic {
			continue
		}
		c.log.Info("client: a broker has the queue go on elsewhere", "queue", a.queue, "to", to)
		a.restart(to)
		c.commitNow(a)
	}
	r.Reply(&wire.Response{})
}

// status (221): how far the group has come.
func (c *PushConsumer) status(r *remoting.Request) {
	var h header.ConsumerStatusRequest
	err := h.DecodeExt(r.Ext)
	if err == nil {
		err = c.mine(h.Group)
	}
	if err != nil {
		turnDown(r, err)
		return
	}
	b := body.GetConsumerStatusBody{MessageQueueTable: map[body.MessageQueue]int64{}}
	for _, a := range c.assignments() {
		if h.Topic == "" || a.queue.Topic == h.Topic {
			b.MessageQueueTable[body.MessageQueue{Topic: a.queue.Topic, BrokerName: a.queue.Broker, QueueID: a.queue.ID}] = a.current().consumed()
		}
	}
	r.Reply(&wire.Response{Body: body.Marshal(&b)})
}

// info (307): how the consumer is doing.
func (c *PushConsumer) info(r *remoting.Request) {
	var h header.RunningInfoRequest
	err := h.DecodeExt(r.Ext)
	if err == nil {
		err = c.mine(h.ConsumerGroup)
	}
	if err != nil {
		turnDown(r, err)
		return
	}
	i := c.runningInfo()
	if h.Stacks {
		var stacks strings.Builder
		_ = pprof.Lookup("goroutine").WriteTo(&stacks, 2) // a Builder takes everything
		i.Jstack = stacks.String()
	}
	r.Reply(&wire.Response{Body: body.Marshal(i)})
}

// runningInfo has the names of RocketMQ's clients, which tools look for.
func (c *PushConsumer) runningInfo() *body.ConsumerRunningInfo {
	c.mu.Lock()
	began := c.began
	c.mu.Unlock()
	i := &body.ConsumerRunningInfo{
		Properties: map[string]string{
			"PROP_CONSUME_TYPE": string(body.ConsumePassively), "PROP_CONSUMEORDERLY": strconv.FormatBool(c.cfg.orderly),
			"PROP_THREADPOOL_CORE_SIZE": strconv.Itoa(c.cfg.concurrency), "PROP_CONSUMER_START_TIMESTAMP": strconv.FormatInt(began.UnixMilli(), 10),
			"PROP_NAMESERVER_ADDR": strings.Join(c.link.cfg.names.given(), ";") + ";", "PROP_CLIENT_VERSION": wire.VersionName(wire.Version),
			"consumerGroup": c.group, "goVersion": runtime.Version(),
		},
		SubscriptionSet: []body.SubscriptionData{}, MqTable: map[body.MessageQueue]body.ProcessQueueInfo{}, StatusTable: map[string]body.ConsumeStatus{},
	}
	for _, s := range c.subscriptions() {
		i.SubscriptionSet = append(i.SubscriptionSet, s.filter.data(s.topic, s.version))
		i.StatusTable[s.topic] = s.figures.status(time.Since(began))
	}
	for _, a := range c.assignments() {
		w := a.current()
		first, last, n, bytes := w.held()
		a.mu.Lock()
		i.MqTable[body.MessageQueue{Topic: a.queue.Topic, BrokerName: a.queue.Broker, QueueID: a.queue.ID}] = body.ProcessQueueInfo{
			CommitOffset: w.consumed(), CachedMsgMinOffset: first, CachedMsgMaxOffset: last, CachedMsgCount: int32(n), CachedMsgSizeInMiB: int32(bytes >> 20),
			Locked: c.locks() && time.Since(a.locked) < lockLife, LastLockTimestamp: millis(a.locked), Droped: a.leaving.Load(),
			LastPullTimestamp: millis(a.pulled), LastConsumeTimestamp: millis(a.consumed),
		}
		a.mu.Unlock()
	}
	return i
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// consumeDirectly (309): a handler is to consume a message out of turn.
func (c *PushConsumer) consumeDirectly(r *remoting.Request) {
	var h header.ConsumeDirectlyRequest
	err := h.DecodeExt(r.Ext)
	if err == nil {
		err = c.mine(h.ConsumerGroup)
	}
	var all []*message.Received
	if err == nil {
		all, err = message.DecodeReceived(r.Body)
	}
	if err == nil && len(all) != 1 {
		err = fmt.Errorf("client: %d messages to consume directly, there must be one", len(all))
	}
	if err != nil {
		turnDown(r, err)
		return
	}
	m := all[0]
	m.BrokerName = h.BrokerName
	if topic := m.Property(message.PropertyRetryTopic); topic != "" && strings.HasPrefix(m.Topic, message.RetryPrefix) {
		m.Topic = topic
	}
	if err := Decompress(m, MaxBody); err != nil {
		c.log.Warn("client: message with the body as it is", "message", m.ID(), "err", err)
	}
	s := c.subscription(m.Topic)
	if s == nil {
		turnDown(r, fmt.Errorf("%w: %q", errNoHandler, m.Topic))
		return
	}
	begun := time.Now()
	result := body.ConsumeMessageDirectlyResult{Order: c.cfg.orderly, AutoCommit: true, ConsumeResult: "CR_SUCCESS"}
	ended, err := c.handleDirectly(s, all)
	if err != nil {
		turnDown(r, err)
		return
	}
	select {
	case err = <-ended:
	case <-c.behind:
		turnDown(r, errors.New("client: the consumer is closed, and has left the handler behind"))
		return
	}
	if err != nil {
		result.ConsumeResult, result.Remark = "CR_LATER", err.Error()
		if errors.Is(err, errPanicked) {
			result.ConsumeResult = "CR_THROW_EXCEPTION"
		}
	}
	result.SpentTimeMills = time.Since(begun).Milliseconds()
	r.Reply(&wire.Response{Body: body.Marshal(&result)})
}

// handleDirectly calls a handler out of turn, as one that Close waits for. ended gets
// its error.
func (c *PushConsumer) handleDirectly(s *subscription, msgs []*message.Received) (ended <-chan error, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != consumerStarted {
		return nil, ErrClosed
	}
	c.direct++
	over := make(chan error, 1)
	c.running.Go(func() {
		err := errExited
		defer func() {
			c.mu.Lock()
			c.direct--
			c.mu.Unlock()
			over <- err
		}()
		err = c.handleWithin(c.ctx, s, msgs)
	})
	return over, nil
}

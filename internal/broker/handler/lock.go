// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package handler

import (
	"time"

	"github.com/twostage/twostage/internal/broker/lock"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
)

// Locks is the queue locks of ordered consumption.
type Locks interface {
	Lock(dst []lock.Queue, group, client string, queues []lock.Queue, now time.Time) []lock.Queue
	Unlock(group, client string, queues []lock.Queue)
}

// Lock serves LOCK_BATCH_MQ and UNLOCK_BATCH_MQ.
type Lock struct {
	Locks  Locks
	Broker string // name of this broker
}

// Lock answers with those queues that the client now holds.
func (l *Lock) Lock(r *remoting.Request) {
	var b body.LockBatchRequestBody
	if !decodeBody(r, &b) {
		return
	}
	got := l.Locks.Lock(nil, b.ConsumerGroup, b.ClientID, l.own(b.MqSet), time.Now())
	res := body.LockBatchResponseBody{LockOKMQSet: make([]body.MessageQueue, 0, len(got))}
	for _, q := range got {
		res.LockOKMQSet = append(res.LockOKMQSet, body.MessageQueue{Topic: q.Topic, BrokerName: l.Broker, QueueID: q.ID})
	}
	succeedBody(r, &res)
}

// Unlock gives queues up.
func (l *Lock) Unlock(r *remoting.Request) {
	var b body.LockBatchRequestBody
	if !decodeBody(r, &b) {
		return
	}
	l.Locks.Unlock(b.ConsumerGroup, b.ClientID, l.own(b.MqSet))
	r.Reply(&wire.Response{Code: wire.Success})
}

// own picks the queues of this broker.
func (l *Lock) own(set []body.MessageQueue) []lock.Queue {
	list := make([]lock.Queue, 0, len(set))
	for _, q := range set {
		if q.BrokerName == l.Broker {
			list = append(list, lock.Queue{Topic: q.Topic, ID: q.QueueID})
		}
	}
	return list
}

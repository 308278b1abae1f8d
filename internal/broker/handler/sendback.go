// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package handler

import (
	"maps"
	"math/rand/v2"
	"net/netip"
	"strings"
	"time"

	"github.com/twostage/twostage/internal/broker/inflow"
	"github.com/twostage/twostage/internal/broker/retry"
	"github.com/twostage/twostage/internal/broker/topic"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// SendBackLog is what sending back needs of the store.
type SendBackLog interface {
	Log
	Record(physicalOffset int64) (rec []byte, release func(), err error)
}

// BackStats counts what is sent back.
type BackStats interface {
	SendStats
	SentBack(group, topic string)
}

// SendBack serves CONSUMER_SEND_MSG_BACK: a message that a consumer could not
// deal with is stored again, for a later try or among the dead letters.
type SendBack struct {
	Log      SendBackLog
	Topics   SendTopics
	Groups   *GroupMaker
	Delays   Delays
	Stats    BackStats
	Inflow   *inflow.Counters
	Writable func() bool
	Host     netip.AddrPort // of the records that are stored
	Settings Settings
	MayRead  MayRead
	// MaxWait is how long Delays lets a message wait that names a time; 0: such
	// ones are refused. Retries by a group's policy keep to it.
	MaxWait time.Duration
}

// Handle serves one message sent back. It waits for nothing but the store: a
// sent-back message is stored without waiting for the disk, as in RocketMQ.
func (s *SendBack) Handle(r *remoting.Request) {
	var h header.SendBackRequest
	if !decode(r, &h) {
		return
	}
	g, err := s.Groups.Of(r, h.Group)
	switch {
	case err != nil:
		fail(r, refused(err, wire.SubscriptionGroupNotExist), "subscription group not exist, %s", err)
		return
	case !s.Writable():
		fail(r, wire.NoPermission, "this broker takes no messages (brokerPermission)")
		return
	case g.RetryQueueNums <= 0: // the group wants no retries: the message is dropped
		r.Reply(&wire.Response{Code: wire.Success})
		return
	}
	stored, release, err := s.Log.Record(h.Offset)
	if err != nil {
		fail(r, wire.SystemError, "look message by offset failed, %d: %s", h.Offset, err)
		return
	}
	defer release()
	var rec message.Record
	if _, err := message.DecodeRecord(stored, &rec, false); err != nil {
		fail(r, wire.SystemError, "look message by offset failed, %d: %s", h.Offset, err)
		return
	}
	if !s.MayRead.allows(r, &rec) {
		return
	}
	v := retry.Decide(retry.Request{
		DelayLevel: h.DelayLevel, ReconsumeTimes: rec.ReconsumeTimes, GroupMax: g.RetryMaxTimes,
		MaxReconsumeTimes: h.MaxReconsumeTimes, HasMax: r.Version >= wire.VersionV349 && h.HasMaxReconsumeTimes,
		Policy: g.GroupRetryPolicy, MaxWait: s.MaxWait.Milliseconds(),
	})
	target, queues := message.RetryTopic(g.GroupName), g.RetryQueueNums
	if v.DeadLetter {
		target, queues = message.DLQTopic(g.GroupName), 1
	}
	var sysFlag int32
	if h.UnitMode && !v.DeadLetter {
		sysFlag = 2
	}
	t, err := s.Topics.Ensure(target, queues, topic.PermRead|topic.PermWrite, sysFlag)
	switch {
	case err != nil:
		fail(r, wire.SystemError, "topic[%s] not exist: %s", target, err)
		return
	case t.Perm&topic.PermWrite == 0:
		fail(r, wire.NoPermission, "the topic[%s] sending message is forbidden: its perm has no write bit", target)
		return
	}
	if err := s.store(&rec, &h, v, target, rand.Int32N(queues)); err != nil {
		code, remark := storeFailure(err)
		fail(r, code, "%s", remark)
		return
	}
	from := string(rec.Topic)
	if v, ok := message.Property(rec.Properties, message.PropertyRetryTopic); ok {
		from = string(v)
	}
	s.Stats.SentBack(g.GroupName, from)
	r.Reply(&wire.Response{Code: wire.Success})
}

// originRoom is left free in the properties of a dead letter when it is told where
// it comes from, for what the store and the send of a message add.
const originRoom = 512

// withOrigin is the properties of a dead letter as text, with where it comes from,
// as clients of RocketMQ 5 read it. Without that when both do not fit into a record:
// the message counts more.
func withOrigin(props message.Properties) []byte {
	id := props[message.PropertyUniqueKey]
	if id == "" {
		id = props[message.PropertyOriginMessageID]
	}
	origin := map[string]string{message.PropertyDLQOriginTopic: props[message.PropertyRetryTopic], message.PropertyDLQOriginMessageID: id}
	for name := range origin { // of another queue of dead letters
		delete(props, name)
	}
	text := props.Append(nil)
	size := len(text) + originRoom
	for name, value := range origin {
		size += len(name) + len(value) + 2
	}
	if size > message.MaxPropertiesLength {
		return text
	}
	maps.Copy(props, origin)
	return props.Append(text[:0])
}

// store puts the record of the next try into the log.
func (s *SendBack) store(rec *message.Record, h *header.SendBackRequest, v retry.Verdict, target string, queue int32) error {
	props := message.ParseProperties(rec.Properties)
	if props[message.PropertyRetryTopic] == "" {
		props[message.PropertyRetryTopic] = string(rec.Topic)
	}
	if props[message.PropertyOriginMessageID] == "" {
		props[message.PropertyOriginMessageID] = string(message.AppendOffsetID(nil, rec.StoreHost, rec.PhysicalOffset))
	}
	props[message.PropertyWait] = "false"
	for name := range props {
		if strings.HasPrefix(name, "TIMER_") { // they tell of the first delivery
			delete(props, name)
		}
	}
	delete(props, message.PropertyDelay)
	if v.Wait > 0 {
		props[message.PropertyTimerDelayMillis] = itoa(v.Wait)
	} else {
		props[message.PropertyDelay] = itoa(int64(v.DelayLevel))
	}
	again := message.Record{
		Flag: rec.Flag, SysFlag: rec.SysFlag, BornTimestamp: rec.BornTimestamp, BornHost: rec.BornHost,
		StoreHost: s.Host, ReconsumeTimes: v.ReconsumeTimes, Body: rec.Body,
	}
	// A committed message keeps the flag of its transaction no longer: the new
	// record is an ordinary one.
	again.SysFlag = again.SysFlag.WithTransaction(message.TransactionNone)
	var q *store.Queue
	if v.DeadLetter { // they never wait
		again.Properties = withOrigin(props)
	} else {
		again.Properties = props.Append(nil)
		wait, delayed, ok, err := s.Delays.Rewrite(target, queue, again.Properties, nil)
		if err != nil {
			return err
		}
		if ok {
			q, again.Properties = wait, delayed
		}
	}
	if q == nil {
		q = s.Log.Queue(target, queue)
	}
	b := store.Batch{Wait: s.Settings().Flush.SendWait}
	if err := b.Add(q, &again); err != nil {
		return err
	}
	if err := s.Log.Append(&b); err != nil {
		return err
	}
	s.Stats.In(q.Topic(), 1, int(b.Result(0).Size)) // what waits counts again when its time has come
	if v.DeadLetter {
		s.Inflow.DeadLetter(h.Group, props[message.PropertyRetryTopic])
	}
	return nil
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package handler

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/twostage/twostage/internal/broker/retry"
	"github.com/twostage/twostage/internal/broker/topic"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// target finds the topic and the queue that a send is for, or answers why it can't
// be stored there.
func (s *Send) target(r *remoting.Request, h *header.SendRequest) (t *body.TopicConfig, queue int32, ok bool) {
	t, code, remark := s.topic(r, h)
	if t == nil {
		s.refuse(r, code, remark)
		return nil, 0, false
	}
	if queue = h.QueueID; queue < 0 {
		queue = rand.Int32N(max(t.WriteQueueNums, 1))
	}
	switch {
	case queue >= max(t.WriteQueueNums, t.ReadQueueNums):
		s.refuse(r, wire.SystemError, "request queueId["+itoa(int64(queue))+"] is illegal, "+describe(t)+" Producer: "+r.Conn.RemoteAddr().String())
		return nil, 0, false
	case len(h.Properties) > message.MaxPropertiesLength:
		s.refuse(r, wire.MessageIllegal, "the properties have "+itoa(int64(len(h.Properties)))+" bytes, at most "+itoa(message.MaxPropertiesLength)+" fit: send fewer or shorter ones")
		return nil, 0, false
	}
	return t, queue, true
}

// topic finds the topic of a send, making it where the rules allow.
func (s *Send) topic(r *remoting.Request, h *header.SendRequest) (t *body.TopicConfig, code int32, remark string) {
	if !s.Writable() {
		return nil, wire.NoPermission, "this broker takes no messages (brokerPermission)"
	}
	if t, ok := s.Topics.Find(h.Topic); ok {
		if message.IsSendForbidden(t.TopicName) {
			return nil, wire.NoPermission, "Sending message to topic[" + t.TopicName + "] is forbidden: it is the broker's own."
		}
		return t, 0, ""
	}
	name := string(h.Topic)
	toRetry := bytes.HasPrefix(h.Topic, []byte(message.RetryPrefix))
	if err := message.CheckTopic(name); err != nil {
		return nil, wire.SystemError, err.Error()
	}
	if message.IsSendForbidden(name) {
		return nil, wire.NoPermission, "Sending message to topic[" + name + "] is forbidden: it is the broker's own."
	}
	var sysFlag int32
	if h.UnitMode {
		sysFlag = 1
		if toRetry {
			sysFlag = 2
		}
	}
	from := r.Conn.RemoteAddr().Addr()
	if err := s.NewTopics.Take(from, 1); err != nil {
		return nil, wire.SystemBusy, err.Error()
	}
	t, created, err := s.Topics.AutoCreate(name, string(h.DefaultTopic), h.DefaultTopicQueueNums, sysFlag)
	made := created
	if errors.Is(err, topic.ErrNoTopic) && toRetry {
		t, err = s.Topics.Ensure(name, 1, topic.PermRead|topic.PermWrite, sysFlag)
		made = err == nil
	}
	if !made {
		s.NewTopics.GiveBack(from, 1)
	}
	switch {
	case errors.Is(err, topic.ErrNoTopic):
		return nil, wire.TopicNotExist, "topic[" + name + "] not exist, apply first please! " + err.Error()
	case err != nil:
		return nil, wire.SystemError, err.Error()
	}
	if created && s.Created != nil {
		s.Created(t)
	}
	return t, 0, ""
}

// exhausted says whether a message that a client sends to a retry topic has used
// up its tries: then dlq is the topic it goes to.
func (s *Send) exhausted(r *remoting.Request, h *header.SendRequest) (dlq string, refusal *wire.Response) {
	name := string(h.Topic[len(message.RetryPrefix):])
	g, err := s.Groups.Of(r, name)
	if err != nil {
		return "", &wire.Response{Code: refused(err, wire.SubscriptionGroupNotExist), Remark: "subscription group not exist, " + err.Error()}
	}
	limit := g.RetryMaxTimes
	if r.Version >= wire.VersionV349 && h.HasMaxReconsumeTimes {
		limit = h.MaxReconsumeTimes
	}
	if !retry.Exhausted(h.ReconsumeTimes, limit, s.Ordered(name, time.Now())) {
		return "", nil
	}
	dlq = message.DLQTopic(name)
	if _, err := s.Topics.Ensure(dlq, 1, topic.PermRead|topic.PermWrite, 0); err != nil {
		return "", &wire.Response{Code: wire.SystemError, Remark: err.Error()}
	}
	return dlq, nil
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package handler

import (
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
)

// CreateTopics serves UPDATE_AND_CREATE_TOPIC_LIST: all topics or, when one can't
// be made, none.
func (a *Admin) CreateTopics(r *remoting.Request) {
	var b body.CreateTopicListRequestBody
	if !decodeBody(r, &b) {
		return
	}
	names := make([]string, 0, len(b.TopicConfigList))
	for i := range b.TopicConfigList {
		names = append(names, b.TopicConfigList[i].TopicName)
	}
	if err := a.make(r, fresh(a.Topics.Get, names...), a.NewTopics, func() error { return a.Topics.PutAll(b.TopicConfigList) }); err != nil {
		fail(r, refused(err, wire.InvalidParameter), "no topic was made or changed: %s", err)
		return
	}
	a.Published()
	r.Reply(&wire.Response{Code: wire.Success})
}

// PutGroups serves UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST: all groups or, when one
// can't be made, none.
func (a *Admin) PutGroups(r *remoting.Request) {
	var b body.SubscriptionGroupList
	if !decodeBody(r, &b) {
		return
	}
	names := make([]string, 0, len(b.GroupConfigList))
	for i := range b.GroupConfigList {
		names = append(names, b.GroupConfigList[i].GroupName)
	}
	if err := a.make(r, fresh(a.Groups.Get, names...), a.NewGroups, func() error { return a.Groups.PutAll(b.GroupConfigList) }); err != nil {
		fail(r, refused(err, wire.InvalidParameter), "no group was made or changed: %s", err)
		return
	}
	r.Reply(&wire.Response{Code: wire.Success})
}

// Topic serves GET_TOPIC_CONFIG. There are no static topics, so the answer is the
// configuration alone.
func (a *Admin) Topic(r *remoting.Request) {
	var h header.TopicRequest
	if !decode(r, &h) {
		return
	}
	c, ok := a.Topics.Get(h.Topic)
	if !ok {
		fail(r, wire.TopicNotExist, "No topic in this broker. topic: %s", h.Topic)
		return
	}
	succeedBody(r, c)
}

// Group serves GET_SUBSCRIPTIONGROUP_CONFIG. Asking makes no group, as it does in
// RocketMQ where groups are made by themselves.
func (a *Admin) Group(r *remoting.Request) {
	var h header.GroupRequest
	if !decode(r, &h) {
		return
	}
	c, ok := a.Groups.Get(h.Group)
	if !ok {
		fail(r, wire.SubscriptionGroupNotExist, "No group in this broker. group: %s", h.Group)
		return
	}
	succeedBody(r, c)
}

// Forbidden serves UPDATE_AND_GET_GROUP_FORBIDDEN: whether a group may consume a
// topic, after a change if the request has one. What it changed is on disk.
func (a *Admin) Forbidden(r *remoting.Request) {
	var h header.GroupForbiddenRequest
	if !decode(r, &h) {
		return
	}
	if h.HasReadable {
		if err := a.make(r, 0, a.NewGroups, func() error { return a.Groups.ForbidRead(h.Group, h.Topic, !h.Readable) }); err != nil {
			fail(r, wire.SystemError, "%s", err)
			return
		}
	}
	succeedBody(r, &body.GroupForbidden{Group: h.Group, Topic: h.Topic, Readable: !a.Groups.ReadForbidden([]byte(h.Group), []byte(h.Topic))})
}

// SystemTopics serves GET_SYSTEM_TOPIC_LIST_FROM_BROKER.
func (a *Admin) SystemTopics(r *remoting.Request) {
	succeedBody(r, &body.TopicList{TopicList: a.Topics.System()})
}

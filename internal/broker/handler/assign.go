// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package handler

import (
	"context"
	"errors"

	"github.com/twostage/twostage/internal/broker/assign"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
)

// Assignments shares queues out and keeps request modes.
type Assignments interface {
	Query(ctx context.Context, q *body.QueryAssignmentRequestBody) ([]body.MessageQueueAssignment, error)
	SetMode(c body.RequestModeConfig) error
	Modes() *body.RequestModeTable
}

// Assign serves QUERY_ASSIGNMENT, SET_MESSAGE_REQUEST_MODE and
// GET_ALL_MESSAGE_REQUEST_MODE.
type Assign struct {
	Assignments Assignments
	Topics      Topics
	Groups      *GroupMaker
}

// Query serves QUERY_ASSIGNMENT. Where no share can be given it answers success
// without one, and why: clients then keep what they have.
func (a *Assign) Query(r *remoting.Request) {
	var q body.QueryAssignmentRequestBody
	if !decodeBody(r, &q) {
		return
	}
	list, err := a.Assignments.Query(context.Background(), &q)
	switch {
	case errors.Is(err, assign.ErrQuery):
		fail(r, wire.InvalidParameter, "%s", err)
	case err != nil:
		r.Reply(&wire.Response{Code: wire.Success, Remark: err.Error(), Body: body.Marshal(&body.QueryAssignmentResponseBody{})})
	default:
		if list == nil {
			list = []body.MessageQueueAssignment{}
		}
		succeedBody(r, &body.QueryAssignmentResponseBody{MessageQueueAssignments: &list})
	}
}

// SetMode serves SET_MESSAGE_REQUEST_MODE.
func (a *Assign) SetMode(r *remoting.Request) {
	var c body.RequestModeConfig
	if !decodeBody(r, &c) {
		return
	}
	if _, ok := a.Topics.Get(c.Topic); !ok {
		fail(r, wire.TopicNotExist, "topic[%s] not exist", c.Topic)
		return
	}
	if _, err := a.Groups.Of(r, c.ConsumerGroup); err != nil {
		fail(r, refused(err, wire.SubscriptionGroupNotExist), "subscription group does not exist: [%s]: %s", c.ConsumerGroup, err)
		return
	}
	switch err := a.Assignments.SetMode(c); {
	case errors.Is(err, assign.ErrRetryTopic):
		fail(r, wire.NoPermission, "%s", err)
	case errors.Is(err, assign.ErrMode):
		fail(r, wire.InvalidParameter, "%s", err)
	case err != nil:
		fail(r, wire.SystemError, "%s", err)
	default:
		r.Reply(&wire.Response{Code: wire.Success})
	}
}

// Modes serves GET_ALL_MESSAGE_REQUEST_MODE.
func (a *Assign) Modes(r *remoting.Request) {
	succeedBody(r, a.Assignments.Modes())
}

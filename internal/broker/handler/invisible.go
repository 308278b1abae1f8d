// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package handler

import (
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire/header"
)

// ChangeInvisible serves CHANGE_MESSAGE_INVISIBLETIME: the message becomes visible
// at another time, and gets another handle. A message that the handle does not have
// any more is NO_MESSAGE.
func (p *Pop) ChangeInvisible(r *remoting.Request) {
	var h header.ChangeInvisibleRequest
	if !decode(r, &h) {
		return
	}
	handle, ok := p.given(r, h.Topic, h.QueueID, h.Offset, h.ExtraInfo)
	if !ok {
		return
	}
	time, invisible, err := p.Pops.Change(h.ConsumerGroup, h.Topic, h.QueueID, &handle, h.Offset, h.InvisibleTime)
	if err != nil {
		r.Reply(popFailure(err))
		return
	}
	p.Stats.Acked(h.ConsumerGroup, h.Topic, 1)
	p.Stats.Popped(h.ConsumerGroup, h.Topic, 1)
	succeed(r, &header.ChangeInvisibleResponse{PopTime: time, InvisibleTime: invisible, ReviveQID: handle.Revive})
}

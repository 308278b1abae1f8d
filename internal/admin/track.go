// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"errors"
	"slices"

	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/message"
)

// Track says how far a consumer group is with a message.
type Track struct {
	Group string `json:"group"`
	State string `json:"state"` // one of the Track constants
}

// States of a Track. The group's place in the queue decides; a message that was sent
// back to be tried again counts as consumed there.
const (
	TrackConsumed  = "consumed"
	TrackFiltered  = "filtered" // passed over: the group's tags do not have the message's
	TrackWaiting   = "waiting"  // not yet, and the group is online
	TrackOffline   = "offline"  // not yet, and no client of the group is online
	TrackBroadcast = "broadcast"
	TrackUnknown   = "unknown" // the group does not read the topic any more
)

// Tracks says how far each group that reads a message's topic is with it, by name.
// Errors of single groups come beside what is known of the others.
func (a *Admin) Tracks(ctx context.Context, m *message.Received) ([]Track, error) {
	queues, err := a.Queues(ctx, "", m.Topic)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(queues, func(q Queue) bool {
		return (q.Broker == m.BrokerName || m.BrokerName == "" && q.addr == m.StoreHost.String()) && q.ID == m.QueueID
	})
	if at < 0 {
		return nil, ErrNoQueue
	}
	q := queues[at]
	var groups []string
	err = a.request(ctx, q.addr, func(ctx context.Context, addr string) (err error) {
		groups, err = rpc.GroupsOfTopic(ctx, a.caller, addr, m.Topic)
		return err
	})
	if err != nil {
		return nil, err
	}
	slices.Sort(groups)
	tracks := []Track{}
	var errs []error
	for _, group := range groups {
		t := Track{Group: group}
		err := a.request(ctx, q.addr, func(ctx context.Context, addr string) (err error) {
			t.State, err = a.trackAt(ctx, addr, q.wire(), group, m)
			return err
		})
		if err != nil {
			errs = append(errs, err)
			continue
		}
		tracks = append(tracks, t)
	}
	return tracks, errors.Join(errs...)
}

func (a *Admin) trackAt(ctx context.Context, addr string, q body.MessageQueue, group string, m *message.Received) (string, error) {
	online, err := rpc.ConsumerConnection(ctx, a.caller, addr, group)
	if code, _ := rpc.CodeOf(err); err != nil && code != wire.ConsumerNotOnline {
		return "", err
	}
	if err == nil && online.MessageModel == body.Broadcasting {
		return TrackBroadcast, nil
	}
	s, failed := rpc.ConsumeStats(ctx, a.caller, addr, group, q.Topic)
	if failed != nil {
		return "", failed
	}
	w, ok := s.OffsetTable[q]
	switch {
	case !ok:
		return TrackUnknown, nil
	case w.ConsumerOffset > m.QueueOffset:
		if err == nil && !selects(online.SubscriptionTable[q.Topic], m.Tags()) {
			return TrackFiltered, nil
		}
		return TrackConsumed, nil
	case err != nil:
		return TrackOffline, nil
	}
	return TrackWaiting, nil
}

// selects tells whether a subscription by tags takes a message with a tag; true where
// that can't be told.
func selects(s body.SubscriptionData, tag string) bool {
	return len(s.TagsSet) == 0 || slices.Contains(s.TagsSet, tag)
}

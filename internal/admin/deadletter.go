// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/message"
)

// DeadLetters is how many messages a consumer group has given up.
type DeadLetters struct {
	Group    string    `json:"group"`
	Messages int64     `json:"messages"`
	Oldest   time.Time `json:"oldest,omitzero"` // store time
}

// ErrNoDeadLetters: a consumer group has given up no message.
var ErrNoDeadLetters = errors.New("the consumer group has no dead letters")

// ErrUnreadable: a topic may not be read. Brokers of RocketMQ 4.9 make the topics of
// dead letters so.
var ErrUnreadable = errors.New("the topic may be written only")

// DeadLetters gives the groups that have dead letters, by name. Errors of single
// groups come beside what is known of the others.
func (a *Admin) DeadLetters(ctx context.Context) ([]DeadLetters, error) {
	names, err := a.Topics(ctx)
	if err != nil {
		return nil, err
	}
	list := []DeadLetters{}
	var errs []error
	for _, topic := range names {
		group, ok := strings.CutPrefix(topic, message.DLQPrefix)
		if !ok {
			continue
		}
		d, err := a.deadLetters(ctx, group, topic)
		if err != nil {
			errs = append(errs, err)
		}
		if d.Messages > 0 {
			list = append(list, d)
		}
	}
	return list, errors.Join(errs...)
}

func (a *Admin) deadLetters(ctx context.Context, group, topic string) (d DeadLetters, err error) {
	d.Group = group
	queues, err := a.Queues(ctx, "", topic)
	if err != nil {
		return d, err
	}
	var errs []error
	for _, q := range queues {
		first, next, err := a.Ends(ctx, q)
		if err != nil || next <= first {
			errs = append(errs, err)
			continue
		}
		d.Messages += next - first
		list, _, err := a.pull(ctx, q, first, 1)
		errs = append(errs, unreadable(topic, err))
		if len(list) > 0 && (d.Oldest.IsZero() || list[0].StoreTime.Before(d.Oldest)) {
			d.Oldest = list[0].StoreTime
		}
	}
	return d, errors.Join(errs...)
}

// ScanDeadLetters is Scan over the dead letters of a group. ErrNoDeadLetters when it
// never had any, ErrUnreadable when they can't be read.
func (a *Admin) ScanDeadLetters(ctx context.Context, group string, s Span, fn func(*message.Received) (stop bool, err error)) error {
	if _, err := a.Queues(ctx, "", message.DLQTopic(group)); errors.Is(err, ErrNoTopic) {
		return fmt.Errorf("%w: %s", ErrNoDeadLetters, group)
	}
	topic, read := message.DLQTopic(group), true
	err := a.Scan(ctx, topic, s, func(m *message.Received) (stop bool, err error) {
		stop, err = fn(m)
		read = err == nil // what fn could not do is none of this topic's
		return stop, err
	})
	if read {
		err = unreadable(topic, err)
	}
	return err
}

// unreadable says what a refused pull of a topic means.
func unreadable(topic string, err error) error {
	if errors.Is(err, rpc.NoPermission) {
		return fmt.Errorf("%w: %s: %w", ErrUnreadable, topic, err)
	}
	return err
}

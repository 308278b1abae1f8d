// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/twostage/twostage/client"
	"github.com/twostage/twostage/message"
	"github.com/twostage/twostage/sqltx"
)

// subscriptions are handlers by topic and tag.
type subscriptions map[string]map[string]client.Handler

func (all subscriptions) add(topic, tag string, h client.Handler) {
	if all[topic] == nil {
		all[topic] = map[string]client.Handler{}
	}
	all[topic][tag] = h
}

// On has fn called for each event with a tag of a topic, in a transaction, once in
// effect: a message that comes again, because a process died or an answer was lost,
// finds its id recorded with the work. An error has the message come again.
func On[E any](s *Service, topic, tag string, fn func(ctx context.Context, tx Tx, e E) error) {
	s.shared.add(topic, tag, once(s, fn))
}

// OnInOrder is On for messages of one key one after the other.
func OnInOrder[E any](s *Service, topic, tag string, fn func(ctx context.Context, tx Tx, e E) error) {
	s.ordered.add(topic, tag, once(s, fn))
}

// OnEvery has fn called in each instance, for what it keeps in memory: no offsets are
// stored, so that an instance that starts again hears all that the broker still has
// (fileReservedTime, 72 hours), from the first message on. What is broadcast is
// delivered once, so fn has no error to return.
func OnEvery[E any](s *Service, topic, tag string, fn func(e E)) {
	s.broadcast.add(topic, tag, func(_ context.Context, m *message.Received) error {
		e, err := decode[E](m)
		if err == nil {
			fn(e)
		}
		return err
	})
}

func once[E any](s *Service, fn func(ctx context.Context, tx Tx, e E) error) client.Handler {
	return func(ctx context.Context, m *message.Received) error {
		e, err := decode[E](m)
		if err != nil {
			return err
		}
		if s.Faults.Break == BreakOnce {
			return s.Locally(ctx, func(ctx context.Context, tx Tx) error { return fn(ctx, tx, e) })
		}
		return sqltx.Once(ctx, s.tx, m, func(ctx context.Context, tx *sql.Tx) error { return fn(ctx, Tx{tx, s.dialect}, e) })
	}
}

// errUnreadable: a message will be no better the next time.
var errUnreadable = errors.New("not what is sent to this topic")

func decode[E any](m *message.Received) (e E, err error) {
	if err := json.Unmarshal(m.Body, &e); err != nil {
		return e, fmt.Errorf("%w: %w", errUnreadable, err)
	}
	return e, nil
}

// consumers starts a consumer for each kind of subscription that there is. The
// broker delivers to any instance of the group, but for broadcast ones.
func (s *Service) consumers(ctx context.Context) (stop func() error, err error) {
	var started []*client.PushConsumer
	stop = func() error {
		var errs []error
		for _, c := range started {
			errs = append(errs, c.Close())
		}
		return errors.Join(errs...)
	}
	for _, kind := range []struct {
		group string
		of    subscriptions
		opts  []client.Option
	}{
		{s.group(), s.shared, nil},
		{s.group() + "-ordered", s.ordered, []client.Option{client.WithOrderly()}},
		{s.group() + "-broadcast", s.broadcast, []client.Option{client.WithBroadcast("")}},
	} {
		if len(kind.of) == 0 {
			continue
		}
		opts := append(s.options(), client.WithStart(client.StartEarliest), client.WithConcurrency(8))
		c, err := client.NewPushConsumer(kind.group, append(opts, kind.opts...)...)
		if err != nil {
			return stop, err
		}
		started = append(started, c)
		for topic, handlers := range kind.of {
			tags := strings.Join(slices.Sorted(maps.Keys(handlers)), " || ")
			if err := c.Subscribe(topic, client.Tags(tags), s.handler(handlers)); err != nil {
				return stop, err
			}
		}
		if err := c.Start(ctx); err != nil {
			return stop, err
		}
	}
	return stop, nil
}

// handler calls that of a message's tag. What fails comes again, later each time, 16
// times in the course of some two hours: a database may be away for a while. Then it
// is a dead letter, but for what is consumed in order, which waits.
func (s *Service) handler(by map[string]client.Handler) client.Handler {
	return func(ctx context.Context, m *message.Received) error {
		err := fmt.Errorf("%w: tag %q", errUnreadable, m.Tags())
		if h := by[m.Tags()]; h != nil {
			err = h(ctx, m)
			if err == nil && s.Faults.again() {
				err = h(ctx, m) // as if the answer to the broker had been lost
			}
		}
		s.outbox.Wake()
		if err == nil {
			return nil
		}
		s.Log.Warn("a message is not consumed", "topic", m.Topic, "tag", m.Tags(), "message", m.ID(), "times", m.ReconsumeTimes, "err", err)
		if errors.Is(err, errUnreadable) {
			return client.GiveUp(err)
		}
		return client.RetryLater(err, 1+int(m.ReconsumeTimes))
	}
}

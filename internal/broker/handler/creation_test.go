// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package handler

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/broker/quota"
	"github.com/twostage/twostage/internal/broker/topic"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
)

// groupsBeingMade is no groups; run is what making one does.
type groupsBeingMade struct {
	Groups
	run func() error
}

func (groupsBeingMade) Get(string) (*body.SubscriptionGroupConfig, bool) { return nil, false }

func (g groupsBeingMade) Ensure(string) (*body.SubscriptionGroupConfig, error) {
	return &body.SubscriptionGroupConfig{}, g.run()
}

// topicsBeingMade is no topics; run is what making one does.
type topicsBeingMade struct {
	run   func() error
	model bool // there is one to make topics after
}

func (topicsBeingMade) Find([]byte) (*body.TopicConfig, bool) { return nil, false }

func (m topicsBeingMade) AutoCreate(string, string, int32, int32) (*body.TopicConfig, bool, error) {
	if !m.model {
		return nil, false, topic.ErrNoTopic
	}
	return nil, false, m.run()
}

func (m topicsBeingMade) Ensure(string, int32, int32, int32) (*body.TopicConfig, error) {
	return nil, m.run()
}

// What is being made has its place already, so that requests at the same time get
// no more together; what was not made gives it back.
func TestQuotaOfWhatIsBeingMade(t *testing.T) {
	now := time.Unix(1e9, 0)
	r := &remoting.Request{Command: &wire.Command{}, Conn: &remoting.Conn{}}
	sending := func(topics SendTopics, q Quota, name string) error {
		s := &Send{Topics: topics, NewTopics: q, Writable: func() bool { return true }}
		if c, code, remark := s.topic(r, &header.SendRequest{Topic: []byte(name)}); c == nil {
			return fmt.Errorf("code %d: %s", code, remark)
		}
		return nil
	}
	for what, make := range map[string]func(q Quota, run func() error) error{
		"a group that a client names": func(q Quota, run func() error) error {
			_, err := (&GroupMaker{Groups: groupsBeingMade{run: run}, Quota: q}).Of(r, "group")
			return err
		},
		"a topic that is sent to": func(q Quota, run func() error) error {
			return sending(topicsBeingMade{run: run, model: true}, q, "topic")
		},
		"a retry topic that is sent to": func(q Quota, run func() error) error {
			return sending(topicsBeingMade{run: run}, q, "%RETRY%group")
		},
		"what an operator makes": func(q Quota, run func() error) error {
			return (&Admin{}).make(r, 1, q, run)
		},
	} {
		q := quota.New("things", "key", 1, func() time.Time { return now })
		broken := errors.New("the disk is full")
		if err := make(q, func() error {
			if err := q.Take(netip.Addr{}, 1); !errors.Is(err, quota.ErrTooMany) {
				t.Errorf("%s: another one meanwhile: %v", what, err)
			}
			return broken
		}); err == nil {
			t.Errorf("%s was made", what)
		}
		if err := q.Take(netip.Addr{}, 1); err != nil {
			t.Errorf("%s was not made, and counts: %v", what, err)
		}
	}
}

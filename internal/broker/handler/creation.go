// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package handler

import (
	"errors"
	"net/netip"

	"github.com/twostage/twostage/internal/broker/quota"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
)

// Quota bounds what the clients of an address may have made: what is taken from it
// before goes back when nothing was made. *quota.Limiter is one; a nil one of those
// allows everything.
type Quota interface {
	Take(addr netip.Addr, n int) error
	GiveBack(addr netip.Addr, n int)
}

// GroupMaker gives the groups that clients name, making those that there are not
// yet where the rules and the quota allow.
type GroupMaker struct {
	Groups
	Quota Quota
}

// Of gives a group that the request names. It may be slow for one that does not
// exist, and costs a look into a map for one that does.
func (m *GroupMaker) Of(r *remoting.Request, name string) (*body.SubscriptionGroupConfig, error) {
	if g, ok := m.Get(name); ok {
		return g, nil
	}
	from := r.Conn.RemoteAddr().Addr()
	if err := m.Quota.Take(from, 1); err != nil {
		return nil, err
	}
	g, err := m.Ensure(name)
	if err != nil {
		m.Quota.GiveBack(from, 1)
	}
	return g, err
}

// OfBytes does not allocate for a group that exists.
func (m *GroupMaker) OfBytes(r *remoting.Request, name []byte) (*body.SubscriptionGroupConfig, error) {
	if g, ok := m.GetBytes(name); ok {
		return g, nil
	}
	return m.Of(r, string(name))
}

// fresh counts the names that there are not yet.
func fresh[C any](get func(string) (C, bool), names ...string) (n int) {
	for _, name := range names {
		if _, ok := get(name); !ok {
			n++
		}
	}
	return n
}

// refused is the code for a thing that was not made: busy when the quota did not
// allow it, otherwise the one given.
func refused(err error, otherwise int32) int32 {
	if errors.Is(err, quota.ErrTooMany) {
		return wire.SystemBusy
	}
	return otherwise
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package access

import (
	"fmt"
	"net/netip"

	"github.com/twostage/twostage/internal/auth"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
)

// MayRead says whether the sender of a request that was let in may read a record of the
// topic, for requests that name a place in the log: what they say of its topic can't be
// trusted. realTopic is the topic that a record in one of the broker's own topics is
// meant for, which decides there; empty where it names none. A refusal is answered,
// counted and logged.
func (g *Guard) MayRead(r *remoting.Request, topic, realTopic []byte) bool {
	return g.permit(r, func(a *asks) {
		if ofTheBroker(topic) && len(realTopic) > 0 {
			topic = realTopic
		}
		a.records(topic)
	})
}

// MayDecide says whether the sender of a request that was let in may decide about half
// messages that are meant for the topic. A refusal is answered, counted and logged.
func (g *Guard) MayDecide(r *remoting.Request, topic []byte) bool {
	return g.permit(r, func(a *asks) { a.topic(auth.Pub, topic) })
}

// permit decides what is known only after a request was let in.
func (g *Guard) permit(r *remoting.Request, ask func(*asks)) bool {
	if !g.Enabled() {
		return true
	}
	st, from := g.now.Load(), r.Conn.RemoteAddr().Addr()
	if g.unsigned(st, r.Code, from) {
		return true
	}
	code := int32(wire.NoPermission)
	who := st.subject(by(r))
	if !g.cfg.Authentication || who != nil && who.Plain {
		code = wire.SystemError
	}
	if who == nil { // gone meanwhile
		g.refuse(r, code, &auth.Refusal{Reason: auth.BecauseUnknown, Text: fmt.Sprintf("User:%.100s is not found.", by(r))})
		return false
	}
	if err := g.decide(who, r.Code, from, ask); err != nil {
		g.refuse(r, code, err.(*auth.Refusal))
		return false
	}
	return true
}

// decide says whether a subject that has proved itself may send a request that needs
// what is asked.
func (g *Guard) decide(who *auth.Subject, code int32, from netip.Addr, ask func(*asks)) error {
	if who.Plain && who.White.Has(from) || !who.Plain && !who.Disabled && g.unasked(code) {
		return nil
	}
	var a asks
	ask(&a)
	for i := range a.list {
		if a.list[i].Kind == auth.Cluster {
			a.list[i].Name = g.cluster
		}
	}
	return who.Decide(a.list, from)
}

// Sender gives the access key of a request whose sender has proved to have it, or need
// not; "" where it names none or has not, as a white list allows.
func (g *Guard) Sender(r *remoting.Request) string {
	name := by(r)
	who := g.now.Load().subject(name)
	if who == nil {
		return ""
	}
	if !who.Plain || !who.White.Has(r.Conn.RemoteAddr().Addr()) {
		s := new(scratch)
		if !who.Key.Verify(s.sort(r), r.Body, signature(r)) {
			return ""
		}
	}
	return string(name)
}

// MayBeAsked says whether a client with the access key, as Sender gave it, may be asked
// how transactions end whose messages are meant for the topic: it is given them, and
// what it answers is END_TRANSACTION.
func (g *Guard) MayBeAsked(accessKey string, from netip.Addr, topic []byte) bool {
	st := g.now.Load()
	if !g.Enabled() || g.unsigned(st, wire.ReqEndTransaction, from) {
		return true
	}
	who := st.subject([]byte(accessKey))
	return who != nil && g.decide(who, wire.ReqEndTransaction, from, func(a *asks) { a.topic(auth.Pub, topic) }) == nil
}

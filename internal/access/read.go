// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package access

import (
	"slices"

	"github.com/twostage/twostage/internal/auth"
	"github.com/twostage/twostage/internal/remoting"
)

// MayRead says whether the sender of a request that was let in may read records of the
// topic, for requests that name a place in the log: what they say of its topic can't be
// trusted. nil, or a *auth.Refusal, which is counted.
func (g *Guard) MayRead(r *remoting.Request, topic []byte) error {
	if !g.Enabled() {
		return nil
	}
	st, from := g.now.Load(), r.Conn.RemoteAddr().Addr()
	if g.cfg.Plain && st.plain.White(from) {
		return nil
	}
	who := st.users[string(by(r))]
	if who == nil {
		who = st.plain.Subjects[string(by(r))]
	}
	switch {
	case who == nil: // admitted by a white list of codes, or gone meanwhile
		if g.cfg.Authentication && !g.cfg.Authorization {
			return nil
		}
		err := &auth.Refusal{Reason: auth.BecauseUnknown, Text: "nobody has signed this request, whose permission is to be known"}
		g.count(err)
		return err
	case who.Plain && who.White.Has(from):
		return nil
	case !who.Plain && (!g.cfg.Authorization || slices.Contains(g.cfg.AuthorizationWhitelist, r.Code)):
		return nil
	}
	var a asks
	a.topic(auth.Sub|auth.Get, topic)
	err := who.Decide(a.list, from)
	if refusal, ok := err.(*auth.Refusal); ok {
		g.count(refusal)
	}
	return err
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package access

import (
	"net/netip"

	"github.com/twostage/twostage/internal/auth"
)

// Password says whether who knows the secret of a user or account may administer the
// cluster, for what comes with a secret instead of a signature: nil, or a
// *auth.Refusal, which is counted. Without access control everybody may.
func (g *Guard) Password(name, secret string, from netip.Addr) error {
	if !g.Enabled() {
		return nil
	}
	err := g.password(name, secret, from)
	if err == nil {
		return nil
	}
	g.note(err, "request", "with user and secret", "peer", from)
	return err
}

func (g *Guard) password(name, secret string, from netip.Addr) *auth.Refusal {
	st := g.now.Load()
	who := st.subject([]byte(name))
	if name == "" {
		return &auth.Refusal{Reason: auth.BecauseAnonymous, Text: "access control is on: send user and secret by HTTP Basic authentication"}
	}
	if who == nil || !who.Key.Same(secret) {
		return &auth.Refusal{Reason: auth.BecauseSignature, Text: "unknown user, or not its secret"}
	}
	if !who.Plain && !who.Super && !g.cfg.Authorization {
		return onlySuper(who, "this")
	}
	if err := who.Decide([]auth.Ask{{Actions: auth.Update, Kind: auth.Cluster, Name: g.cluster}}, from); err != nil {
		return err.(*auth.Refusal)
	}
	return nil
}

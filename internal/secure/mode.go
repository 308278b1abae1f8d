// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package secure

import "fmt"

// Mode says what a port speaks.
type Mode uint8

// The modes of tls.server.mode.
const (
	Disabled   Mode = iota // plaintext only
	Permissive             // TLS and plaintext
	Enforcing              // TLS only
)

var modeNames = [...]string{Disabled: "disabled", Permissive: "permissive", Enforcing: "enforcing"}

func (m Mode) String() string {
	if int(m) < len(modeNames) {
		return modeNames[m]
	}
	return fmt.Sprintf("mode %d", uint8(m))
}

// ParseMode reads the name of a mode.
func ParseMode(name string) (Mode, error) {
	for m, n := range modeNames {
		if n == name {
			return Mode(m), nil
		}
	}
	return 0, fmt.Errorf("TLS mode %q: accepted are disabled, permissive, enforcing", name)
}

// ClientAuth says what a server wants of its clients' certificates.
type ClientAuth uint8

// The values of tls.server.need.client.auth.
const (
	AuthNone     ClientAuth = iota
	AuthOptional            // asked for, not needed
	AuthRequire             // no connection without
)

var authNames = [...]string{AuthNone: "none", AuthOptional: "optional", AuthRequire: "require"}

func (a ClientAuth) String() string {
	if int(a) < len(authNames) {
		return authNames[a]
	}
	return fmt.Sprintf("client authentication %d", uint8(a))
}

// ParseClientAuth reads the name of a value.
func ParseClientAuth(name string) (ClientAuth, error) {
	for a, n := range authNames {
		if n == name {
			return ClientAuth(a), nil
		}
	}
	return 0, fmt.Errorf("client authentication %q: accepted are none, optional, require", name)
}

// IsHandshake says whether the first byte of a connection begins TLS. No frame and
// no HTTP request begins so.
func IsHandshake(first byte) bool { return first == 0x16 }

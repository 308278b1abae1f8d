// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package secure makes TLS configurations of RocketMQ's settings: from files that
// may change while they are in use, or from a certificate of its own. Package
// remoting and the HTTP listeners shake hands with them.
//
// # Files
//
// A [Server] or [Client] reads its files when it is made, and looks again when a
// handshake asks for the configuration, at most once a second: no goroutine, no
// timer. That handshake waits for the files, others go on with what there is. It
// compares what the files hold, not their times. What does not make a
// configuration, as a certificate whose key is still to come, is logged once and
// leaves the one before in force. Connections keep what they began with.
//
// # Rules
//
// TLS 1.2 and 1.3, with the cipher suites of crypto/tls. Keys are PEM: PKCS#8,
// PKCS#1 or SEC 1, and PKCS#8 encrypted by a password (PBES2 with PBKDF2, which is
// what openssl makes). [Listener] tells TLS from plaintext by the first byte, as
// package remoting does. A Server without files has a certificate of its own, made
// on first use and kept in memory, that nobody can verify: it protects against who
// listens, not against who answers in our place.
//
// It logs no key and no password, and knows no configuration key by name but in
// the texts of its errors.
package secure

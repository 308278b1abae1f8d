// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package access lets requests in or not: the guard of a broker or a name server.
//
//	frame -> Guard.Admit (reader goroutine): signature -> what the request needs -> auth.Subject.Decide
//	                                            needs.go: code -> actions on resources, protected or not
//
// It owns the table of what each request needs, for both servers; the users and
// policies of RocketMQ 5.3 on disk (auth/access.json in a directory that only its
// owner may read, replaced whole with fsync before a change is answered); and the
// watch over plain_acl.yml. Deciding itself is package auth's.
//
// # Without access control
//
// Requests that ordinary clients send, and what tools read, are open. Those that
// destroy or decide are protected: they are taken from this machine only, unless
// insecureAdmin says otherwise. Nothing is wrapped around the others, so sends and
// pulls cost what they cost without a guard.
//
// # Invariants
//
//   - A code without a row in the table needs everything: it is protected, and only
//     who may update the cluster may send it. A test holds that each has a row.
//   - Decisions read one immutable snapshot; a change is another one.
//   - A file that can't be read or understood, or is just being written, changes
//     nothing; but for the last it says so.
//   - The user that servers sign with is the configuration's, and on no disk.
//   - No log line, error or answer holds a secret.
//
// # Locks
//
// Guard.mu is held while files are read or written; nothing else is locked under it.
package access

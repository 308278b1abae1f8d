// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package auth decides who may do what: the signatures of requests, the access
// files of RocketMQ 4 (plain_acl.yml), the users and policies of RocketMQ 5.3, and
// one decision under both. It is pure: it reads no file and no clock.
//
//	request -> Key.Verify (HMAC-SHA1 over fields and body) -> Subject
//	Subject.Decide(asks, address): user disabled? super? -> custom policies -> default ones
//
// # One decision
//
// An account of plain_acl.yml becomes a [Subject] with policies like a user's:
// topicPerms and groupPerms are policies for one topic or group, what is not named
// is refused by them; the default permissions are policies for all; requests that
// only read what is no message need no more than the signature, and requests that
// change anything need admin: true, as RocketMQ 4 has it.
//
// Of the policies that match resource, action and source address the most specific
// decides: a name before a prefix, a longer prefix before a shorter one, that before
// all of a type, that before *. No match is a refusal. Custom policies are asked
// before default ones.
//
// # Invariants
//
//   - A signature is compared in constant time; the key schedule of a secret is kept.
//   - No error, and no String of a type here, holds a secret.
//   - A Subject is immutable once it is made, and safe for concurrent use.
//
// # What it refuses
//
// YAML beyond what such a file needs (anchors, tags, flow maps, block scalars), with
// the line; keys shorter than RocketMQ takes; permissions, actions, resources and
// addresses that it does not know.
package auth

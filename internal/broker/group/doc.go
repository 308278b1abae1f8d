// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package group holds the consumer groups of one broker:
// config/subscriptionGroup.json and the rules by which groups come into being.
//
// Readers get an immutable snapshot without a lock. Changes that come while the
// file is written go into the next write together (package commit), and only then
// is the new snapshot published: a change that was answered is on disk. A change
// that cannot be written does not happen, nor do those that were to be written
// with it.
//
// The file is RocketMQ 4.9.8's; files of 5.x are read too, and what only 5.x
// knows (attributes, retry policies, the forbidden table) is kept when the file is
// written again.
//
// It refuses names that message.CheckGroup refuses, since a group's name becomes
// part of a topic's, and a file that is neither blank nor readable: an older
// backup in its place would take back changes that were answered.
package group

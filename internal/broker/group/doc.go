// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package group holds the consumer groups of one broker:
// config/subscriptionGroup.json and the rules by which groups come into being.
//
// Readers get an immutable snapshot without a lock; writers take turns, write the
// file, and only then publish the new snapshot: a change that was answered is on
// disk. A change that cannot be written does not happen.
//
// The file is RocketMQ 4.9.8's; files of 5.x are read too, and what only 5.x
// knows (attributes, retry policies, the forbidden table) is kept when the file is
// written again.
//
// It refuses names that message.CheckGroup refuses, since a group's name becomes
// part of a topic's, and a file that is neither blank nor readable: an older
// backup in its place would take back changes that were answered.
package group

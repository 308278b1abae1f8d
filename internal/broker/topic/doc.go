// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package topic holds the topics of one broker: config/topics.json and the
// rules by which topics come into being.
//
// Readers get an immutable snapshot without a lock; writers take turns, write
// the file, and only then publish the new snapshot: a change that was answered
// is on disk. A change that cannot be written does not happen.
//
// The file is RocketMQ 4.9.8's; files of 5.x are read too, and the attributes of
// their topics are kept when the file is written again. The broker's own topics
// are made at every start and written with the next change; what the file says of
// one wins, but for TBW102, which follows the configuration.
//
// There is one lock, of the writers; Config.OnChange runs under it.
//
// It refuses names that message.CheckTopic refuses (Ensure: message.CheckGroup),
// changes to the broker's own topics, and a file that is neither blank nor
// readable: an older backup in its place would take back changes that were
// answered.
package topic

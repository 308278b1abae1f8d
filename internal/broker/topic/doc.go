// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package topic holds the topics of one broker: config/topics.json and the
// rules by which topics come into being.
//
// Readers get an immutable snapshot without a lock. Changes that come while the
// file is written go into the next write together (package commit), and only then
// is the new snapshot published: a change that was answered is on disk. A change
// that cannot be written does not happen, nor do those that were to be written
// with it.
//
// The file is RocketMQ 4.9.8's; files of 5.x are read too, and the attributes of
// their topics are kept when the file is written again. The broker's own topics
// are made at every start and written with the next change; what the file says of
// one wins, but for TBW102, which follows the configuration.
//
// Writers take turns; Config.OnChange runs in the turn of one.
//
// It refuses names that message.CheckTopic refuses (Ensure: message.CheckGroup),
// changes to the broker's own topics, and a file that is neither blank nor
// readable: an older backup in its place would take back changes that were
// answered.
package topic

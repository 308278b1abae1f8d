// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package inflow counts the messages that consumers can see, by their topic, their
// type and the size of their records, and the dead letters by the group that gave
// them up and the topic that they come from.
//
// It owns nothing on disk. Counting takes one lookup for all messages of a run of
// the same topic and type, and an atomic addition for each figure that changes.
// There is an entry for each topic that a message came for; Keep drops those of
// topics that are gone.
package inflow

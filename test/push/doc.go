// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package push plays the consumers of package client with the real binary: what is
// consumed, what comes again, who has which queues, what is left when one closes.
package push

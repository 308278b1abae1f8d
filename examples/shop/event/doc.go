// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package event is what the services of the shop say to each other: topics, tags
// and the JSON bodies of their messages. It is all that they share.
//
// An amount of money is in cents.
package event

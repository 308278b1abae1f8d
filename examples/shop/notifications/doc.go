// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package notifications tells buyers how their orders come along: it consumes in
// order, so that nobody hears of the parcel before the payment.
package notifications

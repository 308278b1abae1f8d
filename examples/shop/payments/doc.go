// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package payments takes payments for orders, has accounts move the money and tells
// orders. What orders does not want goes back.
//
//	requested -> accepted -> refunding -> refunded
//	        \--> declined
package payments

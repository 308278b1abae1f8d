// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package orders takes orders and leads each through its life:
//
//	placed -> confirmed -> paid -> shipped
//	   \          \
//	    +----------+--> cancelled: out of stock, coupon not valid, not paid in time, by the buyer
//
// Every step is one conditional UPDATE, so that of two that come at the same time
// one wins, and tells the others in the same transaction. Instances share the
// database; each keeps a copy of the prices in memory.
package orders

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package coupons gives discounts: a coupon is good for one order. It is set aside
// with the order, used when that is paid, and free again when that is cancelled.
//
// A claim is the memory of an order, as a reservation is in stock.
package coupons

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package stock has the goods: it sets them aside for orders, ships what is paid and
// takes back what is cancelled. It also says what they cost, to every instance of
// orders.
//
// A reservation is the memory of an order, also of one that was cancelled before
// it was heard of: messages of different transactions may overtake each other.
package stock

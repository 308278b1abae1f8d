// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package books

import "time"

// Order is a row of orders, with its story.
type Order struct {
	Buyer, Product, Coupon string
	Quantity, Price        int64 // of one, cents
	Amount                 int64 // cents
	Status, Payment        string
	Reason                 string // of the cancellation
	Stock                  int64  // 1: stock has answered that it is reserved
	Discount               int64  // cents; -1: coupons has not answered
	Began, Ended           int64  // Unix milliseconds; Ended when cancelled
	Story                  []string
}

// Product is a row of stock.
type Product struct{ Opening, OnHand, Reserved, Price int64 }

// Reservation is a row of stock.
type Reservation struct {
	Product  string
	Quantity int64
	Status   string
}

// Coupon is a row of coupons.
type Coupon struct {
	Discount int64 // cents
	Order    string
	Used     int64
}

// Account is a row of accounts.
type Account struct{ Opening, Balance int64 } // cents

// Entry is a row of the ledger.
type Entry struct {
	Account, Payment, Order string
	Amount                  int64 // cents
}

// Payment is a row of payments.
type Payment struct {
	Order, Buyer string
	Amount       int64 // cents
	Status       string
}

// Told is what buyers were told, by the ids that they chose.
type Told struct {
	Placed    []string // orders
	Cancelled []string // orders
	Paid      []string // payments that were taken
}

// State is what the databases of all services hold.
type State struct {
	Orders        map[string]Order
	Products      map[string]Product
	Reservations  map[string]Reservation
	Coupons       map[string]Coupon
	Claims        map[string]string // status, by order
	Accounts      map[string]Account
	Ledger        []Entry
	Payments      map[string]Payment
	Notifications map[string][]string // by order, as they went out
	Outboxes      map[string]int64    // messages that are still to be forwarded, by service

	Told Told
	// PayWithin is the time after which orders expire.
	PayWithin time.Duration
	// Prices are those that instances of orders know, by instance.
	Prices map[string]map[string]int64
}

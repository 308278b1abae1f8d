// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package event

// The topics. Each has one service that sends to it, but for Answers, which has two.
const (
	// Orders: what became of an order, from orders to stock, coupons and payments.
	// Placed and Cancelled are transactional messages.
	Orders = "shop-orders"
	// Answers: whether an order can be had, from stock and coupons to orders.
	Answers = "shop-answers"
	// Expiry: orders to itself, delivered when the time to pay is over.
	Expiry = "shop-expiry"
	// Story: the life of each order in order, from orders to notifications.
	Story = "shop-story"
	// Charges: money to be moved, from payments to accounts. Charge is a transactional
	// message.
	Charges = "shop-charges"
	// Receipts: whether it was, from accounts to payments.
	Receipts = "shop-receipts"
	// Payments: what is paid, from payments to orders.
	Payments = "shop-payments"
	// Prices: transactional messages from stock to every instance of orders.
	Prices = "shop-prices"
)

// Topics are all of them.
func Topics() []string {
	return []string{Orders, Answers, Expiry, Story, Charges, Receipts, Payments, Prices}
}

// Tags of Orders.
const (
	Placed    = "placed"    // OrderPlaced
	Paid      = "paid"      // OrderRef: ship it, the coupon is used
	Cancelled = "cancelled" // OrderRef: give back what was set aside
	Unwanted  = "unwanted"  // PaymentRef: the order can't be paid any more, give the money back
)

// Tags of Answers, Charges, Receipts and Payments.
const (
	FromStock   = "stock"   // Answer
	FromCoupons = "coupons" // Answer
	Shipped     = "shipped" // OrderRef

	Charge = "charge" // Transfer
	Refund = "refund" // Transfer

	Charged  = "charged"  // PaymentRef
	Declined = "declined" // PaymentRef
	Refunded = "refunded" // PaymentRef

	Accepted = "accepted" // Payment
)

// OrderPlaced asks stock for goods and, with a coupon, coupons for a discount.
type OrderPlaced struct {
	Order    string `json:"order"`
	Product  string `json:"product"`
	Quantity int64  `json:"quantity"`
	Coupon   string `json:"coupon,omitempty"`
}

// OrderRef names an order.
type OrderRef struct {
	Order string `json:"order"`
}

// Answer is that of stock, or of coupons.
type Answer struct {
	Order    string `json:"order"`
	OK       bool   `json:"ok"`
	Discount int64  `json:"discount,omitempty"` // cents
}

// Transfer moves money from a buyer to the shop, or back.
type Transfer struct {
	Payment string `json:"payment"`
	Order   string `json:"order"`
	Buyer   string `json:"buyer"`
	Amount  int64  `json:"amount"` // cents
}

// PaymentRef names a payment.
type PaymentRef struct {
	Payment string `json:"payment"`
}

// Payment is money that the shop has.
type Payment struct {
	Payment string `json:"payment"`
	Order   string `json:"order"`
	Amount  int64  `json:"amount"` // cents
}

// Chapter is a step of an order's life.
type Chapter struct {
	Order string `json:"order"`
	Seq   int64  `json:"seq"` // from 1
	Event string `json:"event"`
}

// Price is what a product costs from a version on.
type Price struct {
	Product string `json:"product"`
	Cents   int64  `json:"cents"`
	Version int64  `json:"version"` // counts up for each product
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package books

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twostage/twostage/examples/shop/accounts"
	"github.com/twostage/twostage/examples/shop/coupons"
	"github.com/twostage/twostage/examples/shop/orders"
	"github.com/twostage/twostage/examples/shop/payments"
	"github.com/twostage/twostage/examples/shop/stock"
)

// balanced are the books of a day: an order that was sold with a coupon and one without,
// one that was cancelled before stock heard of it, one whose payment came too late, and
// one whose coupon another has.
func balanced() *State {
	sold, early := []string{orders.Placed, orders.Confirmed, orders.Paid, orders.Shipped}, []string{orders.Placed, orders.Cancelled}
	late := []string{orders.Placed, orders.Confirmed, orders.Cancelled}
	return &State{
		Orders: map[string]Order{
			"a": {Buyer: "ann", Product: "tea", Coupon: "c1", Quantity: 2, Price: 300, Amount: 500, Status: orders.Shipped, Payment: "pa", Stock: 1, Discount: 100, Story: sold},
			"b": {Buyer: "bob", Product: "tea", Quantity: 1, Price: 300, Status: orders.Cancelled, Reason: "by the buyer", Ended: 1, Story: early},
			"c": {Buyer: "bob", Product: "tea", Coupon: "c2", Quantity: 1, Price: 300, Amount: 200, Status: orders.Cancelled, Stock: 1, Discount: 100,
				Reason: orders.NotPaid, Began: 7000, Ended: 12_000, Story: late},
			"d": {Buyer: "ann", Product: "tea", Quantity: 1, Price: 300, Amount: 300, Status: orders.Shipped, Payment: "pe", Stock: 1, Story: sold},
			"e": {Buyer: "bob", Product: "tea", Coupon: "c1", Quantity: 1, Price: 300, Status: orders.Cancelled, Discount: -1, Reason: "coupon not valid", Ended: 1, Story: early},
		},
		Products: map[string]Product{"tea": {Opening: 10, OnHand: 7, Price: 310}},
		Reservations: map[string]Reservation{
			"a": {Product: "tea", Quantity: 2, Status: stock.Shipped}, "b": {Status: stock.Released}, "c": {Product: "tea", Quantity: 1, Status: stock.Released},
			"d": {Product: "tea", Quantity: 1, Status: stock.Shipped}, "e": {Product: "tea", Quantity: 1, Status: stock.Refused},
		},
		Coupons:  map[string]Coupon{"c1": {Discount: 100, Order: "a", Used: 1}, "c2": {Discount: 100}},
		Claims:   map[string]string{"a": coupons.Granted, "b": coupons.Cancelled, "c": coupons.Granted, "e": coupons.Refused},
		Accounts: map[string]Account{accounts.Shop: {Balance: 800}, "ann": {Opening: 1000, Balance: 200}, "bob": {Opening: 1000, Balance: 1000}},
		Ledger: []Entry{
			{"ann", "pa", "a", -500}, {accounts.Shop, "pa", "a", 500},
			{"bob", "pc", "c", -200}, {accounts.Shop, "pc", "c", 200}, {"bob", "pc", "c", 200}, {accounts.Shop, "pc", "c", -200},
			{"ann", "pe", "d", -300}, {accounts.Shop, "pe", "d", 300},
		},
		Payments: map[string]Payment{
			"pa": {"a", "ann", 500, payments.Accepted}, "pc": {"c", "bob", 200, payments.Refunded}, "pd": {"c", "bob", 200, payments.Declined},
			"pe": {"d", "ann", 300, payments.Accepted},
		},
		Notifications: map[string][]string{"a": sold, "b": early, "c": late, "d": sold, "e": early},
		Outboxes:      map[string]int64{"orders": 0},
		Told:          Told{Placed: []string{"a", "b"}, Cancelled: []string{"b"}, Paid: []string{"pa", "pd"}},
		PayWithin:     5 * time.Second,
		Prices:        map[string]map[string]int64{"orders-1": {"tea": 310}},
	}
}

func TestBalancedBooksHaveNoProblems(t *testing.T) {
	if p := Check(balanced()); len(p) != 0 {
		t.Error(strings.Join(p, "\n"))
	}
}

// edit changes an entry of a map.
func edit[V any](m map[string]V, key string, f func(*V)) {
	v := m[key]
	f(&v)
	m[key] = v
}

// TestCheckBites: whatever a lost, a doubled or an overtaking message would do is a
// problem of its own.
func TestCheckBites(t *testing.T) {
	for _, c := range []struct {
		name, problem string // its beginning
		damage        func(s *State)
	}{
		{"an order that a buyer was told of is gone", "agreement: a buyer was told that order z is placed", func(s *State) { s.Told.Placed = append(s.Told.Placed, "z") }},
		{"a payment that a buyer was told of is gone", "agreement: a buyer was told that payment pd is taken", func(s *State) { delete(s.Payments, "pd") }},
		{"a cancellation that a buyer was told of is not", `agreement: a buyer was told that order a is cancelled; it is "shipped"`, func(s *State) { s.Told.Cancelled = append(s.Told.Cancelled, "a") }},
		{"the message of an order is lost", "agreement: stock has never heard of order b", func(s *State) { delete(s.Reservations, "b") }},
		{"the message of a rolled back order went out", "agreement: stock has reserved for order z", func(s *State) { s.Reservations["z"] = Reservation{"tea", 1, stock.Refused} }},
		{"a message waits in an outbox", "agreement: 1 messages wait in the outbox of stock", func(s *State) { s.Outboxes["stock"] = 1 }},
		{"money for a payment that was rolled back", "agreement: money was moved for payment pc", func(s *State) { delete(s.Payments, "pc") }},
		{"stock's answer is lost", "answers: order c is for goods that are released, and orders has heard 0", func(s *State) { edit(s.Orders, "c", func(o *Order) { o.Stock = 0 }) }},
		{"coupons' answer is lost", `answers: order c with coupon "c2", whose claim is "granted", has a discount of -1`, func(s *State) { edit(s.Orders, "c", func(o *Order) { o.Discount = -1 }) }},
		{"the order never came to coupons", `answers: order c with coupon "c2", whose claim is ""`, func(s *State) { delete(s.Claims, "c") }},
		{"coupons answers what nobody has asked", `answers: order d with coupon "", whose claim is "granted"`, func(s *State) { s.Claims["d"] = coupons.Granted }},
		{"a coupon was refused and the order is sold", `answers: order a with coupon "c1", whose claim is "refused"`, func(s *State) { s.Claims["a"] = coupons.Refused }},
		{"an order never ends", "orders: b is still confirmed", func(s *State) { edit(s.Orders, "b", func(o *Order) { o.Status = orders.Confirmed }) }},
		{"a step is missing", "orders: a is shipped by [placed paid shipped]", func(s *State) {
			edit(s.Orders, "a", func(o *Order) { o.Story = []string{"placed", "paid", "shipped"} })
		}},
		{"an order is cancelled after the payment", "orders: c is cancelled by [placed confirmed paid cancelled]", func(s *State) {
			edit(s.Orders, "c", func(o *Order) { o.Story = []string{"placed", "confirmed", "paid", "cancelled"} })
		}},
		{"an order expires before its time", "orders: c expired after 3s, and was good for 5s", func(s *State) { edit(s.Orders, "c", func(o *Order) { o.Ended = 10_000 }) }},
		{"what is cancelled was shipped", "stock: order c is cancelled, its goods are shipped", func(s *State) { edit(s.Reservations, "c", func(r *Reservation) { r.Status = stock.Shipped }) }},
		{"what is sold was not shipped", "stock: order a is shipped, its goods are reserved", func(s *State) { edit(s.Reservations, "a", func(r *Reservation) { r.Status = stock.Reserved }) }},
		{"another quantity than ordered", "stock: order c is for 1 tea, reserved were 3 tea", func(s *State) { edit(s.Reservations, "c", func(r *Reservation) { r.Quantity = 3 }) }},
		{"other goods than ordered", "stock: order c is for 1 tea, reserved were 1 milk", func(s *State) { edit(s.Reservations, "c", func(r *Reservation) { r.Product = "milk" }) }},
		{"shipped twice", "stock: of 10 tea 3 were shipped and 5 are here, of which 0 are set aside", func(s *State) { edit(s.Products, "tea", func(p *Product) { p.OnHand -= 2 }) }},
		{"released never", "stock: of 10 tea 3 were shipped and 7 are here, of which 1 are set aside", func(s *State) { edit(s.Products, "tea", func(p *Product) { p.Reserved = 1 }) }},
		{"more is sold than there was", "stock: of 2 tea 3 were shipped and -1 are here", func(s *State) { edit(s.Products, "tea", func(p *Product) { p.Opening, p.OnHand = 2, -1 }) }},
		{"a balance without an entry", "money: ann has 201 cents: it had 1000, and -800 were moved", func(s *State) { edit(s.Accounts, "ann", func(a *Account) { a.Balance++ }) }},
		{"a negative balance", "money: ann has -100 cents: it had 700", func(s *State) { edit(s.Accounts, "ann", func(a *Account) { a.Opening, a.Balance = 700, -100 }) }},
		{"an entry without its other half", "money: there were 2000 cents and now there are 2005", func(s *State) {
			s.Ledger = append(s.Ledger, Entry{"ann", "pa", "a", 5})
			edit(s.Accounts, "ann", func(a *Account) { a.Balance += 5 })
		}},
		{"money of nobody", `money: payment pa moved 1 cents of account "zoe"`, func(s *State) { s.Ledger = append(s.Ledger, Entry{"zoe", "pa", "a", 1}) }},
		{"somebody else is charged", "money: payment pa (accepted) of order a has moved -500 cents of bob, which should be 0", func(s *State) {
			charge(s, "ann", "a", "pa", -500)
			charge(s, "bob", "a", "pa", 500)
		}},
		{"somebody else gets the refund", "money: payment pc (refunded) of order c has moved 200 cents of ann, which should be 0", func(s *State) {
			charge(s, "ann", "c", "pc", -200)
			charge(s, "bob", "c", "pc", 200)
		}},
		{"another payment is charged than is accepted", "money: payment pd (declined) of order c has moved -500 cents of ann, which should be 0", func(s *State) {
			charge(s, "ann", "a", "pa", -500)
			charge(s, "ann", "a", "pd", 500)
		}},
		{"charged twice", "money: payment pa (accepted) of order a has moved -1000 cents of ann, which should be -500", func(s *State) { charge(s, "ann", "a", "pa", 500) }},
		{"never charged", "money: payment pa is accepted, and has not moved the -500 cents of ann", func(s *State) { s.Ledger = s.Ledger[2:] }},
		{"not refunded", "money: payment pc (refunded) of order c has moved -200 cents of bob, which should be 0", func(s *State) { charge(s, "bob", "c", "pc", 200) }},
		{"refunded twice", "money: payment pc (refunded) of order c has moved 200 cents of bob, which should be 0", func(s *State) { charge(s, "bob", "c", "pc", -200) }},
		{"money for an order that does not exist", "money: payment pz is for order z, which does not exist", func(s *State) { s.Payments["pz"] = Payment{"z", "ann", 100, payments.Accepted} }},
		{"a payment that never ends", "money: payment pd of order c is still requested", func(s *State) { edit(s.Payments, "pd", func(p *Payment) { p.Status = payments.Requested }) }},
		{"a refund that never ends", "money: payment pc of order c is still refunding", func(s *State) { edit(s.Payments, "pc", func(p *Payment) { p.Status = payments.Refunding }) }},
		{"paid twice", "money: order a is paid by pa and by pf", func(s *State) { s.Payments["pf"] = Payment{"a", "ann", 100, payments.Accepted} }},
		{"a payment of what is cancelled", "money: order c is cancelled, and payment pd is accepted", func(s *State) { edit(s.Payments, "pd", func(p *Payment) { p.Status = payments.Accepted }) }},
		{"less is paid than agreed", `money: order a is shipped for 500 cents by payment "pa", accepted is "pa" of 400`, func(s *State) { edit(s.Payments, "pa", func(p *Payment) { p.Amount = 400 }) }},
		{"another payment is the order's", `money: order a is shipped for 500 cents by payment "pd", accepted is "pa" of 500`, func(s *State) { edit(s.Orders, "a", func(o *Order) { o.Payment = "pd" }) }},
		{"sold without a payment", `money: order a is shipped for 500 cents by payment "pa", accepted is "" of 0`, func(s *State) { edit(s.Payments, "pa", func(p *Payment) { p.Status = payments.Refunded }) }},
		{"a coupon used twice", `coupons: c1 was used 2 times, last by order "a" (shipped)`, func(s *State) { edit(s.Coupons, "c1", func(c *Coupon) { c.Used = 2 }) }},
		{"a coupon used by nobody", `coupons: c2 was used 1 times, last by order "" ()`, func(s *State) { edit(s.Coupons, "c2", func(c *Coupon) { c.Used = 1 }) }},
		{"a coupon that is not free again", `coupons: c2 was used 0 times, last by order "c" (cancelled)`, func(s *State) { edit(s.Coupons, "c2", func(c *Coupon) { c.Order = "c" }) }},
		{"a coupon used for what is cancelled", `coupons: c2 was used 1 times, last by order "c" (cancelled)`, func(s *State) { edit(s.Coupons, "c2", func(c *Coupon) { c.Order, c.Used = "c", 1 }) }},
		{"a coupon used for another order", `coupons: c2 was used 1 times, last by order "d" (shipped)`, func(s *State) { edit(s.Coupons, "c2", func(c *Coupon) { c.Order, c.Used = "d", 1 }) }},
		{"sold with a coupon that is unused", `coupons: order a is sold with coupon "c1", which was not used for it`, func(s *State) { edit(s.Coupons, "c1", func(c *Coupon) { *c = Coupon{Discount: 100} }) }},
		{"sold at the full price in spite of a coupon", "coupons: order a costs 600 cents: 2 times 300, 100 less", func(s *State) { edit(s.Orders, "a", func(o *Order) { o.Amount = 600 }) }},
		{"a buyer hears of a step twice", "notifications: of order b: [placed placed cancelled], and it was [placed cancelled]", func(s *State) { s.Notifications["b"] = []string{"placed", "placed", "cancelled"} }},
		{"a buyer hears of it the other way round", "notifications: of order b: [cancelled placed], and", func(s *State) { s.Notifications["b"] = []string{"cancelled", "placed"} }},
		{"a buyer never hears of it", "notifications: of order b: [], and", func(s *State) { delete(s.Notifications, "b") }},
		{"a buyer hears of an order that does not exist", "notifications: of order z, which does not exist", func(s *State) { s.Notifications["z"] = []string{"placed"} }},
		{"an instance has missed a price", "prices: orders-2 knows 300 cents for tea, which costs 310", func(s *State) { s.Prices["orders-2"] = map[string]int64{"tea": 300} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := balanced()
			c.damage(s)
			problems := Check(s)
			if !slices.ContainsFunc(problems, func(p string) bool { return strings.HasPrefix(p, c.problem) }) {
				t.Errorf("nothing of %q: %q", c.problem, problems)
			}
		})
	}
}

// charge moves money with all entries that a transfer has.
func charge(s *State, who, order, payment string, amount int64) {
	s.Ledger = append(s.Ledger, Entry{who, payment, order, -amount}, Entry{accounts.Shop, payment, order, amount})
	edit(s.Accounts, who, func(a *Account) { a.Balance -= amount })
	edit(s.Accounts, accounts.Shop, func(a *Account) { a.Balance += amount })
}

// TestEmptyBooksBalance, of a shop that never opened.
func TestEmptyBooksBalance(t *testing.T) {
	if p := Check(&State{Accounts: maps.Clone(balanced().Accounts)}); len(p) == 0 {
		t.Error("money without a ledger is no problem")
	}
	if p := Check(&State{}); len(p) != 0 {
		t.Errorf("%q", p)
	}
}

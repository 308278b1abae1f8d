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

// balanced are the books of a day: an order that was sold with a coupon, one that was
// cancelled before stock heard of it, one whose payment came too late.
func balanced() *State {
	return &State{
		Orders: map[string]Order{
			"a": {Buyer: "ann", Product: "tea", Coupon: "c1", Quantity: 2, Price: 300, Amount: 500, Status: orders.Shipped, Payment: "pa", Stock: 1, Discount: 100,
				Story: []string{orders.Placed, orders.Confirmed, orders.Paid, orders.Shipped}},
			"b": {Buyer: "bob", Product: "tea", Quantity: 1, Price: 300, Status: orders.Cancelled, Reason: "by the buyer", Ended: 1, Story: []string{orders.Placed, orders.Cancelled}},
			"c": {Buyer: "bob", Product: "tea", Coupon: "c2", Quantity: 1, Price: 300, Amount: 200, Status: orders.Cancelled, Stock: 1, Discount: 100,
				Reason: orders.NotPaid, Began: 7000, Ended: 12_000,
				Story: []string{orders.Placed, orders.Confirmed, orders.Cancelled}},
		},
		Products: map[string]Product{"tea": {Opening: 10, OnHand: 8, Price: 310}},
		Reservations: map[string]Reservation{
			"a": {Product: "tea", Quantity: 2, Status: stock.Shipped}, "b": {Status: stock.Released}, "c": {Product: "tea", Quantity: 1, Status: stock.Released},
		},
		Coupons:  map[string]Coupon{"c1": {Discount: 100, Order: "a", Used: 1}, "c2": {Discount: 100}},
		Claims:   map[string]string{"a": coupons.Granted, "b": coupons.Cancelled, "c": coupons.Granted},
		Accounts: map[string]Account{accounts.Shop: {Balance: 500}, "ann": {Opening: 1000, Balance: 500}, "bob": {Opening: 1000, Balance: 1000}},
		Ledger: []Entry{
			{"ann", "pa", "a", -500}, {accounts.Shop, "pa", "a", 500},
			{"bob", "pc", "c", -200}, {accounts.Shop, "pc", "c", 200}, {"bob", "pc", "c", 200}, {accounts.Shop, "pc", "c", -200},
		},
		Payments: map[string]Payment{
			"pa": {"a", "ann", 500, payments.Accepted}, "pc": {"c", "bob", 200, payments.Refunded}, "pd": {"c", "bob", 200, payments.Declined},
		},
		Notifications: map[string][]string{
			"a": {orders.Placed, orders.Confirmed, orders.Paid, orders.Shipped}, "b": {orders.Placed, orders.Cancelled},
			"c": {orders.Placed, orders.Confirmed, orders.Cancelled},
		},
		Outboxes:  map[string]int64{"orders": 0},
		Told:      Told{Placed: []string{"a", "b"}, Cancelled: []string{"b"}, Paid: []string{"pa", "pd"}},
		PayWithin: 5 * time.Second,
		Prices:    map[string]map[string]int64{"orders-1": {"tea": 310}},
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
// problem of its rule.
func TestCheckBites(t *testing.T) {
	for name, c := range map[string]struct {
		rule   string
		damage func(s *State)
	}{
		"an order that a buyer was told of is gone":      {"agreement", func(s *State) { s.Told.Placed = append(s.Told.Placed, "z") }},
		"the message of an order is lost":                {"agreement", func(s *State) { delete(s.Reservations, "b") }},
		"the message of a rolled back order went out":    {"agreement", func(s *State) { s.Reservations["z"] = Reservation{"tea", 1, stock.Refused} }},
		"a message waits in an outbox":                   {"agreement", func(s *State) { s.Outboxes["stock"] = 1 }},
		"money for a payment that was rolled back":       {"agreement", func(s *State) { delete(s.Payments, "pc") }},
		"a payment that a buyer was told of is gone":     {"agreement", func(s *State) { delete(s.Payments, "pd") }},
		"a cancellation that a buyer was told of is not": {"agreement", func(s *State) { s.Told.Cancelled = append(s.Told.Cancelled, "a") }},
		"stock's answer is lost":                         {"answers", func(s *State) { edit(s.Orders, "c", func(o *Order) { o.Stock = 0 }) }},
		"coupons' answer is lost":                        {"answers", func(s *State) { edit(s.Orders, "c", func(o *Order) { o.Discount = -1 }) }},
		"the order never came to coupons":                {"answers", func(s *State) { delete(s.Claims, "c") }},
		"a coupon was refused and the order is sold":     {"answers", func(s *State) { s.Claims["a"] = coupons.Refused }},
		"an order expires before its time":               {"orders", func(s *State) { edit(s.Orders, "c", func(o *Order) { o.Ended = 10_000 }) }},
		"somebody else is charged": {"money", func(s *State) {
			charge(s, "ann", "a", "pa", -500)
			charge(s, "bob", "a", "pa", 500)
		}},
		"somebody else gets the refund": {"money", func(s *State) {
			charge(s, "ann", "c", "pc", -200)
			charge(s, "bob", "c", "pc", 200)
		}},
		"another payment is charged than is accepted": {"money", func(s *State) {
			charge(s, "ann", "a", "pa", -500)
			charge(s, "ann", "a", "pd", 500)
		}},
		"money for an order that does not exist": {"money", func(s *State) {
			s.Payments["pz"] = Payment{"z", "ann", 100, payments.Accepted}
			charge(s, "ann", "z", "pz", 100)
		}},
		"money of nobody":                {"money", func(s *State) { s.Ledger = append(s.Ledger, Entry{"zoe", "pa", "a", 1}) }},
		"less is paid than agreed":       {"money", func(s *State) { edit(s.Payments, "pa", func(p *Payment) { p.Amount = 400 }) }},
		"another payment is the order's": {"money", func(s *State) { edit(s.Orders, "a", func(o *Order) { o.Payment = "pd" }) }},
		"sold at the full price, the coupon unused": {"coupons", func(s *State) {
			edit(s.Coupons, "c1", func(c *Coupon) { *c = Coupon{Discount: 100} })
			edit(s.Orders, "a", func(o *Order) { o.Amount = 600 })
		}},
		"an order never ends": {"orders", func(s *State) { edit(s.Orders, "b", func(o *Order) { o.Status = orders.Confirmed }) }},
		"a step is missing":   {"orders", func(s *State) { edit(s.Orders, "a", func(o *Order) { o.Story = slices.Delete(o.Story, 1, 2) }) }},
		"an order is cancelled after the payment": {"orders", func(s *State) {
			edit(s.Orders, "c", func(o *Order) { o.Story = []string{"placed", "confirmed", "paid", "cancelled"} })
		}},
		"shipped twice":                                 {"stock", func(s *State) { edit(s.Products, "tea", func(p *Product) { p.OnHand -= 2 }) }},
		"released never":                                {"stock", func(s *State) { edit(s.Products, "tea", func(p *Product) { p.Reserved = 1 }) }},
		"what is cancelled was shipped":                 {"stock", func(s *State) { edit(s.Reservations, "c", func(r *Reservation) { r.Status = stock.Shipped }) }},
		"what is sold was not shipped":                  {"stock", func(s *State) { edit(s.Reservations, "a", func(r *Reservation) { r.Status = stock.Reserved }) }},
		"another quantity than ordered":                 {"stock", func(s *State) { edit(s.Reservations, "c", func(r *Reservation) { r.Quantity = 3 }) }},
		"charged twice":                                 {"money", func(s *State) { charge(s, "ann", "a", "pa", 500) }},
		"not refunded":                                  {"money", func(s *State) { charge(s, "bob", "c", "pc", 200) }},
		"refunded twice":                                {"money", func(s *State) { charge(s, "bob", "c", "pc", -200) }},
		"a balance without an entry":                    {"money", func(s *State) { edit(s.Accounts, "ann", func(a *Account) { a.Balance++ }) }},
		"a negative balance":                            {"money", func(s *State) { edit(s.Accounts, "ann", func(a *Account) { a.Opening, a.Balance = 400, -100 }) }},
		"a payment that never ends":                     {"money", func(s *State) { edit(s.Payments, "pd", func(p *Payment) { p.Status = payments.Requested }) }},
		"a refund that never ends":                      {"money", func(s *State) { edit(s.Payments, "pc", func(p *Payment) { p.Status = payments.Refunding }) }},
		"a payment of what is cancelled":                {"money", func(s *State) { edit(s.Payments, "pd", func(p *Payment) { p.Status = payments.Accepted }) }},
		"a coupon used twice":                           {"coupons", func(s *State) { edit(s.Coupons, "c1", func(c *Coupon) { c.Used = 2 }) }},
		"a coupon that is not free again":               {"coupons", func(s *State) { edit(s.Coupons, "c2", func(c *Coupon) { c.Order = "c" }) }},
		"a coupon without a discount":                   {"coupons", func(s *State) { edit(s.Coupons, "c1", func(c *Coupon) { *c = Coupon{Discount: 100} }) }},
		"a buyer hears of a step twice":                 {"notifications", func(s *State) { s.Notifications["b"] = []string{"placed", "placed", "cancelled"} }},
		"a buyer hears of it the other way round":       {"notifications", func(s *State) { s.Notifications["b"] = []string{"cancelled", "placed"} }},
		"a buyer never hears of it":                     {"notifications", func(s *State) { delete(s.Notifications, "b") }},
		"a buyer hears of an order that does not exist": {"notifications", func(s *State) { s.Notifications["z"] = []string{"placed"} }},
		"an instance has missed a price":                {"prices", func(s *State) { s.Prices["orders-2"] = map[string]int64{"tea": 300} }},
	} {
		t.Run(name, func(t *testing.T) {
			s := balanced()
			c.damage(s)
			problems := Check(s)
			if !slices.ContainsFunc(problems, func(p string) bool { return strings.HasPrefix(p, c.rule+": ") }) {
				t.Errorf("nothing of the rule %s: %q", c.rule, problems)
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

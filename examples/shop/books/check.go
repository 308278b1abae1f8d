// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package books

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twostage/twostage/examples/shop/accounts"
	"github.com/twostage/twostage/examples/shop/coupons"
	"github.com/twostage/twostage/examples/shop/orders"
	"github.com/twostage/twostage/examples/shop/payments"
	"github.com/twostage/twostage/examples/shop/stock"
)

// problems are what does not add up, by rule.
type problems []string

func (p *problems) add(rule, format string, args ...any) {
	*p = append(*p, rule+": "+fmt.Sprintf(format, args...))
}

// Check gives what does not add up, one line each, beginning with the rule; nothing
// when the books balance.
func Check(s *State) []string {
	var p problems
	for _, rule := range []func(*State, *problems){agreement, answers, lives, goods, money, discounts, notices, caches} {
		rule(s, &p)
	}
	return p
}

// early is by how much the time of a message may be rounded.
const early = time.Second

// sold tells whether an order is one that the buyer pays and gets.
func sold(o Order) bool { return o.Status == orders.Paid || o.Status == orders.Shipped }

// agreement: what a buyer was told is in the database; every order has reached
// stock, and stock knows of no order that orders does not. It is what sqltx.Run is
// there for.
func agreement(s *State, p *problems) {
	for _, id := range s.Told.Placed {
		if _, ok := s.Orders[id]; !ok {
			p.add("agreement", "a buyer was told that order %s is placed; there is no such order", id)
		}
	}
	for _, id := range s.Told.Cancelled {
		if o := s.Orders[id]; o.Status != orders.Cancelled {
			p.add("agreement", "a buyer was told that order %s is cancelled; it is %q", id, o.Status)
		}
	}
	for _, id := range s.Told.Paid {
		if _, ok := s.Payments[id]; !ok {
			p.add("agreement", "a buyer was told that payment %s is taken; there is no such payment", id)
		}
	}
	for _, id := range sorted(s.Orders) {
		if _, ok := s.Reservations[id]; !ok {
			p.add("agreement", "stock has never heard of order %s", id)
		}
	}
	for _, id := range sorted(s.Reservations) {
		if _, ok := s.Orders[id]; !ok {
			p.add("agreement", "stock has reserved for order %s, which does not exist", id)
		}
	}
	for _, service := range sorted(s.Outboxes) {
		if n := s.Outboxes[service]; n != 0 {
			p.add("agreement", "%d messages wait in the outbox of %s", n, service)
		}
	}
	charged := map[string]bool{}
	for _, e := range s.Ledger {
		charged[e.Payment] = true
	}
	for _, id := range sorted(charged) {
		if _, ok := s.Payments[id]; !ok {
			p.add("agreement", "money was moved for payment %s, which does not exist", id)
		}
	}
}

// answers: orders has heard what stock and coupons have decided.
func answers(s *State, p *problems) {
	for _, id := range sorted(s.Orders) {
		o, r, claim := s.Orders[id], s.Reservations[id], s.Claims[id]
		if reserved := r.Product != "" && r.Status != stock.Refused; reserved != (o.Stock == 1) {
			p.add("answers", "order %s is for goods that are %s, and orders has heard %d", id, r.Status, o.Stock)
		}
		asked := claim == coupons.Granted || claim == coupons.Refused
		if o.Coupon != "" && claim == "" || o.Coupon == "" && asked || claim == coupons.Granted && o.Discount < 0 || claim == coupons.Refused && sold(o) {
			p.add("answers", "order %s with coupon %q, whose claim is %q, has a discount of %d", id, o.Coupon, claim, o.Discount)
		}
	}
}

// lives: every order has come to an end, by steps that there are; it did not expire
// before its time.
func lives(s *State, p *problems) {
	for _, id := range sorted(s.Orders) {
		o := s.Orders[id]
		if o.Status != orders.Shipped && o.Status != orders.Cancelled {
			p.add("orders", "%s is still %s", id, o.Status)
			continue
		}
		ways := [][]string{{orders.Placed, orders.Confirmed, orders.Paid, orders.Shipped}}
		if o.Status == orders.Cancelled {
			ways = [][]string{{orders.Placed, orders.Cancelled}, {orders.Placed, orders.Confirmed, orders.Cancelled}}
		}
		if !slices.ContainsFunc(ways, func(w []string) bool { return slices.Equal(w, o.Story) }) {
			p.add("orders", "%s is %s by %v", id, o.Status, o.Story)
		}
		if lived := time.Duration(o.Ended-o.Began) * time.Millisecond; o.Reason == orders.NotPaid && lived < s.PayWithin-early {
			p.add("orders", "%s expired after %v, and was good for %v", id, lived, s.PayWithin)
		}
	}
}

// goods: what there was is what is there and what was shipped; nothing is set aside.
func goods(s *State, p *problems) {
	out := map[string]int64{}
	for _, id := range sorted(s.Reservations) {
		r, o := s.Reservations[id], s.Orders[id]
		if r.Status == stock.Shipped {
			out[r.Product] += r.Quantity
		}
		if (r.Status == stock.Shipped) != sold(o) {
			p.add("stock", "order %s is %s, its goods are %s", id, o.Status, r.Status)
		}
		if r.Product != "" && (r.Product != o.Product || r.Quantity != o.Quantity) {
			p.add("stock", "order %s is for %d %s, reserved were %d %s", id, o.Quantity, o.Product, r.Quantity, r.Product)
		}
	}
	for _, id := range sorted(s.Products) {
		g := s.Products[id]
		if g.Opening != g.OnHand+out[id] || g.OnHand < 0 || g.Reserved != 0 {
			p.add("stock", "of %d %s %d were shipped and %d are here, of which %d are set aside", g.Opening, id, out[id], g.OnHand, g.Reserved)
		}
	}
}

// money: none is made or lost; each account is its opening and its ledger; the shop
// has been paid once for what it sold, by who bought it, and for nothing else.
func money(s *State, p *problems) {
	var opened, now int64
	moved := map[string]int64{}
	for _, e := range s.Ledger {
		moved[e.Account] += e.Amount
	}
	for _, id := range sorted(s.Accounts) {
		a := s.Accounts[id]
		opened, now = opened+a.Opening, now+a.Balance
		if a.Balance != a.Opening+moved[id] || a.Balance < 0 {
			p.add("money", "%s has %d cents: it had %d, and %d were moved", id, a.Balance, a.Opening, moved[id])
		}
	}
	if opened != now {
		p.add("money", "there were %d cents and now there are %d", opened, now)
	}
	charges(s, p)
}

// charges: an accepted payment has gone from the buyer of its order to the shop, once
// and in full; of any other nothing has stayed. What is sold has one that is accepted.
func charges(s *State, p *problems) {
	moved := map[string]map[string]int64{} // by payment and account
	for _, e := range s.Ledger {
		if _, ok := s.Accounts[e.Account]; !ok {
			p.add("money", "payment %s moved %d cents of account %q, which does not exist", e.Payment, e.Amount, e.Account)
		}
		if moved[e.Payment] == nil {
			moved[e.Payment] = map[string]int64{}
		}
		moved[e.Payment][e.Account] += e.Amount
	}
	accepted := map[string]string{} // by order
	for _, id := range sorted(s.Payments) {
		pay := s.Payments[id]
		o, ok := s.Orders[pay.Order]
		due := map[string]int64{}
		switch {
		case !ok:
			p.add("money", "payment %s is for order %s, which does not exist", id, pay.Order)
		case pay.Status == payments.Requested || pay.Status == payments.Refunding:
			p.add("money", "payment %s of order %s is still %s", id, pay.Order, pay.Status)
			continue
		case pay.Status == payments.Accepted:
			due = map[string]int64{o.Buyer: -pay.Amount, accounts.Shop: pay.Amount}
			if other := accepted[pay.Order]; other != "" {
				p.add("money", "order %s is paid by %s and by %s", pay.Order, other, id)
			}
			accepted[pay.Order] = id
		}
		for account, cents := range moved[id] {
			if cents != due[account] {
				p.add("money", "payment %s (%s) of order %s has moved %d cents of %s, which should be %d", id, pay.Status, pay.Order, cents, account, due[account])
			}
		}
		for account, cents := range due {
			if _, ok := moved[id][account]; !ok {
				p.add("money", "payment %s is accepted, and has not moved the %d cents of %s", id, cents, account)
			}
		}
	}
	for _, id := range sorted(s.Orders) {
		o := s.Orders[id]
		switch by := accepted[id]; {
		case !sold(o) && by != "":
			p.add("money", "order %s is %s, and payment %s is accepted", id, o.Status, by)
		case sold(o) && (by == "" || by != o.Payment || s.Payments[by].Amount != o.Amount):
			p.add("money", "order %s is %s for %d cents by payment %q, accepted is %q of %d", id, o.Status, o.Amount, o.Payment, by, s.Payments[by].Amount)
		}
	}
}

// discounts: a coupon is good for one order, which is sold, for as much less.
func discounts(s *State, p *problems) {
	had := map[string]int64{}
	for _, id := range sorted(s.Coupons) {
		c := s.Coupons[id]
		o := s.Orders[c.Order]
		switch {
		case c.Order == "" && c.Used == 0:
		case c.Used != 1 || !sold(o) || o.Coupon != id:
			p.add("coupons", "%s was used %d times, last by order %q (%s)", id, c.Used, c.Order, o.Status)
		default:
			had[c.Order] = c.Discount
		}
	}
	for _, id := range sorted(s.Orders) {
		o := s.Orders[id]
		if _, used := had[id]; sold(o) && used != (o.Coupon != "") {
			p.add("coupons", "order %s is sold with coupon %q, which was not used for it", id, o.Coupon)
		}
		if sold(o) && o.Amount != o.Price*o.Quantity-had[id] {
			p.add("coupons", "order %s costs %d cents: %d times %d, %d less", id, o.Amount, o.Quantity, o.Price, had[id])
		}
	}
}

// notices: the buyer was told each step once, in order.
func notices(s *State, p *problems) {
	for _, id := range sorted(s.Orders) {
		if sent, story := s.Notifications[id], s.Orders[id].Story; !slices.Equal(sent, story) {
			p.add("notifications", "of order %s: %v, and it was %v", id, sent, story)
		}
	}
	for _, id := range sorted(s.Notifications) {
		if _, ok := s.Orders[id]; !ok {
			p.add("notifications", "of order %s, which does not exist", id)
		}
	}
}

// caches: every instance of orders knows the prices that stock has.
func caches(s *State, p *problems) {
	for _, instance := range sorted(s.Prices) {
		for _, id := range sorted(s.Products) {
			if known, price := s.Prices[instance][id], s.Products[id].Price; known != price {
				p.add("prices", "%s knows %d cents for %s, which costs %d", instance, known, id, price)
			}
		}
	}
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/twostage/twostage/examples/shop/books"
	"github.com/twostage/twostage/examples/shop/orders"
	"github.com/twostage/twostage/examples/shop/service"
)

// progress prints a line every second.
func (w *world) progress(ctx context.Context) {
	began := time.Now()
	for {
		sleep(ctx, time.Second)
		if ctx.Err() != nil {
			return
		}
		b := &w.buying
		fmt.Fprintf(w.out, "%4.0fs  orders: %d placed, %d confirmed, %d paid, %d cancelled, %d left alone, %d failed", time.Since(began).Seconds(),
			b.placed.Load(), b.confirmed.Load(), b.paid.Load(), b.cancelled.Load(), b.left.Load(), b.failed.Load())
		if w.chaos {
			fmt.Fprintf(w.out, "  services: %d killed, %d died, broker: %d", w.kills.Load(), w.died(), w.crashes.Load())
		}
		fmt.Fprintln(w.out)
	}
}

// settle waits for the end of what is under way, and prints the books. They have to
// balance twice, so far apart that a message which is not needed for that, such as the
// expiry of an order that is paid or one that is delivered again, has come in between.
func (w *world) settle(outer context.Context) error {
	fmt.Fprintln(w.out, "closed; waiting for what is under way")
	ctx, cancel := context.WithTimeout(outer, w.patience)
	defer cancel()
	began := time.Now()
	quiet := max(w.payWithin, service.Undecided) + time.Second
	var last []string
	var since time.Time // the books balance; zero: they don't
	for {
		state, err := w.read(ctx)
		if failed := w.failed(); failed != nil {
			return failed
		}
		if err == nil {
			last = books.Check(state)
		} else if last == nil {
			last = []string{err.Error()}
		}
		if err != nil || len(last) != 0 {
			since = time.Time{}
		} else if since.IsZero() {
			since = time.Now()
		}
		if !since.IsZero() && time.Since(since) >= quiet {
			fmt.Fprintf(w.out, "settled after %.1fs\n", time.Since(began).Seconds())
			w.print(state, nil)
			return nil
		}
		if outer.Err() != nil {
			return outer.Err()
		}
		if ctx.Err() != nil {
			if state != nil {
				w.print(state, last)
			}
			return fmt.Errorf("%w after %v: %d problems", errBooks, w.patience, len(last))
		}
		sleep(ctx, 500*time.Millisecond)
	}
}

// read asks all databases, and the instances of orders for the prices they know. What
// does not run is started before: a request that was under way when the load ended
// may have been the death of its service.
func (w *world) read(ctx context.Context) (*books.State, error) {
	w.back()
	s := &books.State{Told: w.told, PayWithin: w.payWithin, Prices: map[string]map[string]int64{}}
	ctx = context.WithoutCancel(ctx)
	for name, db := range w.dbs {
		if err := s.Read(ctx, name, db); err != nil {
			return s, err
		}
	}
	for _, p := range w.by["orders"] {
		var known map[string]int64
		if err := w.ask(ctx, http.MethodGet, p, "/prices", nil, &known); err != nil {
			return s, err
		}
		s.Prices[p.name] = known
	}
	return s, nil
}

// print prints the books.
func (w *world) print(s *books.State, problems []string) {
	by := map[string]int{}
	var sold, units, opened, now int64
	for _, o := range s.Orders {
		by[o.Status]++
		if o.Status == orders.Shipped {
			sold += o.Amount
			units += o.Quantity
		}
	}
	for _, a := range s.Accounts {
		opened, now = opened+a.Opening, now+a.Balance
	}
	payments := map[string]int{}
	for _, p := range s.Payments {
		payments[p.Status]++
	}
	used := int64(0)
	for _, c := range s.Coupons {
		used += c.Used
	}
	var there, here int64
	for _, p := range s.Products {
		there, here = there+p.Opening, here+p.OnHand
	}
	line := func(what, format string, args ...any) {
		fmt.Fprintf(w.out, "  %-14s"+format+"\n", append([]any{what}, args...)...)
	}
	fmt.Fprintln(w.out, "the books")
	line("orders", "%d: %s", len(s.Orders), counts(by))
	line("payments", "%d: %s", len(s.Payments), counts(payments))
	line("money", "%s before, %s now; %s for what was sold, on the shop's account %s", euros(opened), euros(now), euros(sold), euros(s.Accounts["shop"].Balance))
	line("goods", "%d before, %d here, %d sold", there, here, units)
	line("coupons", "%d, %d used", len(s.Coupons), used)
	if w.chaos {
		line("chaos", "%d services killed and %d died in a transaction, %d times the broker killed", w.kills.Load(), w.died(), w.crashes.Load())
	}
	if len(problems) == 0 {
		fmt.Fprintln(w.out, "they balance")
		return
	}
	fmt.Fprintln(w.out, "they do not balance:")
	shown := map[string]int{}
	for _, p := range problems {
		rule, _, _ := strings.Cut(p, ":")
		if shown[rule]++; shown[rule] <= 5 {
			fmt.Fprintln(w.out, " ", p)
		}
	}
	fmt.Fprintln(w.out, "in all:", counts(shown))
}

func counts(by map[string]int) string {
	var all []string
	for _, what := range slices.Sorted(maps.Keys(by)) {
		all = append(all, fmt.Sprintf("%d %s", by[what], what))
	}
	return strings.Join(all, ", ")
}

func euros(cents int64) string { return fmt.Sprintf("%d.%02d", cents/100, cents%100) }

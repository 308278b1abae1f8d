// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twostage/twostage/examples/shop/orders"
	"github.com/twostage/twostage/examples/shop/payments"
	"github.com/twostage/twostage/examples/shop/stock"
)

// tally is what buyers have done.
type tally struct{ placed, confirmed, paid, cancelled, left, failed atomic.Int64 }

// load lets buyers buy for the duration, with chaos if it is asked for.
func (w *world) load(ctx context.Context) error {
	during, cancel := context.WithTimeout(ctx, w.duration)
	defer cancel()
	var all sync.WaitGroup
	begin := func(salt int, fn func(context.Context, *rand.Rand)) {
		all.Go(func() { fn(during, rand.New(rand.NewPCG(w.seed, uint64(salt)))) })
	}
	for i := range w.buyers {
		begin(i, func(ctx context.Context, r *rand.Rand) {
			for n := 0; ctx.Err() == nil; n++ {
				w.buy(ctx, r, buyer(i), fmt.Sprintf("order-%d-%d", i, n))
			}
		})
	}
	begin(-1, w.setPrices)
	if w.chaos {
		begin(-2, w.disturb)
	}
	all.Go(func() { w.progress(during) })
	all.Wait()
	return errors.Join(ctx.Err(), w.failed())
}

// buy is one order, from the choice to the payment, or to a change of mind.
func (w *world) buy(ctx context.Context, r *rand.Rand, who, id string) {
	o := orders.Order{ID: id, Buyer: who, Product: product(r.IntN(products)), Quantity: 1 + r.Int64N(3)}
	if r.IntN(4) == 0 {
		o.Coupon = coupon(r.IntN(coins * w.seconds()))
	}
	var st orders.Status
	patient := r.IntN(4) != 0 // others do not ask again when something went wrong
	if !w.insist(ctx, patient, "orders", "/orders", o, &st) {
		w.buying.failed.Add(1)
		return
	}
	w.remember(&w.told.Placed, id)
	w.buying.placed.Add(1)
	mood := r.IntN(100)
	if mood < 3 { // at once
		w.cancel(ctx, id)
		return
	}
	for st.Status == orders.Placed {
		w.pause(ctx)
		if ctx.Err() != nil || w.ask(ctx, http.MethodGet, w.one("orders", r), "/orders/"+id, nil, &st) != nil && !patient {
			w.buying.left.Add(1)
			return
		}
	}
	if st.Status != orders.Confirmed {
		return
	}
	w.buying.confirmed.Add(1)
	w.pause(ctx)
	switch {
	case mood < 10:
		w.cancel(ctx, id)
	case mood < 15: // it expires
		w.buying.left.Add(1)
	default:
		times := 1
		if mood > 95 {
			times = 2 // the second payment goes back
		}
		for n := range times {
			pay := payments.Payment{ID: fmt.Sprintf("%s-payment-%d", id, n), Order: id, Buyer: who, Amount: st.Amount}
			if w.insist(ctx, patient, "payments", "/payments", pay, nil) {
				w.remember(&w.told.Paid, pay.ID)
				w.buying.paid.Add(1)
			}
		}
		if mood > 90 { // too late, most of the time
			w.cancel(ctx, id)
		}
	}
}

func (w *world) cancel(ctx context.Context, id string) {
	if w.insist(ctx, true, "orders", "/orders/"+id+"/cancel", nil, nil) {
		w.remember(&w.told.Cancelled, id)
		w.buying.cancelled.Add(1)
	}
}

// remember keeps what a buyer was told.
func (w *world) remember(what *[]string, id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	*what = append(*what, id)
}

// setPrices changes a price now and then.
func (w *world) setPrices(ctx context.Context, r *rand.Rand) {
	for ctx.Err() == nil {
		sleep(ctx, 500*time.Millisecond)
		// It does not matter whether it gets through.
		_ = w.ask(ctx, http.MethodPost, w.one("stock", r), "/products", stock.Product{ID: product(r.IntN(products)), Price: 500 + r.Int64N(3000)}, nil)
	}
}

func (w *world) pause(ctx context.Context) { sleep(ctx, w.think) }

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// errAnswer is an answer that is final: the service has understood and says no.
var errAnswer = errors.New("refused")

// insist makes a request until it is answered, on another instance each time; or
// once, when it is not patient. It reports whether the answer was yes.
func (w *world) insist(ctx context.Context, patient bool, service, path string, in, out any) bool {
	for n := 0; ; n++ {
		instances := w.by[service]
		err := w.ask(ctx, http.MethodPost, instances[n%len(instances)], path, in, out)
		if err == nil || errors.Is(err, errAnswer) || !patient || ctx.Err() != nil {
			return err == nil
		}
		sleep(ctx, 200*time.Millisecond)
	}
}

// must is insist before the shop opens, when nothing but chaos may fail.
func (w *world) must(ctx context.Context, service, path string, in any) error {
	for {
		err := w.ask(ctx, http.MethodPost, w.by[service][0], path, in, nil)
		if err == nil || !w.chaos || ctx.Err() != nil {
			return err
		}
		w.back() // it has died of it
		sleep(ctx, 50*time.Millisecond)
	}
}

func (w *world) one(service string, r *rand.Rand) *process {
	return w.by[service][r.IntN(len(w.by[service]))]
}

// ask makes one request.
func (w *world) ask(ctx context.Context, method string, p *process, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://"+p.addr("http")+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	res, err := w.http.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // it is read to its end
	text, err := io.ReadAll(res.Body)
	switch {
	case err != nil:
		return err
	case res.StatusCode >= 500:
		return fmt.Errorf("%s %s: %s: %s", method, path, res.Status, strings.TrimSpace(string(text)))
	case res.StatusCode != http.StatusOK:
		return fmt.Errorf("%s %s: %w: %s: %s", method, path, errAnswer, res.Status, strings.TrimSpace(string(text)))
	case out == nil:
		return nil
	}
	return json.Unmarshal(text, out)
}

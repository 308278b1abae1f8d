// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package orders

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/twostage/twostage/examples/shop/event"
	"github.com/twostage/twostage/examples/shop/service"
)

// The states of an order.
const (
	Placed    = "placed"
	Confirmed = "confirmed"
	Paid      = "paid"
	Shipped   = "shipped"
	Cancelled = "cancelled"
)

type orders struct {
	*service.Service
	prices    prices
	payWithin time.Duration
}

// Order is what POST /orders takes. The buyer chooses the id, so that a request
// whose answer got lost can be made again.
type Order struct {
	ID       string `json:"id"`
	Buyer    string `json:"buyer"`
	Product  string `json:"product"`
	Quantity int64  `json:"quantity"`
	Coupon   string `json:"coupon,omitempty"`
}

// Status is what GET /orders/{id} tells.
type Status struct {
	Status string `json:"status"`
	Reason string `json:"reason,omitempty"`
	Amount int64  `json:"amount"` // cents; 0 before it is confirmed
}

// Run runs the service until ctx ends. Orders that are not paid within payWithin
// are cancelled.
func Run(ctx context.Context, c service.Config, payWithin time.Duration, ready io.Writer) error {
	s, err := service.Open(ctx, c, schema)
	if err != nil {
		return err
	}
	o := &orders{Service: s, payWithin: payWithin}
	service.Handle(s, "POST /orders", o.place)
	service.Handle(s, "GET /orders/{id}", o.show)
	service.Handle(s, "POST /orders/{id}/cancel", o.cancel)
	service.Handle(s, "GET /prices", o.prices.list)
	service.OnEvery(s, event.Prices, "", o.prices.learn)
	service.On(s, event.Answers, event.FromStock, o.stockAnswered)
	service.On(s, event.Answers, event.FromCoupons, o.couponsAnswered)
	service.On(s, event.Answers, event.Shipped, o.shipped)
	service.On(s, event.Payments, event.Accepted, o.paid)
	service.On(s, event.Expiry, "", o.expire)
	return s.Serve(ctx, []string{event.Orders}, ready)
}

// place is the first transaction of an order: the row and the message to stock and
// coupons, or neither.
func (o *orders) place(ctx context.Context, _ *http.Request, in Order) (any, error) {
	if in.ID == "" || in.Buyer == "" || in.Quantity < 1 {
		return nil, service.Refuse(http.StatusBadRequest, "an order needs id, buyer and a quantity")
	}
	if st, err := o.status(ctx, in.ID); err == nil {
		return st, nil // the request is made again
	}
	price, known := o.prices.of(in.Product)
	if !known { // this instance may have begun a moment ago
		return nil, service.Refuse(http.StatusServiceUnavailable, "no price of product %q is known yet", in.Product)
	}
	discount := int64(-1)
	if in.Coupon == "" {
		discount = 0
	}
	began := time.Now()
	placed := event.OrderPlaced{Order: in.ID, Product: in.Product, Quantity: in.Quantity, Coupon: in.Coupon}
	err := o.Transact(ctx, event.Orders, event.Placed, in.ID, placed, func(ctx context.Context, tx service.Tx) error {
		_, err := tx.Do(ctx, "INSERT INTO orders (id, buyer, product, quantity, price, coupon, amount, status, reason, stock, discount, payment, steps, began, ended)"+
			" VALUES (?, ?, ?, ?, ?, ?, 0, ?, '', 0, ?, '', 0, ?, 0)", in.ID, in.Buyer, in.Product, in.Quantity, price, in.Coupon, Placed, discount, began.UnixMilli())
		if err != nil {
			return err
		}
		if err := o.SendAt(ctx, tx, began.Add(o.payWithin), event.Expiry, "", in.ID, event.OrderRef{Order: in.ID}); err != nil {
			return err
		}
		return o.tell(ctx, tx, in.ID, Placed)
	})
	if err != nil {
		return nil, err
	}
	return Status{Status: Placed}, nil
}

// cancel is the other: what is paid can't be cancelled, and then nothing is sent.
func (o *orders) cancel(ctx context.Context, r *http.Request, _ struct{}) (any, error) {
	id := r.PathValue("id")
	if st, err := o.status(ctx, id); err != nil || st.Status == Cancelled {
		return st, err // there is none, or the request is made again
	}
	err := o.Transact(ctx, event.Orders, event.Cancelled, id, event.OrderRef{Order: id}, func(ctx context.Context, tx service.Tx) error {
		done, err := o.end(ctx, tx, id, "by the buyer")
		if err == nil && !done {
			return service.Refuse(http.StatusConflict, "the order %s can't be cancelled any more", id)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return Status{Status: Cancelled}, nil
}

func (o *orders) show(ctx context.Context, r *http.Request, _ struct{}) (any, error) {
	return o.status(ctx, r.PathValue("id"))
}

func (o *orders) status(ctx context.Context, id string) (st Status, err error) {
	err = o.Read(ctx, "SELECT status, reason, amount FROM orders WHERE id = ?", id).Scan(&st.Status, &st.Reason, &st.Amount)
	if errors.Is(err, sql.ErrNoRows) {
		err = service.Refuse(http.StatusNotFound, "there is no order %s", id)
	}
	return st, err
}

// tell writes the next step of an order's story and tells who follows it.
func (o *orders) tell(ctx context.Context, tx service.Tx, id, what string) error {
	if _, err := tx.Do(ctx, "UPDATE orders SET steps = steps + 1 WHERE id = ?", id); err != nil {
		return err
	}
	c := event.Chapter{Order: id, Event: what}
	if err := tx.Row(ctx, "SELECT steps FROM orders WHERE id = ?", id).Scan(&c.Seq); err != nil {
		return err
	}
	if _, err := tx.Do(ctx, "INSERT INTO story (order_id, seq, event) VALUES (?, ?, ?)", id, c.Seq, what); err != nil {
		return err
	}
	return o.Send(ctx, tx, event.Story, "", id, c)
}

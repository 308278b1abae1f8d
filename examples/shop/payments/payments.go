// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package payments

import (
	"context"
	"io"
	"net/http"

	"github.com/twostage/twostage/examples/shop/event"
	"github.com/twostage/twostage/examples/shop/service"
)

var schema = []string{
	`CREATE TABLE IF NOT EXISTS payments (
		id       VARCHAR(64) PRIMARY KEY,
		order_id VARCHAR(64) NOT NULL,
		buyer    VARCHAR(64) NOT NULL,
		amount   BIGINT      NOT NULL, -- cents
		status   VARCHAR(16) NOT NULL
	)`,
}

// The states of a payment.
const (
	Requested = "requested"
	Accepted  = "accepted"
	Declined  = "declined"
	Refunding = "refunding"
	Refunded  = "refunded"
)

type payments struct{ *service.Service }

// Payment is what POST /payments takes. The buyer chooses the id, so that a request
// whose answer got lost can be made again.
type Payment struct {
	ID     string `json:"id"`
	Order  string `json:"order"`
	Buyer  string `json:"buyer"`
	Amount int64  `json:"amount"` // cents
}

// Status is what GET /payments/{id} tells.
type Status struct {
	Status string `json:"status"`
}

// Run runs the service until ctx ends.
func Run(ctx context.Context, c service.Config, ready io.Writer) error {
	s, err := service.Open(ctx, c, schema)
	if err != nil {
		return err
	}
	p := &payments{s}
	service.Handle(s, "POST /payments", p.pay)
	service.On(s, event.Receipts, event.Charged, p.charged)
	service.On(s, event.Receipts, event.Declined, p.declined)
	service.On(s, event.Receipts, event.Refunded, p.refunded)
	service.On(s, event.Orders, event.Unwanted, p.giveBack)
	return s.Serve(ctx, []string{event.Charges}, ready)
}

// pay writes the payment down and has accounts charge it, or neither.
func (p *payments) pay(ctx context.Context, _ *http.Request, in Payment) (any, error) {
	if in.ID == "" || in.Order == "" || in.Buyer == "" || in.Amount < 1 {
		return nil, service.Refuse(http.StatusBadRequest, "a payment needs id, order, buyer and an amount")
	}
	var st Status
	if err := p.Read(ctx, "SELECT status FROM payments WHERE id = ?", in.ID).Scan(&st.Status); err == nil {
		return st, nil // the request is made again
	}
	t := event.Transfer{Payment: in.ID, Order: in.Order, Buyer: in.Buyer, Amount: in.Amount}
	return Status{Requested}, p.Transact(ctx, event.Charges, event.Charge, in.ID, t, func(ctx context.Context, tx service.Tx) error {
		_, err := tx.Do(ctx, "INSERT INTO payments (id, order_id, buyer, amount, status) VALUES (?, ?, ?, ?, ?)", in.ID, in.Order, in.Buyer, in.Amount, Requested)
		return err
	})
}

func (p *payments) charged(ctx context.Context, tx service.Tx, e event.PaymentRef) error {
	t, done, err := p.turn(ctx, tx, e.Payment, Requested, Accepted)
	if err != nil || !done {
		return err
	}
	return p.Send(ctx, tx, event.Payments, event.Accepted, t.Order, event.Payment{Payment: t.Payment, Order: t.Order, Amount: t.Amount})
}

func (p *payments) declined(ctx context.Context, tx service.Tx, e event.PaymentRef) error {
	_, _, err := p.turn(ctx, tx, e.Payment, Requested, Declined)
	return err
}

func (p *payments) giveBack(ctx context.Context, tx service.Tx, e event.PaymentRef) error {
	t, done, err := p.turn(ctx, tx, e.Payment, Accepted, Refunding)
	if err != nil || !done {
		return err
	}
	return p.Send(ctx, tx, event.Charges, event.Refund, t.Payment, t)
}

func (p *payments) refunded(ctx context.Context, tx service.Tx, e event.PaymentRef) error {
	_, _, err := p.turn(ctx, tx, e.Payment, Refunding, Refunded)
	return err
}

// turn takes a payment from one state to the next; done is false when it is in
// another.
func (p *payments) turn(ctx context.Context, tx service.Tx, id, from, to string) (t event.Transfer, done bool, err error) {
	n, err := tx.Do(ctx, "UPDATE payments SET status = ? WHERE id = ? AND status = ?", to, id, from)
	if err != nil || n == 0 {
		return t, false, err
	}
	t.Payment = id
	err = tx.Row(ctx, "SELECT order_id, buyer, amount FROM payments WHERE id = ?", id).Scan(&t.Order, &t.Buyer, &t.Amount)
	return t, err == nil, err
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package accounts

import (
	"context"
	"io"
	"net/http"

	"github.com/twostage/twostage/examples/shop/event"
	"github.com/twostage/twostage/examples/shop/service"
)

// Shop is the account of the shop.
const Shop = "shop"

var schema = []string{
	`CREATE TABLE IF NOT EXISTS accounts (
		id      VARCHAR(64) PRIMARY KEY,
		opening BIGINT      NOT NULL, -- cents
		balance BIGINT      NOT NULL  -- cents
	)`,
	`CREATE TABLE IF NOT EXISTS ledger (
		account  VARCHAR(64) NOT NULL,
		amount   BIGINT      NOT NULL, -- cents, to the account
		payment  VARCHAR(64) NOT NULL,
		order_id VARCHAR(64) NOT NULL
	)`,
}

type accounts struct{ *service.Service }

// Account is what POST /accounts takes.
type Account struct {
	ID      string `json:"id"`
	Balance int64  `json:"balance"` // cents
}

// Run runs the service until ctx ends.
func Run(ctx context.Context, c service.Config, ready io.Writer) error {
	s, err := service.Open(ctx, c, schema)
	if err != nil {
		return err
	}
	a := &accounts{s}
	service.Handle(s, "POST /accounts", a.open)
	service.On(s, event.Charges, event.Charge, a.charge)
	service.On(s, event.Charges, event.Refund, a.refund)
	return s.Serve(ctx, nil, ready)
}

func (a *accounts) open(ctx context.Context, _ *http.Request, in Account) (any, error) {
	if in.ID == "" || in.Balance < 0 {
		return nil, service.Refuse(http.StatusBadRequest, "an account needs an id, and a balance that is not negative")
	}
	return in, a.Locally(ctx, func(ctx context.Context, tx service.Tx) error {
		_, err := tx.Do(ctx, "INSERT INTO accounts (id, opening, balance) VALUES (?, ?, ?)", in.ID, in.Balance, in.Balance)
		return err
	})
}

// charge moves the money, or declines where there is not enough.
func (a *accounts) charge(ctx context.Context, tx service.Tx, t event.Transfer) error {
	n, err := tx.Do(ctx, "UPDATE accounts SET balance = balance - ? WHERE id = ? AND balance >= ?", t.Amount, t.Buyer, t.Amount)
	if err != nil {
		return err
	}
	if n == 0 {
		return a.Send(ctx, tx, event.Receipts, event.Declined, t.Payment, event.PaymentRef{Payment: t.Payment})
	}
	if _, err := tx.Do(ctx, "UPDATE accounts SET balance = balance + ? WHERE id = ?", t.Amount, Shop); err != nil {
		return err
	}
	if err := a.note(ctx, tx, t, t.Amount); err != nil {
		return err
	}
	return a.Send(ctx, tx, event.Receipts, event.Charged, t.Payment, event.PaymentRef{Payment: t.Payment})
}

func (a *accounts) refund(ctx context.Context, tx service.Tx, t event.Transfer) error {
	if _, err := tx.Do(ctx, "UPDATE accounts SET balance = balance + ? WHERE id = ?", t.Amount, t.Buyer); err != nil {
		return err
	}
	if _, err := tx.Do(ctx, "UPDATE accounts SET balance = balance - ? WHERE id = ?", t.Amount, Shop); err != nil {
		return err
	}
	if err := a.note(ctx, tx, t, -t.Amount); err != nil {
		return err
	}
	return a.Send(ctx, tx, event.Receipts, event.Refunded, t.Payment, event.PaymentRef{Payment: t.Payment})
}

// note writes the two rows of a transfer to the shop.
func (a *accounts) note(ctx context.Context, tx service.Tx, t event.Transfer, amount int64) error {
	const row = "INSERT INTO ledger (account, amount, payment, order_id) VALUES (?, ?, ?, ?)"
	if _, err := tx.Do(ctx, row, t.Buyer, -amount, t.Payment, t.Order); err != nil {
		return err
	}
	_, err := tx.Do(ctx, row, Shop, amount, t.Payment, t.Order)
	return err
}

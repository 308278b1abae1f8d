// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package coupons

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"net/http"

	"github.com/twostage/twostage/examples/shop/event"
	"github.com/twostage/twostage/examples/shop/service"
)

var schema = []string{
	`CREATE TABLE IF NOT EXISTS coupons (
		id       VARCHAR(64) PRIMARY KEY,
		discount BIGINT      NOT NULL, -- cents
		order_id VARCHAR(64) NOT NULL, -- that has it, '' while it is free
		used     BIGINT      NOT NULL  -- 1 when that is paid
	)`,
	`CREATE TABLE IF NOT EXISTS claims (
		order_id VARCHAR(64) PRIMARY KEY,
		status   VARCHAR(16) NOT NULL -- granted, refused, or cancelled before it was asked for
	)`,
}

// The states of a claim to a coupon.
const (
	Granted   = "granted"
	Refused   = "refused"
	Cancelled = "cancelled"
)

type coupons struct{ *service.Service }

// Coupon is what POST /coupons takes.
type Coupon struct {
	ID       string `json:"id"`
	Discount int64  `json:"discount"` // cents
}

// Run runs the service until ctx ends.
func Run(ctx context.Context, c service.Config, ready io.Writer) error {
	s, err := service.Open(ctx, c, schema)
	if err != nil {
		return err
	}
	cp := &coupons{s}
	service.Handle(s, "POST /coupons", cp.issue)
	service.On(s, event.Orders, event.Placed, cp.claim)
	service.On(s, event.Orders, event.Paid, cp.use)
	service.On(s, event.Orders, event.Cancelled, cp.release)
	return s.Serve(ctx, nil, ready)
}

func (cp *coupons) issue(ctx context.Context, _ *http.Request, in Coupon) (any, error) {
	if in.ID == "" || in.Discount < 1 {
		return nil, service.Refuse(http.StatusBadRequest, "a coupon needs an id and a discount")
	}
	return in, cp.Locally(ctx, func(ctx context.Context, tx service.Tx) error {
		_, err := tx.Do(ctx, "INSERT INTO coupons (id, discount, order_id, used) VALUES (?, ?, '', 0)", in.ID, in.Discount)
		return err
	})
}

func (cp *coupons) claim(ctx context.Context, tx service.Tx, o event.OrderPlaced) error {
	if o.Coupon == "" {
		return nil
	}
	known, err := cp.heardOf(ctx, tx, o.Order)
	if err != nil || known {
		return err // cancelled already
	}
	n, err := tx.Do(ctx, "UPDATE coupons SET order_id = ? WHERE id = ? AND order_id = ''", o.Order, o.Coupon)
	if err != nil {
		return err
	}
	status := Refused
	if n == 1 {
		status = Granted
	}
	if _, err := tx.Do(ctx, "INSERT INTO claims (order_id, status) VALUES (?, ?)", o.Order, status); err != nil {
		return err
	}
	a := event.Answer{Order: o.Order, OK: n == 1}
	if a.OK {
		if err := tx.Row(ctx, "SELECT discount FROM coupons WHERE id = ?", o.Coupon).Scan(&a.Discount); err != nil {
			return err
		}
	}
	return cp.Send(ctx, tx, event.Answers, event.FromCoupons, o.Order, a)
}

func (cp *coupons) use(ctx context.Context, tx service.Tx, e event.OrderRef) error {
	_, err := tx.Do(ctx, "UPDATE coupons SET used = used + 1 WHERE order_id = ?", e.Order)
	return err
}

func (cp *coupons) release(ctx context.Context, tx service.Tx, e event.OrderRef) error {
	known, err := cp.heardOf(ctx, tx, e.Order)
	if err != nil {
		return err
	}
	if !known {
		_, err := tx.Do(ctx, "INSERT INTO claims (order_id, status) VALUES (?, ?)", e.Order, Cancelled)
		return err
	}
	_, err = tx.Do(ctx, "UPDATE coupons SET order_id = '' WHERE order_id = ?", e.Order)
	return err
}

func (cp *coupons) heardOf(ctx context.Context, tx service.Tx, order string) (bool, error) {
	var status string
	err := tx.Row(ctx, "SELECT status FROM claims WHERE order_id = ?", order).Scan(&status)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

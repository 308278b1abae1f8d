// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package stock

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
	`CREATE TABLE IF NOT EXISTS products (
		id       VARCHAR(64) PRIMARY KEY,
		opening  BIGINT      NOT NULL, -- how many there were
		on_hand  BIGINT      NOT NULL, -- how many are in the house
		reserved BIGINT      NOT NULL, -- of which are set aside
		price    BIGINT      NOT NULL, -- cents
		version  BIGINT      NOT NULL  -- of the price
	)`,
	`CREATE TABLE IF NOT EXISTS reservations (
		order_id VARCHAR(64) PRIMARY KEY,
		product  VARCHAR(64) NOT NULL, -- '' when cancelled before it was asked for
		quantity BIGINT      NOT NULL,
		status   VARCHAR(16) NOT NULL  -- reserved, refused, shipped, released
	)`,
}

// The states of a reservation.
const (
	Reserved = "reserved"
	Refused  = "refused"
	Shipped  = "shipped"
	Released = "released"
)

type stock struct{ *service.Service }

// Product is what POST /products takes: new goods with so many of them, or a new
// price of goods that there are.
type Product struct {
	ID       string `json:"id"`
	Quantity int64  `json:"quantity"`
	Price    int64  `json:"price"` // cents
}

// Run runs the service until ctx ends.
func Run(ctx context.Context, c service.Config, ready io.Writer) error {
	s, err := service.Open(ctx, c, schema)
	if err != nil {
		return err
	}
	st := &stock{s}
	service.Handle(s, "POST /products", st.setPrice)
	service.On(s, event.Orders, event.Placed, st.reserve)
	service.On(s, event.Orders, event.Paid, st.ship)
	service.On(s, event.Orders, event.Cancelled, st.release)
	return s.Serve(ctx, []string{event.Prices}, ready)
}

// setPrice makes a price known with the row that holds it. The version is decided
// before the message is sent, so two changes at the same time are one too many.
func (st *stock) setPrice(ctx context.Context, _ *http.Request, in Product) (any, error) {
	if in.ID == "" || in.Price < 1 || in.Quantity < 0 {
		return nil, service.Refuse(http.StatusBadRequest, "a product needs an id, a price and a quantity")
	}
	p := event.Price{Product: in.ID, Cents: in.Price}
	err := st.Read(ctx, "SELECT version FROM products WHERE id = ?", in.ID).Scan(&p.Version)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, err
	}
	p.Version++
	return p, st.Transact(ctx, event.Prices, "", in.ID, p, func(ctx context.Context, tx service.Tx) error {
		if p.Version == 1 {
			_, err := tx.Do(ctx, "INSERT INTO products (id, opening, on_hand, reserved, price, version) VALUES (?, ?, ?, 0, ?, 1)", in.ID, in.Quantity, in.Quantity, in.Price)
			return err
		}
		n, err := tx.Do(ctx, "UPDATE products SET price = ?, version = ? WHERE id = ? AND version = ?", p.Cents, p.Version, in.ID, p.Version-1)
		if err == nil && n == 0 {
			err = service.Refuse(http.StatusConflict, "the price of %s was changed by somebody else", in.ID)
		}
		return err
	})
}

func (st *stock) reserve(ctx context.Context, tx service.Tx, o event.OrderPlaced) error {
	_, known, err := st.reservation(ctx, tx, o.Order)
	if err != nil || known {
		return err // cancelled already
	}
	n, err := tx.Do(ctx, "UPDATE products SET reserved = reserved + ? WHERE id = ? AND on_hand - reserved >= ?", o.Quantity, o.Product, o.Quantity)
	if err != nil {
		return err
	}
	status := Reserved
	if n == 0 {
		status = Refused
	}
	if _, err := tx.Do(ctx, "INSERT INTO reservations (order_id, product, quantity, status) VALUES (?, ?, ?, ?)", o.Order, o.Product, o.Quantity, status); err != nil {
		return err
	}
	return st.Send(ctx, tx, event.Answers, event.FromStock, o.Order, event.Answer{Order: o.Order, OK: n == 1})
}

func (st *stock) ship(ctx context.Context, tx service.Tx, e event.OrderRef) error {
	r, _, err := st.reservation(ctx, tx, e.Order)
	if err != nil {
		return err
	}
	if _, err := tx.Do(ctx, "UPDATE products SET on_hand = on_hand - ?, reserved = reserved - ? WHERE id = ?", r.quantity, r.quantity, r.product); err != nil {
		return err
	}
	if _, err := tx.Do(ctx, "UPDATE reservations SET status = ? WHERE order_id = ?", Shipped, e.Order); err != nil {
		return err
	}
	return st.Send(ctx, tx, event.Answers, event.Shipped, e.Order, e)
}

func (st *stock) release(ctx context.Context, tx service.Tx, e event.OrderRef) error {
	r, known, err := st.reservation(ctx, tx, e.Order)
	switch {
	case err != nil:
		return err
	case !known: // its order is not here yet, and is to be refused
		_, err := tx.Do(ctx, "INSERT INTO reservations (order_id, product, quantity, status) VALUES (?, '', 0, ?)", e.Order, Released)
		return err
	case r.status != Reserved:
		return nil
	}
	if _, err := tx.Do(ctx, "UPDATE products SET reserved = reserved - ? WHERE id = ?", r.quantity, r.product); err != nil {
		return err
	}
	_, err = tx.Do(ctx, "UPDATE reservations SET status = ? WHERE order_id = ?", Released, e.Order)
	return err
}

type reservation struct {
	product  string
	quantity int64
	status   string
}

func (st *stock) reservation(ctx context.Context, tx service.Tx, order string) (r reservation, known bool, err error) {
	err = tx.Row(ctx, "SELECT product, quantity, status FROM reservations WHERE order_id = ?", order).Scan(&r.product, &r.quantity, &r.status)
	if errors.Is(err, sql.ErrNoRows) {
		return r, false, nil
	}
	return r, err == nil, err
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package books

import (
	"context"
	"database/sql"
	"fmt"
)

// Read fills in what a service's database holds.
func (s *State) Read(ctx context.Context, service string, db *sql.DB) error {
	read := map[string]func(context.Context, *sql.DB) error{
		"orders": s.readOrders, "stock": s.readStock, "coupons": s.readCoupons, "accounts": s.readAccounts,
		"payments": s.readPayments, "notifications": s.readNotifications,
	}[service]
	if read == nil {
		return fmt.Errorf("books: service %q is unknown", service)
	}
	if err := read(ctx, db); err != nil {
		return fmt.Errorf("books: the database of %s: %w", service, err)
	}
	var waiting int64
	if err := db.QueryRowContext(ctx, "SELECT COUNT(*) FROM sqltx_outbox").Scan(&waiting); err != nil {
		return fmt.Errorf("books: the outbox of %s: %w", service, err)
	}
	if s.Outboxes == nil {
		s.Outboxes = map[string]int64{}
	}
	s.Outboxes[service] = waiting
	return nil
}

// rows calls scan for each row of a query.
func rows(ctx context.Context, db *sql.DB, query string, scan func(*sql.Rows) error) error {
	r, err := db.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer r.Close() //nolint:errcheck // Err tells
	for r.Next() {
		if err := scan(r); err != nil {
			return err
		}
	}
	return r.Err()
}

func (s *State) readOrders(ctx context.Context, db *sql.DB) error {
	s.Orders = map[string]Order{}
	err := rows(ctx, db, "SELECT id, buyer, product, coupon, quantity, price, amount, status, payment, reason, stock, discount, began, ended FROM orders", func(r *sql.Rows) error {
		var id string
		var o Order
		err := r.Scan(&id, &o.Buyer, &o.Product, &o.Coupon, &o.Quantity, &o.Price, &o.Amount, &o.Status, &o.Payment,
			&o.Reason, &o.Stock, &o.Discount, &o.Began, &o.Ended)
		s.Orders[id] = o
		return err
	})
	if err != nil {
		return err
	}
	return rows(ctx, db, "SELECT order_id, event FROM story ORDER BY order_id, seq", func(r *sql.Rows) error {
		var id, event string
		err := r.Scan(&id, &event)
		o := s.Orders[id]
		o.Story = append(o.Story, event)
		s.Orders[id] = o
		return err
	})
}

func (s *State) readStock(ctx context.Context, db *sql.DB) error {
	s.Products, s.Reservations = map[string]Product{}, map[string]Reservation{}
	err := rows(ctx, db, "SELECT id, opening, on_hand, reserved, price FROM products", func(r *sql.Rows) error {
		var id string
		var p Product
		err := r.Scan(&id, &p.Opening, &p.OnHand, &p.Reserved, &p.Price)
		s.Products[id] = p
		return err
	})
	if err != nil {
		return err
	}
	return rows(ctx, db, "SELECT order_id, product, quantity, status FROM reservations", func(r *sql.Rows) error {
		var id string
		var v Reservation
		err := r.Scan(&id, &v.Product, &v.Quantity, &v.Status)
		s.Reservations[id] = v
		return err
	})
}

func (s *State) readCoupons(ctx context.Context, db *sql.DB) error {
	s.Coupons, s.Claims = map[string]Coupon{}, map[string]string{}
	err := rows(ctx, db, "SELECT id, discount, order_id, used FROM coupons", func(r *sql.Rows) error {
		var id string
		var c Coupon
		err := r.Scan(&id, &c.Discount, &c.Order, &c.Used)
		s.Coupons[id] = c
		return err
	})
	if err != nil {
		return err
	}
	return rows(ctx, db, "SELECT order_id, status FROM claims", func(r *sql.Rows) error {
		var id, status string
		err := r.Scan(&id, &status)
		s.Claims[id] = status
		return err
	})
}

func (s *State) readAccounts(ctx context.Context, db *sql.DB) error {
	s.Accounts, s.Ledger = map[string]Account{}, nil
	err := rows(ctx, db, "SELECT id, opening, balance FROM accounts", func(r *sql.Rows) error {
		var id string
		var a Account
		err := r.Scan(&id, &a.Opening, &a.Balance)
		s.Accounts[id] = a
		return err
	})
	if err != nil {
		return err
	}
	return rows(ctx, db, "SELECT account, payment, order_id, amount FROM ledger", func(r *sql.Rows) error {
		var e Entry
		err := r.Scan(&e.Account, &e.Payment, &e.Order, &e.Amount)
		s.Ledger = append(s.Ledger, e)
		return err
	})
}

func (s *State) readPayments(ctx context.Context, db *sql.DB) error {
	s.Payments = map[string]Payment{}
	return rows(ctx, db, "SELECT id, order_id, buyer, amount, status FROM payments", func(r *sql.Rows) error {
		var id string
		var p Payment
		err := r.Scan(&id, &p.Order, &p.Buyer, &p.Amount, &p.Status)
		s.Payments[id] = p
		return err
	})
}

func (s *State) readNotifications(ctx context.Context, db *sql.DB) error {
	s.Notifications = map[string][]string{}
	return rows(ctx, db, "SELECT order_id, event FROM notifications ORDER BY order_id, place", func(r *sql.Rows) error {
		var id, event string
		err := r.Scan(&id, &event)
		s.Notifications[id] = append(s.Notifications[id], event)
		return err
	})
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package orders

import (
	"context"
	"time"

	"github.com/twostage/twostage/examples/shop/event"
	"github.com/twostage/twostage/examples/shop/service"
)

func (o *orders) stockAnswered(ctx context.Context, tx service.Tx, a event.Answer) error {
	if !a.OK {
		return o.giveUp(ctx, tx, a.Order, "out of stock")
	}
	if _, err := tx.Do(ctx, "UPDATE orders SET stock = 1 WHERE id = ?", a.Order); err != nil {
		return err
	}
	return o.confirm(ctx, tx, a.Order)
}

func (o *orders) couponsAnswered(ctx context.Context, tx service.Tx, a event.Answer) error {
	if !a.OK {
		return o.giveUp(ctx, tx, a.Order, "coupon not valid")
	}
	if _, err := tx.Do(ctx, "UPDATE orders SET discount = ? WHERE id = ?", a.Discount, a.Order); err != nil {
		return err
	}
	return o.confirm(ctx, tx, a.Order)
}

// confirm goes on when both have answered, whichever was last. The update before it
// has locked the row.
func (o *orders) confirm(ctx context.Context, tx service.Tx, id string) error {
	n, err := tx.Do(ctx, "UPDATE orders SET status = ?, amount = price * quantity - discount WHERE id = ? AND status = ? AND stock = 1 AND discount >= 0",
		Confirmed, id, Placed)
	if err != nil || n == 0 {
		return err
	}
	return o.tell(ctx, tx, id, Confirmed)
}

// paid ships the order. Money for an order that can't be had any more, or of
// another amount than agreed, or a second time, goes back.
func (o *orders) paid(ctx context.Context, tx service.Tx, p event.Payment) error {
	n, err := tx.Do(ctx, "UPDATE orders SET status = ?, payment = ? WHERE id = ? AND status = ? AND amount = ?", Paid, p.Payment, p.Order, Confirmed, p.Amount)
	if err != nil {
		return err
	}
	if n == 0 {
		return o.Send(ctx, tx, event.Orders, event.Unwanted, p.Order, event.PaymentRef{Payment: p.Payment})
	}
	if err := o.Send(ctx, tx, event.Orders, event.Paid, p.Order, event.OrderRef{Order: p.Order}); err != nil {
		return err
	}
	return o.tell(ctx, tx, p.Order, Paid)
}

func (o *orders) shipped(ctx context.Context, tx service.Tx, e event.OrderRef) error {
	n, err := tx.Do(ctx, "UPDATE orders SET status = ? WHERE id = ? AND status = ?", Shipped, e.Order, Paid)
	if err != nil || n == 0 {
		return err
	}
	return o.tell(ctx, tx, e.Order, Shipped)
}

// NotPaid is the reason of an order that has expired.
const NotPaid = "not paid in time"

// expire comes when the time to pay is over.
func (o *orders) expire(ctx context.Context, tx service.Tx, e event.OrderRef) error {
	return o.giveUp(ctx, tx, e.Order, NotPaid)
}

// giveUp cancels an order that is not paid, and has what was set aside given back.
func (o *orders) giveUp(ctx context.Context, tx service.Tx, id, reason string) error {
	done, err := o.end(ctx, tx, id, reason)
	if err != nil || !done {
		return err
	}
	return o.Send(ctx, tx, event.Orders, event.Cancelled, id, event.OrderRef{Order: id})
}

// end cancels an order; false when it is paid, or cancelled already.
func (o *orders) end(ctx context.Context, tx service.Tx, id, reason string) (bool, error) {
	n, err := tx.Do(ctx, "UPDATE orders SET status = ?, reason = ?, ended = ? WHERE id = ? AND status IN (?, ?)",
		Cancelled, reason, time.Now().UnixMilli(), id, Placed, Confirmed)
	if err != nil || n == 0 {
		return false, err
	}
	return true, o.tell(ctx, tx, id, Cancelled)
}

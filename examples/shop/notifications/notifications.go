// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package notifications

import (
	"context"
	"io"
	"net/http"

	"github.com/twostage/twostage/examples/shop/event"
	"github.com/twostage/twostage/examples/shop/service"
)

var schema = []string{
	`CREATE TABLE IF NOT EXISTS notifications (
		order_id VARCHAR(64) NOT NULL,
		place    BIGINT      NOT NULL, -- 1 for the first that was sent
		seq      BIGINT      NOT NULL, -- of the step in the order's story
		event    VARCHAR(16) NOT NULL,
		PRIMARY KEY (order_id, place)
	)`,
}

type notifications struct{ *service.Service }

// Status is what GET /notifications/{order} tells.
type Status struct {
	Sent int64 `json:"sent"`
}

// Run runs the service until ctx ends.
func Run(ctx context.Context, c service.Config, ready io.Writer) error {
	s, err := service.Open(ctx, c, schema)
	if err != nil {
		return err
	}
	n := &notifications{s}
	service.Handle(s, "GET /notifications/{order}", n.sent)
	service.OnInOrder(s, event.Story, "", n.send)
	return s.Serve(ctx, nil, ready)
}

// send stands for an e-mail: a row, in the order in which they go out.
func (n *notifications) send(ctx context.Context, tx service.Tx, c event.Chapter) error {
	var sent int64
	if err := tx.Row(ctx, "SELECT COUNT(*) FROM notifications WHERE order_id = ?", c.Order).Scan(&sent); err != nil {
		return err
	}
	_, err := tx.Do(ctx, "INSERT INTO notifications (order_id, place, seq, event) VALUES (?, ?, ?, ?)", c.Order, sent+1, c.Seq, c.Event)
	return err
}

func (n *notifications) sent(ctx context.Context, r *http.Request, _ struct{}) (any, error) {
	var st Status
	return &st, n.Read(ctx, "SELECT COUNT(*) FROM notifications WHERE order_id = ?", r.PathValue("order")).Scan(&st.Sent)
}

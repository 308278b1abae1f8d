// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package orders

var schema = []string{
	`CREATE TABLE IF NOT EXISTS orders (
		id       VARCHAR(64) PRIMARY KEY,
		buyer    VARCHAR(64) NOT NULL,
		product  VARCHAR(64) NOT NULL,
		quantity BIGINT      NOT NULL,
		price    BIGINT      NOT NULL, -- of one, cents
		coupon   VARCHAR(64) NOT NULL, -- '' without
		amount   BIGINT      NOT NULL, -- to be paid, cents; known when confirmed
		status   VARCHAR(16) NOT NULL, -- placed, confirmed, paid, shipped, cancelled
		reason   VARCHAR(64) NOT NULL, -- of the cancellation
		stock    BIGINT      NOT NULL, -- answer of stock: 0 none yet, 1 reserved
		discount BIGINT      NOT NULL, -- answer of coupons: -1 none yet, else cents
		payment  VARCHAR(64) NOT NULL, -- that paid it
		steps    BIGINT      NOT NULL, -- how many there are in story
		began    BIGINT      NOT NULL, -- when it was placed, Unix milliseconds
		ended    BIGINT      NOT NULL  -- when it was cancelled, Unix milliseconds; 0 else
	)`,
	`CREATE TABLE IF NOT EXISTS story (
		order_id VARCHAR(64) NOT NULL,
		seq      BIGINT      NOT NULL,
		event    VARCHAR(16) NOT NULL,
		PRIMARY KEY (order_id, seq)
	)`,
}

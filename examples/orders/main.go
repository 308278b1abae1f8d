// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite"

	"github.com/twostage/twostage/client"
	"github.com/twostage/twostage/message"
	"github.com/twostage/twostage/sqltx"
)

func main() {
	if err := run(context.Background(), "orders-data"); err != nil {
		log.Fatal(err)
	}
}

// run keeps its databases in dir, and uses the name servers of NAMESRV_ADDR.
func run(ctx context.Context, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	shopDB, shop, err := open(ctx, filepath.Join(dir, "shop.db"), `CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, cents INTEGER)`)
	if err != nil {
		return err
	}
	defer shopDB.Close()
	billingDB, billing, err := open(ctx, filepath.Join(dir, "billing.db"), `CREATE TABLE IF NOT EXISTS bills (message TEXT, cents TEXT)`, sqltx.WithConsumer("billing"))
	if err != nil {
		return err
	}
	defer billingDB.Close()
	if err := place(ctx, shop, 2995); err != nil {
		return err
	}
	return bill(ctx, billing)
}

// open opens a database, which gets the tables of sqltx besides its own.
func open(ctx context.Context, file, schema string, opts ...sqltx.Option) (*sql.DB, *sqltx.DB, error) {
	db, err := sql.Open("sqlite", "file:"+file+"?_txlock=immediate&_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)")
	if err != nil {
		return nil, nil, err
	}
	if _, err = db.ExecContext(ctx, schema); err == nil {
		var d *sqltx.DB
		if d, err = sqltx.Open(ctx, db, sqltx.SQLite, opts...); err == nil {
			return db, d, nil
		}
	}
	return nil, nil, errors.Join(err, db.Close())
}

// place stores an order and sends the message about it: both or neither, whatever
// crashes.
func place(ctx context.Context, shop *sqltx.DB, cents int) error {
	producer, err := client.NewTransactionProducer("shop", shop.Check)
	if err != nil {
		return err
	}
	defer producer.Close()
	m := message.New("orders-placed", fmt.Append(nil, cents))
	_, err = sqltx.Run(ctx, shop, producer, m, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO orders (cents) VALUES (?)`, cents)
		return err
	})
	return err
}

// bill writes a bill for each order, once, however often its message comes, and
// returns after the first.
func bill(ctx context.Context, billing *sqltx.DB) error {
	consumer, err := client.NewPushConsumer("billing", client.WithStart(client.StartEarliest))
	if err != nil {
		return err
	}
	defer consumer.Close()
	waiting, done := context.WithCancel(ctx)
	defer done()
	err = consumer.Subscribe("orders-placed", client.All, func(ctx context.Context, m *message.Received) error {
		err := sqltx.Once(ctx, billing, m, func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, `INSERT INTO bills (message, cents) VALUES (?, ?)`, m.ID(), string(m.Body))
			return err
		})
		if err == nil {
			fmt.Printf("billed %s cents\n", m.Body)
			done()
		}
		return err
	})
	if err != nil {
		return err
	}
	if err := consumer.Start(ctx); err != nil {
		return err
	}
	<-waiting.Done()
	return ctx.Err()
}

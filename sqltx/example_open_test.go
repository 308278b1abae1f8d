// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package sqltx_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite"

	"github.com/twostage/twostage/client"
	"github.com/twostage/twostage/message"
	"github.com/twostage/twostage/mqtest"
	"github.com/twostage/twostage/sqltx"
)

// stocked makes a database with three lamps.
func stocked() (db *sql.DB, done func()) {
	dir, err := os.MkdirTemp("", "sqltx")
	if err != nil {
		log.Fatal(err)
	}
	db, err = sql.Open("sqlite", "file:"+filepath.Join(dir, "shop.db")+"?_txlock=immediate&_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)")
	if err != nil {
		log.Fatal(err)
	}
	if _, err := db.Exec("CREATE TABLE stock (item TEXT PRIMARY KEY, n INTEGER); INSERT INTO stock VALUES ('lamp', 3)"); err != nil {
		log.Fatal(err)
	}
	return db, func() {
		_ = db.Close()
		_ = os.RemoveAll(dir)
	}
}

// A service opens its database, and is asked about what an earlier process of it has
// left from Start on.
func ExampleOpen() {
	ctx := context.Background()
	cluster, err := mqtest.New()
	if err != nil {
		log.Fatal(err)
	}
	defer cluster.Close()
	addr := cluster.NameServer()
	db, done := stocked()
	defer done()

	d, err := sqltx.Open(ctx, db, sqltx.SQLite)
	if err != nil {
		log.Fatal(err)
	}
	producer, err := client.NewTransactionProducer("shop", d.Check, client.WithNameServers(addr))
	if err != nil {
		log.Fatal(err)
	}
	defer producer.Close()
	if err := producer.Start(ctx, "orders"); err != nil { // be asked about what an earlier process has left
		log.Fatal(err)
	}

	res, err := sqltx.Run(ctx, d, producer, message.New("orders", []byte("lamp")), func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "UPDATE stock SET n = n - 1 WHERE item = 'lamp'")
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	var n int
	if err := db.QueryRow("SELECT n FROM stock").Scan(&n); err != nil {
		log.Fatal(err)
	}
	fmt.Println(res.Outcome, n)
	// Output: commit 2
}

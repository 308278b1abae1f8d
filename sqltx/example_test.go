// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package sqltx_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite"

	"github.com/twostage/twostage/client"
	"github.com/twostage/twostage/message"
	"github.com/twostage/twostage/mqtest"
	"github.com/twostage/twostage/sqltx"
)

// open makes a database for an example.
func open() (d *sqltx.DB, db *sql.DB, done func(), err error) {
	dir, err := os.MkdirTemp("", "sqltx")
	if err != nil {
		return nil, nil, nil, err
	}
	db, err = sql.Open("sqlite", "file:"+filepath.Join(dir, "shop.db")+"?_txlock=immediate&_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)")
	if err != nil {
		return nil, nil, nil, err
	}
	done = func() {
		_ = db.Close()
		_ = os.RemoveAll(dir)
	}
	if _, err = db.Exec("CREATE TABLE stock (item TEXT PRIMARY KEY, n INTEGER); INSERT INTO stock VALUES ('lamp', 3)"); err != nil {
		return nil, nil, done, err
	}
	d, err = sqltx.Open(context.Background(), db, sqltx.SQLite, sqltx.WithConsumer("billing"))
	return d, db, done, err
}

// Consumers see the message if and only if the lamp is taken.
func ExampleRun() {
	ctx := context.Background()
	d, db, done, err := open()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer done()
	cluster, err := mqtest.New()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer cluster.Close()
	producer, err := client.NewTransactionProducer("shop", d.Check, client.WithNameServers(cluster.NameServer()))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer producer.Close()

	for _, n := range []int{2, 5} {
		res, err := sqltx.Run(ctx, d, producer, message.New("orders", fmt.Append(nil, n, " lamps")), func(ctx context.Context, tx *sql.Tx) error {
			taken, err := tx.ExecContext(ctx, "UPDATE stock SET n = n - ? WHERE item = 'lamp' AND n >= ?", n, n)
			if err != nil {
				return err
			}
			if rows, err := taken.RowsAffected(); err != nil || rows == 0 {
				return errors.Join(errors.New("not so many lamps"), err)
			}
			return nil
		})
		fmt.Println(n, "lamps:", res.Outcome, err)
	}
	var left int
	fmt.Println(db.QueryRow("SELECT n FROM stock").Scan(&left), left)
	// Output:
	// 2 lamps: commit <nil>
	// 5 lamps: rollback not so many lamps
	// <nil> 1
}

// A message that comes twice takes one lamp.
func ExampleOnce() {
	ctx := context.Background()
	d, db, done, err := open()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer done()
	m := &message.Received{Message: *message.New("orders", []byte("lamp"))}
	m.SetUniqueKey("7F000001A3F118B4AAC2104C6A0D0000")
	for range 2 {
		err := sqltx.Once(ctx, d, m, func(ctx context.Context, tx *sql.Tx) error {
			fmt.Println("taking a", string(m.Body))
			_, err := tx.ExecContext(ctx, "UPDATE stock SET n = n - 1 WHERE item = ?", string(m.Body))
			return err
		})
		if err != nil {
			fmt.Println(err)
		}
	}
	var n int
	fmt.Println(db.QueryRow("SELECT n FROM stock").Scan(&n), n)
	// Output:
	// taking a lamp
	// <nil> 2
}

// printer stands for a *client.Producer.
type printer struct{ sent context.CancelFunc }

func (p printer) Send(_ context.Context, m *message.Message) (*client.SendResult, error) {
	fmt.Println("sent:", string(m.Body))
	p.sent()
	return &client.SendResult{}, nil
}

// What a transaction adds is sent after its commit.
func ExampleOutbox() {
	d, db, done, err := open()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer done()
	ctx, cancel := context.WithCancel(context.Background())
	outbox := sqltx.NewOutbox(d, printer{cancel})
	for _, end := range []func(*sql.Tx) error{(*sql.Tx).Rollback, (*sql.Tx).Commit} {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			fmt.Println(err)
			return
		}
		n, _ := outbox.Pending(ctx)
		if err := outbox.Add(ctx, tx, message.New("orders", fmt.Append(nil, "a lamp, ", n, " before it"))); err != nil {
			fmt.Println(err)
		}
		if err := end(tx); err != nil {
			fmt.Println(err)
		}
	}
	if err := outbox.Run(ctx); err != nil { // until cancel is called
		fmt.Println(err)
	}
	// Output:
	// sent: a lamp, 0 before it
}

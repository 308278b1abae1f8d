// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"testing"

	"github.com/twostage/twostage/sqltx"
)

func TestDatabaseNamed(t *testing.T) {
	for from, want := range map[Database]Database{
		"mysql://root:p%40ss@127.0.0.1:3306/":                "mysql://root:p%40ss@127.0.0.1:3306/stock",
		"postgres://shop@db:5432/postgres?sslmode=disable":   "postgres://shop@db:5432/stock?sslmode=disable",
		"postgres://shop:secret@db/postgres?sslmode=disable": "postgres://shop:secret@db/stock?sslmode=disable",
	} {
		if got, err := from.Named("stock"); err != nil || got != want {
			t.Errorf("%s: %s, %v, want %s", from, got, err, want)
		}
	}
}

func TestDatabaseMySQL(t *testing.T) {
	for url, want := range map[Database]string{
		"mysql://root@127.0.0.1:3307/orders": "root@tcp(127.0.0.1:3307)/orders?clientFoundRows=true",
		"mysql://a:p%40ss@db/orders":         "a:p@ss@tcp(db:3306)/orders?clientFoundRows=true",
	} {
		if got, err := url.mysql(); err != nil || got != want {
			t.Errorf("%s: %s, %v, want %s", url, got, err, want)
		}
	}
}

func TestDatabaseUnknown(t *testing.T) {
	for _, d := range []Database{"", "orders.db", "oracle://x"} {
		if _, _, err := d.Open(); err == nil {
			t.Errorf("%q is opened", d)
		}
	}
}

func TestRebind(t *testing.T) {
	const query = "UPDATE a SET b = ?, c = ? WHERE d = ?"
	if got := Rebind(sqltx.PostgreSQL, query); got != "UPDATE a SET b = $1, c = $2 WHERE d = $3" {
		t.Error(got)
	}
	if got := Rebind(sqltx.MySQL, query); got != query {
		t.Error(got)
	}
}

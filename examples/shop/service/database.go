// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver pgx
	_ "modernc.org/sqlite"             // the driver sqlite

	"github.com/twostage/twostage/sqltx"
)

// Database says where a database is: sqlite:FILE, postgres://… or mysql://….
type Database string

// Named is the database of another name on the same server.
func (d Database) Named(name string) (Database, error) {
	u, err := d.url()
	if err != nil {
		return "", err
	}
	u.Path = "/" + name
	return Database(u.String()), nil
}

// Open opens it.
func (d Database) Open() (*sql.DB, sqltx.Dialect, error) {
	kind, rest, _ := strings.Cut(string(d), ":")
	switch kind {
	case "sqlite":
		// immediate: a transaction that will write waits for its turn at its begin,
		// where waiting can't end in a deadlock.
		db, err := sql.Open("sqlite", "file:"+rest+"?_txlock=immediate&_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)")
		return db, sqltx.SQLite, err
	case "postgres", "postgresql":
		if _, err := d.url(); err != nil {
			return nil, 0, err
		}
		db, err := sql.Open("pgx", string(d))
		return db, sqltx.PostgreSQL, err
	case "mysql", "mariadb":
		dsn, err := d.mysql()
		if err != nil {
			return nil, 0, err
		}
		db, err := sql.Open("mysql", dsn)
		return db, sqltx.MySQL, err
	}
	return nil, 0, errors.New("--db: accepted are postgres://USER:PASSWORD@HOST:PORT/DATABASE and mysql://USER:PASSWORD@HOST:PORT/DATABASE")
}

// url is the database's, if it has one. The error does not show it: it may hold a
// password.
func (d Database) url() (*url.URL, error) {
	u, err := url.Parse(string(d))
	if err != nil {
		var bad *url.Error
		if errors.As(err, &bad) {
			err = bad.Err
		}
		return nil, fmt.Errorf("--db is no URL: %w", err)
	}
	return u, nil
}

// mysql is the URL in the form of the driver.
func (d Database) mysql() (string, error) {
	u, err := d.url()
	if err != nil {
		return "", err
	}
	c := mysql.NewConfig()
	c.Net, c.Addr, c.DBName, c.User = "tcp", u.Host, strings.TrimPrefix(u.Path, "/"), u.User.Username()
	c.Passwd, _ = u.User.Password()
	if u.Port() == "" {
		c.Addr += ":3306"
	}
	c.ClientFoundRows = true // rows that matched, as everywhere else, and not those that changed
	return c.FormatDSN(), nil
}

// Tx is a transaction on a service's database, of any dialect: ? stands for a value.
type Tx struct {
	*sql.Tx
	dialect sqltx.Dialect
}

// Do runs a statement and tells how many rows it changed.
func (t Tx) Do(ctx context.Context, query string, args ...any) (int64, error) {
	res, err := t.ExecContext(ctx, Rebind(t.dialect, query), args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// Row runs a query for one row.
func (t Tx) Row(ctx context.Context, query string, args ...any) *sql.Row {
	return t.QueryRowContext(ctx, Rebind(t.dialect, query), args...)
}

// Rebind gives a query the placeholders of a dialect.
func Rebind(d sqltx.Dialect, query string) string {
	if d != sqltx.PostgreSQL {
		return query
	}
	var b strings.Builder
	for n := 1; ; n++ {
		before, after, found := strings.Cut(query, "?")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		b.WriteString("$" + strconv.Itoa(n))
		query = after
	}
}

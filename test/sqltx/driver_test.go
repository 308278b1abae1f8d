// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package sqltx

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// seen is told of what a process does to its database.
type seen interface {
	marking(after bool)          // the INSERT of a marker, a refusal or a record of consumption
	deleting(after bool)         // from the outbox
	committing(after bool) error // of what has any of these; an error stands for that of a connection that broke
}

// openSeen opens a database through a driver that tells what goes by. Markers
// get the time of a wall clock that is off by shift.
func openSeen(name, dsn, prefix string, shift time.Duration, s seen) (*sql.DB, error) {
	db, err := sql.Open(name, dsn)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	return sql.OpenDB(&connector{driver: db.Driver(), dsn: dsn, tables: []string{" " + prefix + "marker ", " " + prefix + "consumed ", " " + prefix + "outbox "}, shift: shift, seen: s}), nil
}

type connector struct {
	driver driver.Driver
	dsn    string
	tables []string
	shift  time.Duration
	seen   seen
}

func (c *connector) Driver() driver.Driver { return c.driver }

func (c *connector) Connect(ctx context.Context) (conn driver.Conn, err error) {
	if of, ok := c.driver.(driver.DriverContext); ok {
		real, err := of.OpenConnector(c.dsn)
		if err != nil {
			return nil, err
		}
		conn, err = real.Connect(ctx)
		if err != nil {
			return nil, err
		}
		return &seenConn{Conn: conn, c: c}, nil
	}
	if conn, err = c.driver.Open(c.dsn); err != nil {
		return nil, err
	}
	return &seenConn{Conn: conn, c: c}, nil
}

// seenConn passes everything on. What its driver has no method for it refuses the
// way that database/sql goes on from.
type seenConn struct {
	driver.Conn
	c      *connector
	marked atomic.Bool // in the transaction that runs
}

// exec runs a statement that may be one of those to be told.
func (s *seenConn) exec(query string, args []driver.NamedValue, run func([]driver.NamedValue) (driver.Result, error)) (driver.Result, error) {
	switch {
	case strings.HasPrefix(query, "DELETE") && strings.Contains(query, s.c.tables[2]):
		s.marked.Store(true)
		s.c.seen.deleting(false)
		res, err := run(args)
		if err == nil {
			s.c.seen.deleting(true)
		}
		return res, err
	case strings.HasPrefix(query, "INSERT") && slices.ContainsFunc(s.c.tables, func(name string) bool { return strings.Contains(query, name) }):
		s.c.seen.marking(false)
		res, err := run(s.c.shifted(args))
		if err == nil {
			s.marked.Store(true)
			s.c.seen.marking(true)
		}
		return res, err
	case query == "COMMIT" && s.marked.Swap(false):
		return driver.RowsAffected(0), s.commit(func() error { _, err := run(args); return err })
	}
	return run(args)
}

func (s *seenConn) commit(run func() error) error {
	for _, do := range []func() error{func() error { return s.c.seen.committing(false) }, run, func() error { return s.c.seen.committing(true) }} {
		if err := do(); err != nil {
			return err
		}
	}
	return nil
}

// shifted moves the time among the arguments, in ms.
func (c *connector) shifted(args []driver.NamedValue) []driver.NamedValue {
	now := time.Now().UnixMilli()
	for i, a := range args {
		if v, ok := a.Value.(int64); ok && v > now-time.Hour.Milliseconds() && v <= now {
			args[i].Value = v + c.shift.Milliseconds()
		}
	}
	return args
}

func (s *seenConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	conn, ok := s.Conn.(driver.ExecerContext)
	if !ok || len(args) > 0 { // those with arguments are seen as prepared statements, whatever the driver prefers
		return nil, driver.ErrSkip
	}
	return s.exec(query, args, func(args []driver.NamedValue) (driver.Result, error) {
		return conn.ExecContext(ctx, query, args)
	})
}

func (s *seenConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if conn, ok := s.Conn.(driver.QueryerContext); ok {
		return conn.QueryContext(ctx, query, args)
	}
	return nil, driver.ErrSkip
}

func (s *seenConn) Prepare(query string) (driver.Stmt, error) {
	return s.PrepareContext(context.Background(), query)
}

func (s *seenConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	stmt, err := s.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	return &seenStmt{Stmt: stmt, conn: s, query: query}, nil
}

func (s *seenConn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	tx, err := s.Conn.(driver.ConnBeginTx).BeginTx(ctx, o)
	if err != nil {
		return nil, err
	}
	s.marked.Store(false)
	return &seenTx{Tx: tx, conn: s}, nil
}

func (s *seenConn) Ping(ctx context.Context) error {
	if conn, ok := s.Conn.(driver.Pinger); ok {
		return conn.Ping(ctx)
	}
	return nil
}

func (s *seenConn) ResetSession(ctx context.Context) error {
	if conn, ok := s.Conn.(driver.SessionResetter); ok {
		return conn.ResetSession(ctx)
	}
	return nil
}

func (s *seenConn) IsValid() bool {
	conn, ok := s.Conn.(driver.Validator)
	return !ok || conn.IsValid()
}

func (s *seenConn) CheckNamedValue(v *driver.NamedValue) error {
	if conn, ok := s.Conn.(driver.NamedValueChecker); ok {
		return conn.CheckNamedValue(v)
	}
	return driver.ErrSkip
}

type seenTx struct {
	driver.Tx
	conn *seenConn
}

func (t *seenTx) Commit() error {
	if !t.conn.marked.Swap(false) {
		return t.Tx.Commit()
	}
	return t.conn.commit(t.Tx.Commit)
}

type seenStmt struct {
	driver.Stmt
	conn  *seenConn
	query string
}

func (s *seenStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	return s.conn.exec(s.query, args, func(args []driver.NamedValue) (driver.Result, error) {
		return s.Stmt.(driver.StmtExecContext).ExecContext(ctx, args)
	})
}

func (s *seenStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	return s.Stmt.(driver.StmtQueryContext).QueryContext(ctx, args)
}

func (s *seenStmt) CheckNamedValue(v *driver.NamedValue) error {
	if stmt, ok := s.Stmt.(driver.NamedValueChecker); ok {
		return stmt.CheckNamedValue(v)
	}
	return s.conn.CheckNamedValue(v)
}

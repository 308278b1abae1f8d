// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package sqltx

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// Dialect is the SQL of a database.
type Dialect uint8

// The dialects, each with the drivers it is tested with.
const (
	SQLite     Dialect = iota + 1 // modernc.org/sqlite
	PostgreSQL                    // github.com/jackc/pgx/v5/stdlib
	MySQL                         // github.com/go-sql-driver/mysql: MariaDB 10.11, with InnoDB; written for MySQL 8 too, but not tested there
)

func (d Dialect) String() string {
	switch d {
	case SQLite:
		return "SQLite"
	case PostgreSQL:
		return "PostgreSQL"
	case MySQL:
		return "MySQL"
	}
	return fmt.Sprintf("dialect %d", uint8(d))
}

func (d Dialect) grammar() (grammar, error) {
	switch d {
	case SQLite:
		return sqlite{}, nil
	case PostgreSQL:
		return postgresql{}, nil
	case MySQL:
		return mysql{}, nil
	}
	return nil, fmt.Errorf("sqltx: %v is none of SQLite, PostgreSQL, MySQL", d)
}

// Schema gives the statements that make the tables with a prefix, for whoever may
// make tables when Open may not. They may be run again, in their order. One of
// them holds a random number, which tells these tables from others. It panics for
// what is no Dialect.
func (d Dialect) Schema(prefix string) []string {
	g, err := d.grammar()
	if err != nil {
		panic(err)
	}
	return newStatements(g, tablesOf(prefix)).create
}

// querier is a *sql.Tx, a *sql.Conn or a *sql.DB.
type querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// grammar is what differs between databases.
type grammar interface {
	// types gives the column types: a word of at most n printable ASCII characters
	// that is compared byte by byte, bytes, and a number that counts up.
	types() columns
	// insertNew is an INSERT that does nothing, and affects no row, where the key is
	// taken by a committed row.
	insertNew(table, columns, values string) string
	// placeholder is the n-th, from 1.
	placeholder(n int) string

	// levels are those of isolation that database and driver have, and that show only
	// what is committed.
	levels() []sql.IsolationLevel
	// inspect refuses a database, as the connection sees it, that cannot keep the
	// promises.
	inspect(ctx context.Context, conn *sql.Conn) error
	// lax names a setting under which the database may forget what it has answered to
	// be committed; "" if there is none.
	lax(ctx context.Context, conn *sql.Conn) (setting string, err error)
	// create runs statements that make tables, although others do the same.
	create(ctx context.Context, conn *sql.Conn, statements []string) error
	// short runs f in a transaction that sees what is committed when its statement
	// begins and waits for no lock longer than wait. An error says that it is not
	// known to be committed.
	short(ctx context.Context, conn *sql.Conn, wait time.Duration, f func(q querier) error) error
	// fresh reads a number that others change, in a transaction of any level, as it is
	// committed now, or fails.
	fresh(ctx context.Context, q querier, table, name string) (int64, error)
	// commit and rollback end a transaction that was begun with ctx, and wait for the
	// answer until ctx ends. What they may leave of tx ends with ctx.
	commit(ctx context.Context, tx *sql.Tx) error
	rollback(ctx context.Context, tx *sql.Tx) error
	// clock is a query for the server's time in ms, "" where it is this machine's.
	clock() string
}

type columns struct {
	word           func(n int) string
	bytes, counter string
	tableOptions   string
	index          string // CREATE INDEX of a schema with its dot, index, table, column; "": inside CREATE TABLE
}

// tables are the names.
type tables struct{ prefix, marker, consumed, state, outbox string }

func tablesOf(prefix string) tables {
	return tables{prefix: prefix, marker: prefix + "marker", consumed: prefix + "consumed", state: prefix + "state", outbox: prefix + "outbox"}
}

// horizons are the names of the numbers in the state table below which rows may
// have been deleted, in ms.
var horizons = [...]string{markerHorizon, consumedHorizon}

const (
	markerHorizon   = "marker_horizon"
	consumedHorizon = "consumed_horizon"

	// identityRow holds a random number, which tells these tables from all others.
	identityRow = "identity"
)

const (
	maxWord     = 160
	maxConsumer = 128
)

// statements are the SQL of one dialect and prefix.
type statements struct {
	tables
	create       []string
	findIdentity string

	insertMarker, findMarker, staleMarkers, deleteMarker        string
	insertConsumed, findConsumed, staleConsumed, deleteConsumed string
	findState, raise, take, beat                                string
	insertOutbox, firstOutbox, deleteOutbox, countOutbox        string
}

func newStatements(g grammar, t tables) statements {
	r := func(query string) string { return rebind(g, query) }
	return statements{
		tables:       t,
		create:       schema(g, t),
		findIdentity: "SELECT value FROM " + t.state + " WHERE name = '" + identityRow + "'",

		insertMarker: r(g.insertNew(t.marker, "id, verdict, began", "?, ?, ?")),
		findMarker:   r("SELECT verdict, began FROM " + t.marker + " WHERE id = ?"),
		staleMarkers: r("SELECT id FROM " + t.marker + " WHERE began < ? ORDER BY began LIMIT " + strconv.Itoa(cleanBatch)),
		deleteMarker: r("DELETE FROM " + t.marker + " WHERE id = ? AND began < ?"),

		insertConsumed: r(g.insertNew(t.consumed, "consumer, id, seen", "?, ?, ?")),
		findConsumed:   r("SELECT seen FROM " + t.consumed + " WHERE consumer = ? AND id = ?"),
		staleConsumed:  r("SELECT consumer, id FROM " + t.consumed + " WHERE seen < ? ORDER BY seen LIMIT " + strconv.Itoa(cleanBatch)),
		deleteConsumed: r("DELETE FROM " + t.consumed + " WHERE consumer = ? AND id = ? AND seen < ?"),

		findState: r("SELECT value, holder FROM " + t.state + " WHERE name = ?"),
		raise:     r("UPDATE " + t.state + " SET value = ? WHERE name = ? AND value < ?"),
		take:      r("UPDATE " + t.state + " SET value = value + 1, holder = ? WHERE name = ? AND value = ?"),
		beat:      r("UPDATE " + t.state + " SET value = value + 1 WHERE name = ? AND value = ? AND holder = ?"),

		insertOutbox: r("INSERT INTO " + t.outbox + " (id, topic, flag, properties, body) VALUES (?, ?, ?, ?, ?)"),
		firstOutbox:  r("SELECT seq, id, topic, flag, properties, body FROM " + t.outbox + " ORDER BY seq LIMIT ?"),
		deleteOutbox: r("DELETE FROM " + t.outbox + " WHERE seq = ? AND id = ?"), // a number may be given again
		countOutbox:  "SELECT COUNT(*) FROM " + t.outbox,
	}
}

// schema is drawn in docs/sqltx.md.
func schema(g grammar, t tables) []string {
	c := g.types()
	dot := strings.IndexByte(t.prefix, '.') + 1 // an index is in its table's schema
	in, name := t.prefix[:dot], t.prefix[dot:]
	var all []string
	table := func(of, index, column string, definitions ...string) {
		if index != "" && c.index == "" {
			definitions = append(definitions, "INDEX "+name+index+" ("+column+")")
		}
		all = append(all, "CREATE TABLE IF NOT EXISTS "+of+" (\n\t"+strings.Join(definitions, ",\n\t")+"\n)"+c.tableOptions)
		if index != "" && c.index != "" {
			all = append(all, fmt.Sprintf(c.index, in, name+index, of[dot:], column))
		}
	}
	table(t.marker, "marker_began", "began",
		"id "+c.word(maxWord)+" NOT NULL PRIMARY KEY", "verdict SMALLINT NOT NULL", "began BIGINT NOT NULL")
	table(t.consumed, "consumed_seen", "seen",
		"consumer "+c.word(maxWord)+" NOT NULL", "id "+c.word(maxWord)+" NOT NULL", "seen BIGINT NOT NULL", "PRIMARY KEY (consumer, id)")
	table(t.outbox, "", "",
		"seq "+c.counter, "id "+c.word(maxWord)+" NOT NULL", "topic "+c.word(maxWord)+" NOT NULL", "flag INTEGER NOT NULL",
		"properties "+c.bytes+" NOT NULL", "body "+c.bytes+" NOT NULL")
	table(t.state, "", "",
		"name "+c.word(maxWord)+" NOT NULL PRIMARY KEY", "value BIGINT NOT NULL", "holder "+c.word(maxWord)+" NOT NULL")
	for _, row := range []string{outboxLease, markerHorizon, consumedHorizon} {
		all = append(all, g.insertNew(t.state, "name, value, holder", "'"+row+"', 0, ''"))
	}
	// Last: who finds it knows that all is there. The first that is written stays.
	return append(all, g.insertNew(t.state, "name, value, holder", fmt.Sprintf("'%s', %d, ''", identityRow, rand.Int64())))
}

// rebind gives the placeholders of a query, ?, the form of the dialect.
func rebind(g grammar, query string) string {
	var b strings.Builder
	n := 0
	for _, r := range query {
		if r != '?' {
			b.WriteRune(r)
			continue
		}
		n++
		b.WriteString(g.placeholder(n))
	}
	return b.String()
}

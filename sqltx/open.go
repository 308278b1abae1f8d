// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package sqltx

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"time"
)

// DB is a database with the tables of this package. Open makes one. All methods
// may be called from any number of goroutines, and any number of processes may
// have the same database open.
type DB struct {
	db  *sql.DB
	cfg config
	g   grammar
	log *slog.Logger
	now func() time.Time // wall clock; see docs/sqltx.md for what it decides, which is never an outcome

	stmt     statements
	identity string // of the tables

	mu      sync.Mutex
	running map[string]int // transactions whose function runs in this process, by id

	long sync.Once // for what is logged of a limit above longLimit
}

// config is what options set.
type config struct {
	tables     string
	limit      time.Duration
	isolation  sql.IsolationLevel
	lockWait   time.Duration
	commitWait time.Duration
	retention  time.Duration
	consumer   string
	log        *slog.Logger
}

// Option changes what Open makes.
type Option func(*config)

// WithTables gives the prefix of the tables' names, a schema included if it has a
// dot. Default: "sqltx_". Processes that answer for each other, or consume each
// other's messages, need the same.
func WithTables(prefix string) Option { return func(c *config) { c.tables = prefix } }

// WithLimit bounds a Run whose ctx has no deadline. Default 60 s.
func WithLimit(d time.Duration) Option { return func(c *config) { c.limit = d } }

// WithIsolation is the level of the transactions of Run and Once. Default: the
// database's own. Levels that the database does not have are refused, and Read
// Uncommitted by all.
func WithIsolation(level sql.IsolationLevel) Option {
	return func(c *config) { c.isolation = level }
}

// WithLockWait bounds how long a check waits for the lock on a marker, before it
// answers Unknown. Default 2 s; MySQL and MariaDB count whole seconds.
func WithLockWait(d time.Duration) Option { return func(c *config) { c.lockWait = d } }

// WithCommitWait bounds how long Run and Once wait for the answer to a COMMIT, or
// a ROLLBACK, which the end of ctx does not stop. Default 30 s.
func WithCommitWait(d time.Duration) Option { return func(c *config) { c.commitWait = d } }

// WithRetention is how old markers and records of consumption are when Clean
// deletes them. It has to be longer than a broker may ask, transactionMaxAge and
// the time in which a discarded transaction may be resumed, and longer than a
// message may be delivered again. Default: 240 h; from 28 days on a unique key may
// be given again (see docs/sqltx.md).
func WithRetention(d time.Duration) Option { return func(c *config) { c.retention = d } }

// WithConsumer names who consumes with Once and Claim, which need it: the consumer
// group, for example. Of consumers of one name and database one gets a message, of
// different names each. At most 128 bytes.
func WithConsumer(name string) Option { return func(c *config) { c.consumer = name } }

// WithLogger gets what no call can return. Default: nothing is logged.
func WithLogger(l *slog.Logger) Option { return func(c *config) { c.log = l } }

const (
	standardLimit      = time.Minute
	standardLockWait   = 2 * time.Second
	standardCommitWait = 30 * time.Second
	standardRetention  = 240 * time.Hour // 72 h until a discard, as long until its copy is gone, as long undecided after a resume, and a day
)

var tablesName = regexp.MustCompile(`^([A-Za-z_][A-Za-z0-9_]{0,62}\.)?[A-Za-z_][A-Za-z0-9_]{0,39}$`)

func (c *config) check() error {
	switch {
	case !tablesName.MatchString(c.tables):
		return fmt.Errorf("sqltx: tables %q: letters, digits and _, at most 40, and a schema with a dot if need be", c.tables)
	case c.limit <= 0:
		return fmt.Errorf("sqltx: limit %v is not above 0", c.limit)
	case c.lockWait <= 0:
		return fmt.Errorf("sqltx: lock wait %v is not above 0", c.lockWait)
	case c.commitWait <= 0:
		return fmt.Errorf("sqltx: commit wait %v is not above 0", c.commitWait)
	case c.retention <= 0:
		return fmt.Errorf("sqltx: retention %v is not above 0", c.retention)
	case len(c.consumer) > maxConsumer:
		return fmt.Errorf("sqltx: the consumer's name has %d bytes, at most %d", len(c.consumer), maxConsumer)
	}
	return nil
}

// Open prepares a database: it makes the tables that are not there, and refuses a
// database whose isolation level, autocommit or journal cannot keep what this package
// promises. db stays the caller's, to be closed after the last use of DB.
func Open(ctx context.Context, db *sql.DB, d Dialect, opts ...Option) (*DB, error) {
	if db == nil {
		return nil, errors.New("sqltx: no database")
	}
	g, err := d.grammar()
	if err != nil {
		return nil, err
	}
	c := config{
		tables: "sqltx_", limit: standardLimit, lockWait: standardLockWait, commitWait: standardCommitWait, retention: standardRetention,
		log: slog.New(slog.DiscardHandler),
	}
	for _, o := range opts {
		if o != nil {
			o(&c)
		}
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	o := &DB{db: db, cfg: c, g: g, log: c.log, now: time.Now, stmt: newStatements(g, tablesOf(c.tables)), running: map[string]int{}}
	if err := o.prepare(ctx); err != nil {
		return nil, fmt.Errorf("sqltx: %v: %w", d, err)
	}
	return o, nil
}

// prepare looks at the settings of the database and makes the tables.
func (d *DB) prepare(ctx context.Context) error {
	conn, err := d.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // it goes back into the pool
	if levels := d.g.levels(); d.cfg.isolation != sql.LevelDefault && !slices.Contains(levels, d.cfg.isolation) {
		return fmt.Errorf("isolation level %v: there is only %v", d.cfg.isolation, levels)
	}
	if err := d.g.inspect(ctx, conn); err != nil {
		return err
	}
	if setting, err := d.g.lax(ctx, conn); err != nil {
		return err
	} else if setting != "" {
		d.log.Warn("sqltx: the database may forget what it has committed when its machine dies; messages would be out for it", "setting", setting)
	}
	if d.identify(ctx, conn) == nil {
		return nil // a user who may not make tables works with those that somebody made
	}
	if err := d.g.create(ctx, conn, d.stmt.create); err != nil {
		return fmt.Errorf("making the tables: %w", err)
	}
	return d.identify(ctx, conn)
}

// identify reads the identity of the tables.
func (d *DB) identify(ctx context.Context, q querier) error {
	var n int64
	if err := q.QueryRowContext(ctx, d.stmt.findIdentity).Scan(&n); err != nil {
		return fmt.Errorf("the identity of the tables: %w", err)
	}
	d.identity = strconv.FormatInt(n, 36)
	return nil
}

// enter marks a transaction as running in this process; leave ends it.
func (d *DB) enter(id string) (leave func()) {
	d.mu.Lock()
	d.running[id]++
	d.mu.Unlock()
	return sync.OnceFunc(func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.running[id]--; d.running[id] == 0 {
			delete(d.running, id)
		}
	})
}

func (d *DB) runsHere(id string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.running[id] > 0
}

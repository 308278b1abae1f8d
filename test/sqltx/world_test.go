// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package sqltx

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twostage/twostage/client"
	"github.com/twostage/twostage/internal/dbtest"
	"github.com/twostage/twostage/internal/proctest"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
	"github.com/twostage/twostage/sqltx"
	"github.com/twostage/twostage/test/rig"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

const (
	lockWait = time.Second       // of a refusal, and of Open
	slack    = 10 * time.Second  // what a check may take beside its wait for a lock, on a busy machine
	funds    = 100               // of the account, at first
	price    = 10                // of an order
	patient  = 100 * time.Second // a limit that no test reaches
	brief    = 4 * time.Second   // a limit that cells wait for

	forgetful = brief + time.Second // a retention that cells wait for
	maxAge    = 2 * brief           // after which a broker parks what is undecided, where cells wait for it
)

// buy is the local transaction: an order, and what it costs.
func buy(ctx context.Context, tx *sql.Tx, prefix, order string) error {
	for _, query := range []string{
		fmt.Sprintf("UPDATE %saccount SET balance = balance - %d", prefix, price),
		fmt.Sprintf("INSERT INTO %sorders VALUES ('%s')", prefix, order),
	} {
		if _, err := tx.ExecContext(ctx, query); err != nil {
			return err
		}
	}
	return nil
}

// world is a broker for cells.
type world struct {
	server *proctest.Server
	net    *remoting.Client
	cells  *atomic.Int32 // of all worlds
}

// newWorld starts a broker with more settings.
func newWorld(t *testing.T, cells *atomic.Int32, more ...string) *world {
	t.Helper()
	args := []string{"server", "--data", t.TempDir(), "--log-level", "error", "--namesrv-set", "listenPort=0", "--namesrv-set", "bindAddress=127.0.0.1"}
	for _, kv := range append([]string{
		"listenPort=0", "httpListenPort=0", "bindAddress=127.0.0.1", "brokerIP1=127.0.0.1", "brokerName=broker-a",
		"mappedFileSizeCommitLog=4194304", "maxHashSlotNum=1000", "maxIndexNum=4000", "transactionCheckInterval=300", "transactionCheckMax=1000",
	}, more...) {
		args = append(args, "--set", kv)
	}
	return &world{server: proctest.Start(t, args...), net: rig.Client(t), cells: cells}
}

// database is one for many cells, or one for each.
type database struct {
	dialect sqltx.Dialect
	driver  string
	dsn     func(t *testing.T) string
}

// TestMatrix runs all cells on each database, side by side. Where a server is not
// installed it logs that.
func TestMatrix(t *testing.T) {
	cells := new(atomic.Int32)
	patientOne, hasty := newWorld(t, cells), newWorld(t, cells, fmt.Sprint("transactionMaxAge=", maxAge.Milliseconds()))
	both := func(t *testing.T, d *database) {
		matrix(t, patientOne, d, rows)
		matrix(t, hasty, d, rowsOfParked)
	}
	t.Run("on", func(t *testing.T) { // ends before the brokers
		t.Run("SQLite", func(t *testing.T) {
			t.Parallel()
			both(t, &database{sqltx.SQLite, "sqlite", func(t *testing.T) string {
				return "file:" + filepath.Join(t.TempDir(), "db") + "?_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)"
			}})
		})
		for dialect, open := range map[sqltx.Dialect]func(testing.TB) (*dbtest.Database, bool){sqltx.PostgreSQL: dbtest.PostgreSQL, sqltx.MySQL: dbtest.MariaDB} {
			t.Run(dialect.String(), func(t *testing.T) {
				t.Parallel()
				if d, ok := open(t); ok {
					both(t, &database{dialect, d.Driver, func(*testing.T) string { return d.DSN }})
				}
			})
		}
	})
}

// matrix makes a cell for each point of each test.
func matrix(t *testing.T, w *world, d *database, rows []row) {
	for _, row := range rows {
		for _, at := range row.points {
			t.Run(row.name+"/"+string(at), func(t *testing.T) {
				t.Parallel()
				p := row.plan
				p.At = at
				row.test(t, newCell(t, w, d, p))
			})
		}
	}
}

// row is a test, with its points and what its children have in common.
type row struct {
	name   string
	test   func(t *testing.T, c *cell)
	points []point
	plan   plan
}

// Where a clock is an hour behind, no refusal is held back by the limit.
var rows = []row{
	{"killed", killedAtEachStep, points, plan{Limit: brief}},
	{"refuser killed", refuserIsKilled, []point{markerBefore, markerAfter, commitBefore, commitAfter}, plan{Limit: brief}},
	{"asked in the same process", askedInTheSameProcess, []point{functionAfter, markerAfter, commitBefore}, plan{Waits: true, Limit: patient, Shift: -time.Hour}},
	{"asked before the limit", askedBeforeTheLimit, []point{functionBefore, functionAfter, markerBefore}, plan{Waits: true, Limit: patient}},
	{"asked while the marker is held", askedWhileTheMarkerIsHeld, []point{markerAfter, commitBefore}, plan{Waits: true, Limit: patient, Shift: -time.Hour}},
	{"refused while it runs", refusedWhileItRuns, []point{functionBefore, functionAfter, markerBefore}, plan{Waits: true, Limit: patient, Shift: -time.Hour}},
	{"stopped over the limit", stoppedOverTheLimit, []point{functionBefore, functionAfter, markerBefore, markerAfter, commitBefore}, plan{Waits: true, Stops: true, Limit: brief}},
	{"clock behind", clockBehind, []point{commitBefore, commitAfter}, plan{Limit: brief, Shift: -time.Hour}},
	{"clock ahead", clockAhead, []point{commitBefore, commitAfter}, plan{Limit: brief, Shift: time.Hour}},
	{"below the horizon", belowTheHorizon, []point{commitBefore, commitAfter}, plan{Limit: brief, Retention: forgetful}},
	{"below the horizon of others", belowTheHorizon, []point{commitBefore, commitAfter}, plan{Limit: brief}},
	{"answer to the commit lost", commitAnswerLost, []point{commitBefore, commitAfter}, plan{Fails: true, Limit: brief}},
	{"consumer killed", consumerKilled, []point{markerBefore, markerAfter, functionBefore, functionAfter, commitBefore, commitAfter}, plan{Consumes: true, Limit: brief}},
	{"forwarder killed", forwarderKilled, []point{commitBefore, commitAfter, sendBefore, sendAfter, deleteBefore, deleteAfter}, plan{Forwards: true, Limit: brief}},
	{"consumed twice at a time", consumedTwiceAtATime, []point{markerBefore, markerAfter, functionAfter, commitBefore}, plan{Consumes: true, Waits: true, Limit: brief}},
}

// rowsOfParked are for a broker that has transactions wait for maxAge only.
var rowsOfParked = []row{
	{"discarded, then resumed", parkedAndResumed, []point{commitBefore, commitAfter}, plan{Limit: brief}},
	{"discarded, forgotten, then resumed", resumedTooLate, []point{commitBefore, commitAfter}, plan{Limit: brief, Retention: forgetful}},
}

// cell is a topic with its group, and tables.
type cell struct {
	w *world
	plan
	db *sql.DB
	d  *sqltx.DB
	*member
}

// newCell makes the cell of a plan.
func newCell(t *testing.T, w *world, of *database, p plan) *cell {
	t.Helper()
	n := w.cells.Add(1)
	p.Driver, p.DSN, p.Dialect, p.NameServer = of.driver, of.dsn(t), of.dialect, w.server.Namesrv
	p.Prefix, p.Order = fmt.Sprintf("cell%d_", n), fmt.Sprintf("order-%d", n)
	p.Topic, p.Group = fmt.Sprintf("cell-%d", n), fmt.Sprintf("shop-%d", n)
	c := &cell{w: w, plan: p}
	ctx := rig.Context(t)
	if err := rpc.CreateTopic(ctx, w.net, w.server.Broker, rig.TopicHeader(c.Topic, 1)); err != nil {
		t.Fatal(err)
	}
	var err error
	if c.db, err = sql.Open(p.Driver, p.DSN); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.db.Close(); err != nil {
			t.Error(err)
		}
	})
	c.db.SetMaxOpenConns(4)
	for _, query := range []string{
		"CREATE TABLE %sorders (id VARCHAR(40) PRIMARY KEY)", "CREATE TABLE %saccount (balance INTEGER)",
		fmt.Sprintf("INSERT INTO %%saccount VALUES (%d)", funds),
	} {
		if _, err := c.db.ExecContext(ctx, fmt.Sprintf(query, c.Prefix)); err != nil {
			t.Fatal(err)
		}
	}
	if c.d, err = sqltx.Open(ctx, c.db, c.Dialect, c.options()...); err != nil {
		t.Fatal(err)
	}
	return c
}

// answer is one to a check-back.
type answer struct {
	outcome client.Outcome
	asked   *message.Received
	age     time.Duration // of the half message, when it was given
	took    time.Duration
}

// member answers check-backs in the test process.
type member struct {
	mu      sync.Mutex
	asked   int
	answers []answer
}

// join has the test process be a member of the cell's group.
func (c *cell) join(t *testing.T) {
	t.Helper()
	m := &member{}
	p, err := client.NewTransactionProducer(c.Group, func(ctx context.Context, r *message.Received) client.Outcome {
		m.mu.Lock()
		m.asked++
		m.mu.Unlock()
		began := time.Now()
		outcome := c.d.Check(ctx, r)
		m.mu.Lock()
		defer m.mu.Unlock()
		m.answers = append(m.answers, answer{outcome, r, time.Since(r.BornTime), time.Since(began)})
		return outcome
	}, client.WithNameServers(c.NameServer), client.WithTimeout(30*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	c.member = m
	if err := p.Start(rig.Context(t), c.Topic); err != nil {
		t.Fatal(err)
	}
}

// given are the answers so far; busy says that one is being looked for.
func (m *member) given() (answers []answer, busy bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.answers), m.asked > len(m.answers)
}

// halves are the transactions of the cell, as the broker knows them. Of one that
// was resumed the last half message stands for all.
func (c *cell) halves(ctx context.Context) ([]body.Transaction, error) {
	list, err := rpc.Transactions(ctx, c.w.net, c.w.server.Broker, &header.TxListRequest{Group: c.Group, Limit: 10})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(list.Transactions, func(half body.Transaction) bool { return half.State == body.Resumed }), nil
}

// half waits for the cell's one transaction in a state, "" for any.
func (c *cell) half(t *testing.T, state body.TransactionState) body.Transaction {
	t.Helper()
	var half body.Transaction
	ctx := rig.Context(t)
	rig.Poll(t, fmt.Sprintf("a transaction %q", state), func() error {
		all, err := c.halves(ctx)
		if err != nil {
			return err
		}
		if len(all) != 1 || state != "" && all[0].State != state {
			return fmt.Errorf("%+v", all)
		}
		half = all[0]
		return nil
	})
	return half
}

// ask has the broker ask the group at once.
func (c *cell) ask(t *testing.T) error {
	t.Helper()
	half := c.half(t, "")
	if half.State != body.Undecided {
		return fmt.Errorf("the transaction is %s", half.State)
	}
	_, err := rpc.RecheckTransaction(rig.Context(t), c.w.net, c.w.server.Broker, &header.TxRequest{ID: strconv.FormatInt(half.QueueOffset, 10)})
	return err
}

// messages are the bodies of what the topic holds.
func (c *cell) messages(ctx context.Context) (all []string, err error) {
	_, err = rig.Drain(ctx, c.w.net, c.w.server.Broker, c.Topic, 0, 0, func(r *message.Record) error {
		all = append(all, string(r.Body))
		return nil
	})
	return all, err
}

// orders are what the function has written, and what it has paid.
func (c *cell) orders(ctx context.Context) (all []string, paid int, err error) {
	rows, err := c.db.QueryContext(ctx, "SELECT id FROM "+c.Prefix+"orders")
	if err != nil {
		return nil, 0, err
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, 0, err
		}
		all = append(all, id)
	}
	if err := rows.Err(); err != nil {
		return nil, 0, err
	}
	var balance int
	err = c.db.QueryRowContext(ctx, "SELECT balance FROM "+c.Prefix+"account").Scan(&balance)
	return all, funds - balance, err
}

// markers count the rows under which a transaction stands.
func (c *cell) markers(t *testing.T) (n int) {
	t.Helper()
	if err := c.db.QueryRowContext(rig.Context(t), "SELECT COUNT(*) FROM "+c.Prefix+"marker").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// balanced waits until database and topic are the same, and as they are expected:
// once, or nowhere.
func (c *cell) balanced(t *testing.T, once bool) {
	t.Helper()
	var want []string
	if once {
		want = []string{c.Order}
	}
	ctx := rig.Context(t)
	rig.Poll(t, "balanced books", func() error {
		messages, err := c.messages(ctx)
		if err != nil {
			return err
		}
		orders, paid, err := c.orders(ctx)
		if err != nil {
			return err
		}
		if !slices.Equal(messages, want) || !slices.Equal(orders, want) || paid != len(want)*price {
			return fmt.Errorf("messages %q, orders %q, paid %d, expected %q", messages, orders, paid, want)
		}
		return nil
	})
}

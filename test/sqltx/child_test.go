// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package sqltx

import (
	"bufio"
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twostage/twostage/client"
	"github.com/twostage/twostage/message"
	"github.com/twostage/twostage/sqltx"
)

// point is a place in a Run, or in a refusal.
type point string

const (
	halfBefore     point = "before the half message"
	halfAfter      point = "after the half message"
	functionBefore point = "before the function"
	functionAfter  point = "after the function"
	markerBefore   point = "before the marker"
	markerAfter    point = "after the marker"
	commitBefore   point = "before the commit"
	commitAfter    point = "after the commit"
	endBefore      point = "before the end"
	endAfter       point = "after the end"

	sendBefore   point = "before the second message"
	sendAfter    point = "after the second message"
	deleteBefore point = "before the deletion"
	deleteAfter  point = "after the deletion"
)

// points are all of a Run, in their order.
var points = []point{
	halfBefore, halfAfter, functionBefore, functionAfter, markerBefore, markerAfter, commitBefore, commitAfter, endBefore, endAfter,
}

// plan is what a child does.
type plan struct {
	Driver, DSN, Prefix string
	Dialect             sqltx.Dialect
	NameServer          string
	Topic, Group, Order string
	Refuses             bool // it calls no Run, and answers check-backs
	Consumes            bool // it calls Once instead
	Forwards            bool // it fills the outbox instead, and sends what is in it
	Fails               bool // the connection to the database breaks there, instead of its dying
	At                  point
	Waits               bool // there, for a line of standard input, instead of dying
	Stops               bool // there, by SIGSTOP, before it waits
	Limit, Retention    time.Duration
	Shift               time.Duration // of its wall clock
}

// options are those of the database of a cell.
func (p *plan) options() []sqltx.Option {
	o := []sqltx.Option{sqltx.WithTables(p.Prefix), sqltx.WithLimit(p.Limit), sqltx.WithLockWait(lockWait), sqltx.WithConsumer(p.Group)}
	if p.Retention != 0 {
		o = append(o, sqltx.WithRetention(p.Retention))
	}
	return o
}

// received is the cell's message as consumers get it, again and again.
func (p *plan) received() *message.Received {
	return message.NewReceived(&message.Record{
		Topic: []byte(p.Topic), Body: []byte(p.Order), BornTimestamp: time.Now().UnixMilli(),
		Properties: message.Properties{message.PropertyUniqueKey: p.Order}.Append(nil),
	})
}

// The lines that a child writes, with a word behind some.
const (
	lineReady = "ready"
	lineAt    = "at"    // a point
	lineCheck = "check" // the outcome that it answered
	lineDone  = "done"  // what Run returned
	lineOver  = "over"  // the limit of who stopped
)

const childVariable = "SQLTX_CHILD" // a plan as JSON: this process is a child

func TestMain(m *testing.M) {
	if text := os.Getenv(childVariable); text != "" {
		if err := runChild(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	flag.Parse()
	// Cells wait for times to pass: all of them at once.
	if err := flag.Set("test.parallel", "200"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

type child struct {
	plan
	reached sync.Once
	sent    atomic.Int32 // messages that it has begun to send
	goOn    chan struct{}
}

func say(what, more string) { fmt.Println(what, more) }

// at dies, waits or fails if this is the point.
func (c *child) at(p point) (err error) {
	if p != c.At {
		return nil
	}
	c.reached.Do(func() {
		say(lineAt, string(p))
		switch {
		case c.Waits:
			if c.Stops {
				_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
			}
			<-c.goOn
		case c.Fails:
			err = driver.ErrBadConn
		default:
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	})
	return err
}

// around is at, before or after.
func (c *child) around(after bool, pair ...point) error {
	if after {
		return c.at(pair[1])
	}
	return c.at(pair[0])
}

func (c *child) marking(after bool) { _ = c.around(after, markerBefore, markerAfter) }
func (c *child) ending(after bool)  { _ = c.around(after, endBefore, endAfter) }

func (c *child) deleting(after bool) { _ = c.around(after, deleteBefore, deleteAfter) }

func (c *child) sending(after bool) {
	if !after {
		c.sent.Add(1)
	}
	switch {
	case !c.Forwards:
		_ = c.around(after, halfBefore, halfAfter)
	case c.sent.Load() == 2:
		_ = c.around(after, sendBefore, sendAfter)
	}
}

func (c *child) committing(after bool) error { return c.around(after, commitBefore, commitAfter) }

// listen lets the child go on with the first line, and ends it with the last.
func (c *child) listen() {
	lines := bufio.NewScanner(os.Stdin)
	if lines.Scan() {
		close(c.goOn)
	}
	for lines.Scan() {
	}
	os.Exit(3)
}

func runChild(text string) error {
	c := &child{goOn: make(chan struct{})}
	if err := json.Unmarshal([]byte(text), &c.plan); err != nil {
		return err
	}
	go c.listen()
	ctx := context.Background()
	db, err := openSeen(c.Driver, c.DSN, c.Prefix, c.Shift, c)
	if err != nil {
		return err
	}
	defer db.Close()
	d, err := sqltx.Open(ctx, db, c.Dialect, c.options()...)
	if err != nil {
		return err
	}
	if c.Consumes {
		say(lineDone, result(sqltx.Once(ctx, d, c.received(), c.work)))
		return nil
	}
	if c.Forwards {
		return c.forward(ctx, db, d)
	}
	check := func(ctx context.Context, m *message.Received) client.Outcome {
		outcome := d.Check(ctx, m)
		say(lineCheck, outcome.String())
		return outcome
	}
	p, err := client.NewTransactionProducer(c.Group, check,
		client.WithNameServers(c.NameServer), client.WithDialer(dialer(c.Shift, c)), client.WithTimeout(30*time.Second))
	if err != nil {
		return err
	}
	defer p.Close()
	if c.Refuses {
		if err := p.Start(ctx, c.Topic); err != nil {
			return err
		}
		say(lineReady, "")
		<-c.goOn
		return nil
	}
	_, err = sqltx.Run(ctx, d, p, message.New(c.Topic, []byte(c.Order)), c.work)
	say(lineDone, result(err))
	return nil
}

// forward fills the outbox in one transaction, and sends what is in it.
func (c *child) forward(ctx context.Context, db *sql.DB, d *sqltx.DB) error {
	p, err := client.NewProducer(c.Group, client.WithNameServers(c.NameServer), client.WithDialer(dialer(0, c)))
	if err != nil {
		return err
	}
	defer p.Close()
	o := newOutbox(d, p)
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := buy(ctx, tx, c.Prefix, c.Order); err != nil {
		return err
	}
	for _, body := range parcels {
		if err := o.Add(ctx, tx, message.New(c.Topic, []byte(body))); err != nil {
			return err
		}
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	return o.Run(ctx)
}

// work is the function of a Run and of Once.
func (c *child) work(ctx context.Context, tx *sql.Tx) error {
	if c.Stops {
		context.AfterFunc(ctx, func() { say(lineOver, "") })
	}
	_ = c.at(functionBefore)
	if err := buy(ctx, tx, c.Prefix, c.Order); err != nil {
		return err
	}
	_ = c.at(functionAfter)
	return nil
}

// What a Run or Once can come to.
const (
	committed = "committed"
	refused   = "refused"
	tooLate   = "too late"
	unsure    = "unsure"
	lost      = "lost" // the connection to the database, and with it the transaction
)

func result(err error) string {
	switch {
	case err == nil:
		return committed
	case errors.Is(err, sqltx.ErrRefused):
		return refused
	case errors.Is(err, sqltx.ErrUnsure):
		return unsure
	case errors.Is(err, context.DeadlineExceeded):
		return tooLate
	case errors.Is(err, driver.ErrBadConn):
		return lost
	}
	return err.Error()
}

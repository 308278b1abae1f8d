// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package sqltx

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"time"

	"github.com/twostage/twostage/client"
	"github.com/twostage/twostage/message"
)

// Sender sends what is in an outbox: a *client.Producer. Where it has
// SendOrdered too, messages with a sharding key are sent by that; where it has
// CheckMessage, Add asks it.
type Sender interface {
	Send(ctx context.Context, m *message.Message) (*client.SendResult, error)
}

type checkingSender interface {
	CheckMessage(m *message.Message) error
}

type orderedSender interface {
	SendOrdered(ctx context.Context, key string, m *message.Message) (*client.SendResult, error)
}

// Outbox holds messages that are written in a database transaction and sent after
// its commit, for those that cannot send a half message first. NewOutbox makes
// one. All methods may be called from any number of goroutines.
type Outbox struct {
	d    *DB
	s    Sender
	cfg  outboxConfig
	ids  *message.IDGenerator
	wake chan struct{}
	now  func() time.Time // its differences only are used
}

type outboxConfig struct {
	batch       int
	poll, lease time.Duration
}

// OutboxOption changes what NewOutbox makes.
type OutboxOption func(*outboxConfig)

// WithBatch says how many messages are read, sent and deleted at a time. So many
// are held in memory, and may be sent again after a crash. Default 100.
func WithBatch(n int) OutboxOption { return func(c *outboxConfig) { c.batch = n } }

// WithPoll says how often Run looks for messages when it has found none. Default
// 100 ms.
func WithPoll(d time.Duration) OutboxOption { return func(c *outboxConfig) { c.poll = d } }

// WithLease says for how long a forwarder that was killed keeps others waiting, its
// own next process among them; one whose Run returns keeps nobody. A message has at
// least a third of it to be sent. A forwarder that stands still for longer than a
// third of it may send a message twice and out of order. Default 15 s.
func WithLease(d time.Duration) OutboxOption { return func(c *outboxConfig) { c.lease = d } }

// NewOutbox makes an outbox of the tables of d.
func NewOutbox(d *DB, s Sender, opts ...OutboxOption) *Outbox {
	c := outboxConfig{batch: 100, poll: 100 * time.Millisecond, lease: 15 * time.Second}
	for _, o := range opts {
		if o != nil {
			o(&c)
		}
	}
	return &Outbox{
		d: d, s: s, cfg: c, ids: message.NewIDGenerator(netip.Addr{}, os.Getpid(), time.Now),
		wake: make(chan struct{}, 1), now: time.Now,
	}
}

// Add writes m into tx. Run sends it if and only if tx is committed. It has the
// same unique key however often it is sent: its own, or one that Add gives it. m
// is not changed.
//
// Messages are sent in the order of their Adds. Of two transactions that overlap
// that is not the order of their commits: call Add after the other statements,
// when tx holds the locks on what the message is about.
//
// What the sender would refuse without asking a broker, Add refuses: a body that is
// too large, for example, would hold up all others for ever.
//
// Roll tx back after an error of the database, also one of another statement: MySQL
// and SQLite may have ended tx at it, and then commit what Add writes by itself.
func (o *Outbox) Add(ctx context.Context, tx *sql.Tx, m *message.Message) error {
	if m == nil {
		return errors.New("sqltx: Add without a message")
	}
	if err := m.Check(); err != nil {
		return fmt.Errorf("sqltx: outbox: %w", err)
	}
	if m.Prepared() {
		return errors.New("sqltx: outbox: a half message can't be sent later: send it with Run, or delete its property " + message.PropertyTransactionPrepared)
	}
	props := maps.Clone(m.Properties)
	if props == nil {
		props = message.Properties{}
	}
	if props[message.PropertyUniqueKey] == "" {
		props[message.PropertyUniqueKey] = o.ids.Next()
		if err := props.Check(); err != nil {
			return fmt.Errorf("sqltx: outbox: %w", err)
		}
	}
	if s, ok := o.s.(checkingSender); ok {
		stored := *m
		stored.Properties = props
		if err := s.CheckMessage(&stored); err != nil {
			return fmt.Errorf("sqltx: outbox: %w", err)
		}
	}
	id := props[message.PropertyUniqueKey]
	if _, err := tx.ExecContext(ctx, o.d.stmt.insertOutbox, word(id), m.Topic, m.Flag, props.Append(nil), m.Body); err != nil {
		return fmt.Errorf("sqltx: outbox: message %s: %w", id, err)
	}
	return nil
}

// Wake has a Run of this process look at once, not at its next time. Call it after
// the commit.
func (o *Outbox) Wake() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// Pending is how many messages wait.
func (o *Outbox) Pending(ctx context.Context) (n int64, err error) {
	err = o.d.db.QueryRowContext(ctx, o.d.stmt.countOutbox).Scan(&n)
	return n, err
}

// The pauses after a failure double from one to the other.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 10 * time.Second
)

// Run sends what transactions have added, one after the other, until ctx ends, and
// then returns nil. Any number of processes may run it: one of them sends, the
// others wait in case it goes away.
//
// What can't be sent is tried again, and holds up what is behind it; the log says
// so. After a crash, messages that were sent and not yet deleted are sent again,
// with the same unique key: consume with Once. A message counts as sent whatever
// the broker's SendStatus.
func (o *Outbox) Run(ctx context.Context) error {
	switch {
	case o.d == nil || o.s == nil:
		return errors.New("sqltx: an outbox without a database or a sender")
	case o.cfg.batch < 1 || o.cfg.poll <= 0 || o.cfg.lease <= 0:
		return fmt.Errorf("sqltx: outbox: batch %d, poll %v and lease %v have to be above 0", o.cfg.batch, o.cfg.poll, o.cfg.lease)
	}
	l := &lease{d: o.d, span: o.cfg.lease, now: o.now, holder: rand.Text()}
	defer func() {
		after, cancel := context.WithTimeout(context.WithoutCancel(ctx), o.d.cfg.lockWait+checkSlack)
		defer cancel()
		l.release(after)
	}()
	pause := firstPause
	for ctx.Err() == nil {
		sent, err := o.forward(ctx, l)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			o.d.log.Warn("sqltx: the outbox is held up", "pause", pause, "err", err)
			l.release(ctx) // another process may fare better
			o.wait(ctx, pause, nil)
			pause = min(2*pause, lastPause)
		case sent < o.cfg.batch:
			o.wait(ctx, o.cfg.poll, o.wake)
			pause = firstPause
		default:
			pause = firstPause
		}
	}
	return nil
}

func (o *Outbox) wait(ctx context.Context, d time.Duration, wake <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-wake:
	case <-timer.C:
	}
}

// parcel is a message in the outbox.
type parcel struct {
	seq int64
	id  string // as it stands in the column
	m   *message.Message
}

// forward sends and deletes a batch, if this process may, and tells how many
// messages that were.
func (o *Outbox) forward(ctx context.Context, l *lease) (sent int, err error) {
	if ok, err := l.hold(ctx); !ok {
		return 0, err
	}
	batch, err := o.first(ctx)
	if err != nil {
		return 0, fmt.Errorf("reading it: %w", err)
	}
	for _, p := range batch {
		var ok bool
		if ok, err = l.hold(ctx); !ok {
			break
		}
		one, cancel := context.WithDeadline(ctx, l.until())
		err = o.send(one, p.m)
		cancel()
		if err != nil {
			err = fmt.Errorf("message %s, number %d: %w", p.m.UniqueKey(), p.seq, err)
			break
		}
		sent++
	}
	if sent == 0 {
		return 0, err
	}
	// Also when ctx has ended: what is deleted now is not sent twice.
	after, cancel := context.WithTimeout(context.WithoutCancel(ctx), o.d.cfg.lockWait+checkSlack)
	defer cancel()
	deleteErr := o.d.shortly(after, func(q querier) error {
		for _, p := range batch[:sent] {
			if _, err := q.ExecContext(after, o.d.stmt.deleteOutbox, p.seq, p.id); err != nil {
				return err
			}
		}
		return nil
	})
	if deleteErr != nil {
		deleteErr = fmt.Errorf("deleting what is sent: %w", deleteErr)
	}
	return sent, errors.Join(err, deleteErr)
}

func (o *Outbox) send(ctx context.Context, m *message.Message) error {
	send := o.s.Send
	if s, ok := o.s.(orderedSender); ok && m.ShardingKey() != "" {
		send = func(ctx context.Context, m *message.Message) (*client.SendResult, error) {
			return s.SendOrdered(ctx, m.ShardingKey(), m)
		}
	}
	res, err := send(ctx, m)
	if err == nil && res.Status != client.Stored {
		o.d.log.Warn("sqltx: a message of the outbox is stored less safely than it should be", "id", m.UniqueKey(), "status", res.Status)
	}
	return err
}

// first reads the messages that are next.
func (o *Outbox) first(ctx context.Context) ([]parcel, error) {
	rows, err := o.d.db.QueryContext(ctx, o.d.stmt.firstOutbox, o.cfg.batch)
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // Err tells
	var all []parcel
	for rows.Next() {
		p := parcel{m: &message.Message{}}
		var props []byte
		if err := rows.Scan(&p.seq, &p.id, &p.m.Topic, &p.m.Flag, &props, &p.m.Body); err != nil {
			return nil, err
		}
		p.m.Properties = message.ParseProperties(props)
		all = append(all, p)
	}
	return all, rows.Err()
}

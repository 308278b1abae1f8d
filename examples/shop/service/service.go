// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/twostage/twostage/client"
	"github.com/twostage/twostage/message"
	"github.com/twostage/twostage/sqltx"
)

// Config is what the process of a service is told.
type Config struct {
	Name       string   // of the service
	Replica    int      // which instance of it, from 1; all have one database
	NameServer string   // host:port
	Database   Database // of this service alone
	Listen     string   // host:port for HTTP
	Faults     Faults
	Log        *slog.Logger
}

// instance tells this process from others to the broker. It stays the same when
// the process is started again, which so gets back at once the queues that it had
// locked when it was killed.
func (c *Config) instance() string { return c.Name + "-" + strconv.Itoa(c.Replica) }

// group is that of all instances, as producers and as consumers.
func (c *Config) group() string { return "shop-" + c.Name }

// Service is one instance of a service.
type Service struct {
	Config

	db       *sql.DB
	dialect  sqltx.Dialect
	tx       *sqltx.DB
	producer *client.TransactionProducer
	outbox   *sqltx.Outbox
	mux      *http.ServeMux

	shared    subscriptions // one instance gets each message
	ordered   subscriptions // as well, one after the other
	broadcast subscriptions // each instance gets each message
}

// Open connects a service, and makes its tables and first rows where they are not
// there. schema is run as a whole, once.
func Open(ctx context.Context, c Config, schema []string) (*Service, error) {
	s := &Service{Config: c, mux: http.NewServeMux(), shared: subscriptions{}, ordered: subscriptions{}, broadcast: subscriptions{}}
	var err error
	if s.db, s.dialect, err = c.Database.Open(); err != nil {
		return nil, err
	}
	s.db.SetMaxOpenConns(8)
	s.db.SetMaxIdleConns(8)
	if err = s.begin(ctx, schema); err != nil {
		s.close()
		return nil, fmt.Errorf("%s: %w", c.Name, err)
	}
	return s, nil
}

func (s *Service) begin(ctx context.Context, schema []string) (err error) {
	for _, statement := range schema {
		if _, err := s.db.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	if s.tx, err = sqltx.Open(ctx, s.db, s.dialect, sqltx.WithLogger(s.Log), sqltx.WithLockWait(lockWait), sqltx.WithConsumer(s.group())); err != nil {
		return err
	}
	s.producer, err = client.NewTransactionProducer(s.group(), s.Faults.checker(s.tx.Check), s.options()...)
	if err != nil {
		return err
	}
	s.outbox = sqltx.NewOutbox(s.tx, s.producer, sqltx.WithLease(outboxLease))
	return nil
}

const (
	// lockWait bounds how long a check-back waits for a transaction that is still
	// running.
	lockWait = time.Second
	// outboxLease is how long the messages of an instance that was killed wait for
	// the next one.
	outboxLease = 2 * time.Second
)

func (s *Service) options() []client.Option {
	return []client.Option{
		client.WithNameServers(s.NameServer), client.WithInstance(s.instance()), client.WithLogger(s.Log),
	}
}

// Transact sends an event together with what fn changes in the database: both
// happen, or neither. What fn returns as an error rolls back both. The time that
// it may take is that of ctx; only after it may the broker's question be answered
// with "rolled back".
func (s *Service) Transact(ctx context.Context, topic, tag, key string, event any, fn func(ctx context.Context, tx Tx) error) error {
	m, err := encode(topic, tag, key, event)
	if err != nil {
		return err
	}
	if s.Faults.Break == BreakTransaction {
		return s.sendFirst(ctx, m, fn)
	}
	_, err = sqltx.Run(ctx, s.tx, s.producer, m, func(ctx context.Context, tx *sql.Tx) error {
		if err := fn(ctx, Tx{tx, s.dialect}); err != nil {
			return err
		}
		return s.Faults.local()
	})
	s.outbox.Wake()
	return err
}

// Send tells the others something as part of a transaction: it goes out when tx is
// committed, in the order of a service's Sends.
func (s *Service) Send(ctx context.Context, tx Tx, topic, tag, key string, event any) error {
	return s.SendAt(ctx, tx, time.Time{}, topic, tag, key, event)
}

// SendAt is Send of what is to be delivered at a time. Messages of one key are
// delivered in order to those who consume in order.
func (s *Service) SendAt(ctx context.Context, tx Tx, at time.Time, topic, tag, key string, event any) error {
	m, err := encode(topic, tag, key, event)
	if err != nil {
		return err
	}
	m.SetShardingKey(key)
	m.SetDeliverTime(at)
	return s.outbox.Add(ctx, tx.Tx, m)
}

func encode(topic, tag, key string, event any) (*message.Message, error) {
	body, err := json.Marshal(event)
	if err != nil {
		return nil, err
	}
	m := message.New(topic, body)
	m.SetTags(tag)
	m.SetKeys(key)
	return m, nil
}

// Locally changes the database alone.
func (s *Service) Locally(ctx context.Context, fn func(ctx context.Context, tx Tx) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit there is nothing to roll back
	if err := fn(ctx, Tx{tx, s.dialect}); err != nil {
		return err
	}
	return tx.Commit()
}

// Read runs a query for one row, outside of any transaction.
func (s *Service) Read(ctx context.Context, query string, args ...any) *sql.Row {
	return s.db.QueryRowContext(ctx, Rebind(s.dialect, query), args...)
}

// clean deletes every hour what sqltx need not remember any more.
func (s *Service) clean(ctx context.Context) error {
	tick := time.NewTicker(time.Hour)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if n, err := s.tx.Clean(ctx); err != nil {
			s.Log.Warn("markers and records are not cleaned up; again in an hour", "deleted", n, "err", err)
		}
	}
}

// close ends what Open began.
func (s *Service) close() {
	if s.producer != nil {
		if err := s.producer.Close(); err != nil {
			s.Log.Warn("closing the producer", "err", err)
		}
	}
	if err := s.db.Close(); err != nil {
		s.Log.Warn("closing the database", "err", err)
	}
}

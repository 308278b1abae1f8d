// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package sqltx

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/twostage/twostage/client"
	"github.com/twostage/twostage/message"
)

// verdict is what a marker says.
type verdict int

const (
	absent    verdict = iota
	committed         // by the transaction that it stands for
	refused           // by a check-back: that transaction can't commit any more
)

// checkSlack is how much longer than the wait for a lock a check may take.
const checkSlack = 5 * time.Second

// Check tells a broker what became of the transaction of a Run, in this process
// or another: it is the client.Checker for client.NewTransactionProducer.
//
// It answers Commit or Rollback by the marker in the database. Where there is
// none, it writes a refusal in its place, and only when that is committed answers
// Rollback. It answers Unknown, and refuses nothing, while the function runs in
// this process, before the time limit of the Run is over, when another transaction
// holds the marker for longer than WithLockWait, when the database fails, when the
// message is older than what the database remembers, for messages of another
// database of the same producer group, and for those that are not Run's.
func (d *DB) Check(ctx context.Context, m *message.Received) client.Outcome {
	id := m.UniqueKey()
	log := d.log.With("transaction", id, "topic", m.Topic)
	began, immunity, err := stampOf(m)
	if err != nil {
		log.Warn("sqltx: asked for a transaction that is not Run's", "err", err)
		return client.Unknown
	}
	if other := m.Property(PropertyDatabase); other != d.identity {
		log.Debug("sqltx: asked for a transaction of another database", "identity", other)
		return client.Unknown
	}
	if d.runsHere(id) {
		return client.Unknown
	}
	ctx, cancel := context.WithTimeout(ctx, d.cfg.lockWait+checkSlack)
	defer cancel()
	v, err := d.find(ctx, id, began)
	if err == nil && v == absent {
		now := d.now()
		switch since := now.Sub(time.UnixMilli(began)); {
		case since < immunity:
			return client.Unknown
		case since > d.cfg.retention:
			log.Warn("sqltx: asked for a transaction that is older than the retention", "age", since)
			return client.Unknown
		}
		v, err = d.refuse(ctx, id, began)
	}
	if err != nil {
		log.Warn("sqltx: a check has no answer yet", "err", err)
	}
	switch v {
	case committed:
		return client.Commit
	case refused:
		return client.Rollback
	}
	return client.Unknown
}

// stampOf reads what Run wrote into a message.
func stampOf(m *message.Received) (began int64, immunity time.Duration, err error) {
	if m.UniqueKey() == "" {
		return 0, 0, errors.New("it has no unique key")
	}
	if began, err = strconv.ParseInt(m.Property(PropertyBegan), 10, 64); err != nil {
		return 0, 0, fmt.Errorf("property %s: %w", PropertyBegan, err)
	}
	seconds, err := strconv.ParseInt(m.Property(message.PropertyCheckImmunityInSeconds), 10, 32)
	if err != nil {
		return 0, 0, fmt.Errorf("property %s: %w", message.PropertyCheckImmunityInSeconds, err)
	}
	return began, time.Duration(seconds) * time.Second, nil
}

// find reads the marker of a transaction, as it is committed. An error comes with
// absent, and says nothing.
func (d *DB) find(ctx context.Context, id string, began int64) (verdict, error) {
	var v int
	var at int64
	err := d.db.QueryRowContext(ctx, d.stmt.findMarker, word(id)).Scan(&v, &at)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return absent, nil
	case err != nil:
		return absent, fmt.Errorf("sqltx: the marker of %s: %w", id, err)
	case at != began:
		return absent, fmt.Errorf("sqltx: the marker of %s is that of another transaction, which began at %d and not %d", id, at, began)
	case v == int(committed), v == int(refused):
		return verdict(v), nil
	}
	return absent, fmt.Errorf("sqltx: the marker of %s says %d", id, v)
}

// refuse writes a refusal where the marker would stand. It returns refused only
// when that is committed; absent with an error when it can't be told.
func (d *DB) refuse(ctx context.Context, id string, began int64) (verdict, error) {
	err := d.shortly(ctx, func(q querier) error { return d.mark(ctx, q, id, began, refused) })
	if err == nil {
		d.log.Info("sqltx: a transaction without a marker is refused", "transaction", id)
		return refused, nil
	}
	if errors.Is(err, ErrForgotten) {
		return absent, err
	}
	v, findErr := d.find(ctx, id, began) // somebody may have been faster
	if v != absent {
		return v, nil
	}
	return absent, errors.Join(err, findErr)
}

// shortly runs f in a short transaction of its own; see grammar.short.
func (d *DB) shortly(ctx context.Context, f func(q querier) error) error {
	conn, err := d.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // it goes back into the pool, or is discarded
	return d.g.short(ctx, conn, d.cfg.lockWait, f)
}

// word is an id as it stands in a column: at most maxWord printable ASCII
// characters without a blank, which every database compares byte by byte.
func word(id string) string {
	ok := len(id) <= maxConsumer && len(id) > 0
	for i := 0; ok && i < len(id); i++ {
		ok = id[i] > ' ' && id[i] < 0x7f
	}
	if ok {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	return "sha256:" + hex.EncodeToString(sum[:])
}

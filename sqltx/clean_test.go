// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package sqltx

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/twostage/twostage/client"
)

func (w *world) clean(p *process, want int64) {
	w.t.Helper()
	if n, err := p.Clean(w.t.Context()); err != nil || n != want {
		w.t.Errorf("%d rows cleaned, %v; want %d", n, err, want)
	}
}

func TestCleanByAge(t *testing.T) {
	w := newWorld(t)
	p := w.process()
	for i := range cleanBatch + 1 { // more than it takes at a time
		if _, err := p.db.Exec("INSERT INTO sqltx_marker VALUES (?, 1, ?)", fmt.Sprint(i), time.Now().Add(-300*time.Hour).UnixMilli()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.run(t.Context(), writes("a")); err != nil {
		t.Fatal(err)
	}
	if err := Once(t.Context(), p.DB, received("K", 0), writes("b")); err != nil {
		t.Fatal(err)
	}
	w.clean(p, cleanBatch+1)
	wantCheck(t, p, w.Half(), client.Commit)
	p.clock = 239 * time.Hour
	w.clean(p, 0)
	p.clock = 241 * time.Hour
	w.clean(p, 2)
	if n := w.rows(p, "sqltx_marker") + w.rows(p, "sqltx_consumed"); n != 0 {
		t.Errorf("%d rows left", n)
	}
}

// Below the horizon an absent marker means nothing, whatever clocks say.
func TestHorizon(t *testing.T) {
	w := newWorld(t)
	p, other := w.process(), w.process()
	if _, err := p.run(t.Context(), writes("a")); err != nil {
		t.Fatal(err)
	}
	other.clock = 241 * time.Hour
	w.clean(other, 1)
	for _, clock := range []time.Duration{0, 2 * time.Minute, 100 * time.Hour, 300 * time.Hour} {
		p.clock = clock
		wantCheck(t, p, w.Half(), client.Unknown)
	}
	if n := w.rows(p, "sqltx_marker"); n != 0 {
		t.Errorf("%d refusals", n)
	}
}

// A message that is older than the retention is not refused, though nobody cleans.
func TestRetentionWithoutCleaning(t *testing.T) {
	w := newWorld(t)
	p := w.process()
	if _, err := p.run(t.Context(), func(context.Context, *sql.Tx) error { return errWork }); !errors.Is(err, errWork) {
		t.Fatal(err)
	}
	p.clock = 241 * time.Hour
	wantCheck(t, p, w.Half(), client.Unknown)
	p.clock = 239 * time.Hour
	wantCheck(t, p, w.Half(), client.Rollback)
}

// A process stands still until its refusal is cleaned away: it must not commit.
func TestRunBelowTheHorizon(t *testing.T) {
	w := newWorld(t)
	p, other := w.process(), w.process()
	res, err := p.run(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		other.clock = 2 * time.Minute
		wantCheck(t, other, w.Half(), client.Rollback)
		other.clock = 241 * time.Hour
		w.clean(other, 1)
		return writes("a")(ctx, tx)
	})
	if !errors.Is(err, ErrForgotten) || res.Outcome != client.Rollback || w.work(p) != 0 {
		t.Errorf("%+v, %v, %d rows", res, err, w.work(p))
	}
}

func TestOnceBelowTheHorizon(t *testing.T) {
	w := newWorld(t)
	p, other := w.process(), w.process()
	done := received("K", time.Hour)
	if err := Once(t.Context(), p.DB, done, writes("a")); err != nil {
		t.Fatal(err)
	}
	other.clock = 241 * time.Hour
	w.clean(other, 1)
	if err := Once(t.Context(), p.DB, done, writes("a")); !errors.Is(err, ErrForgotten) || w.work(p) != 1 {
		t.Errorf("%v, %d rows", err, w.work(p))
	}
	ahead := received("ahead", -3*time.Hour) // its producer's clock
	if err := Once(t.Context(), p.DB, ahead, writes("b")); err != nil {
		t.Fatal(err)
	}
	other.clock = 242 * time.Hour
	w.clean(other, 0)
}

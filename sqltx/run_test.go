// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package sqltx

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twostage/twostage/client"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/message"
)

var errWork = errors.New("the work fails")

func TestRunCommitsBoth(t *testing.T) {
	w := newWorld(t)
	p := w.process()
	m := message.New("T", []byte("order"))
	res, err := Run(t.Context(), p.DB, p.p, m, writes("a"))
	if err != nil || res.Outcome != client.Commit || res.EndError != nil {
		t.Fatalf("%+v, %v", res, err)
	}
	if w.work(p) != 1 || !slices.Equal(w.Told(), []string{"commit"}) {
		t.Errorf("%d rows, the broker was told %q", w.work(p), w.Told())
	}
	if len(m.Properties) != 0 {
		t.Errorf("the message was changed: %v", m.Properties)
	}
	if got := p.Check(t.Context(), w.Half()); got != client.Commit {
		t.Errorf("a check says %v", got)
	}
}

// The time limit is the ctx's, or the option's; no check may refuse before.
func TestRunTellsItsTimeLimit(t *testing.T) {
	w := newWorld(t)
	p := w.process(WithLimit(1500 * time.Millisecond))
	var left time.Duration
	fn := func(ctx context.Context, _ *sql.Tx) error {
		deadline, _ := ctx.Deadline()
		left = time.Until(deadline)
		return nil
	}
	limited, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	defer cancel()
	for _, c := range []struct {
		ctx      context.Context
		immunity string
		at       time.Duration
	}{{t.Context(), "2", 1500 * time.Millisecond}, {limited, "40", 40 * time.Second}} {
		if _, err := p.run(c.ctx, fn); err != nil {
			t.Fatal(err)
		}
		if got := w.Half().Property(message.PropertyCheckImmunityInSeconds); got != c.immunity || left <= 0 || left > c.at {
			t.Errorf("immunity %q s, %v left; want %q and below %v", got, left, c.immunity, c.at)
		}
	}
}

// A limit that a broker may not wait for is logged, once.
func TestRunTellsThatItsTimeLimitIsLong(t *testing.T) {
	w := newWorld(t)
	for limit, want := range map[time.Duration]int{longLimit: 0, longLimit + time.Second: 1} {
		var log bytes.Buffer
		p := w.process(WithLimit(limit), WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		for range 2 {
			if _, err := p.run(t.Context(), writes("a")); err != nil {
				t.Fatal(err)
			}
		}
		if got := strings.Count(log.String(), "a time limit so long"); got != want {
			t.Errorf("%v: logged %d times: %s", limit, got, log.String())
		}
	}
}

// What goes wrong in the function rolls back both.
func TestRunRollsBackBoth(t *testing.T) {
	ended, cancel := context.WithCancel(context.Background())
	for name, c := range map[string]struct {
		ctx  context.Context
		fn   func(ctx context.Context, tx *sql.Tx) error
		want error
	}{
		"an error": {t.Context(), func(context.Context, *sql.Tx) error { return errWork }, errWork},
		"cancellation that it ignores": {ended, func(context.Context, *sql.Tx) error {
			cancel()
			return nil
		}, context.Canceled},
		"a commit of its own": {t.Context(), func(_ context.Context, tx *sql.Tx) error { return tx.Rollback() }, sql.ErrTxDone},
		"a failure that it ignores, after which SQLite is out of the transaction": {t.Context(), func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, "ROLLBACK")
			return err
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			p := w.process()
			res, err := p.run(c.ctx, func(ctx context.Context, tx *sql.Tx) error {
				if err := writes("a")(ctx, tx); err != nil {
					t.Error(err)
				}
				return c.fn(ctx, tx)
			})
			if err == nil || c.want != nil && !errors.Is(err, c.want) || res.Outcome != client.Rollback {
				t.Fatalf("%+v, %v; want %v", res, err, c.want)
			}
			if w.work(p) != 0 || w.rows(p, "sqltx_marker") != 0 || !slices.Equal(w.Told(), []string{"rollback"}) {
				t.Errorf("%d rows, %d markers, the broker was told %q", w.work(p), w.rows(p, "sqltx_marker"), w.Told())
			}
		})
	}
}

func TestRunGoesOnWithAPanicAfterTheRollback(t *testing.T) {
	w := newWorld(t)
	p := w.process()
	func() {
		defer func() {
			if v := recover(); v != errWork {
				t.Errorf("the panic was %v", v)
			}
		}()
		_, _ = p.run(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
			if err := writes("a")(ctx, tx); err != nil {
				t.Error(err)
			}
			panic(errWork)
		})
	}()
	if w.work(p) != 0 || !slices.Equal(w.Told(), []string{"rollback"}) {
		t.Errorf("%d rows, the broker was told %q", w.work(p), w.Told())
	}
	if _, err := p.run(t.Context(), writes("b")); err != nil { // connections and locks are free
		t.Error(err)
	}
}

// A half message whose answer is lost, or that is not safe, runs nothing.
func TestRunWithoutAHalfMessage(t *testing.T) {
	t.Run("no answer", func(t *testing.T) {
		w := newWorld(t)
		p := w.process()
		w.AnswerHalves(wire.SystemError)
		if res, err := p.run(t.Context(), writes("a")); err == nil || res != nil || w.work(p) != 0 {
			t.Errorf("%+v, %v, %d rows", res, err, w.work(p))
		}
	})
	t.Run("not on disk", func(t *testing.T) {
		w := newWorld(t)
		p := w.process()
		w.AnswerHalves(wire.FlushDiskTimeout)
		res, err := p.run(t.Context(), writes("a"))
		if err == nil || res.Outcome != client.Rollback || w.work(p) != 0 || !slices.Equal(w.Told(), []string{"rollback"}) {
			t.Errorf("%+v, %v, %d rows, told %q", res, err, w.work(p), w.Told())
		}
	})
}

func TestRunRefusesBadInput(t *testing.T) {
	w := newWorld(t)
	p := w.process(WithRetention(time.Hour))
	m := message.New("T", []byte("order"))
	keyed := message.New("T", []byte("order"))
	keyed.SetUniqueKey("K")
	long, cancel := context.WithTimeout(t.Context(), 2*time.Hour)
	defer cancel()
	for want, run := range map[string]func() error{
		"without a database": func() error { _, err := Run(t.Context(), nil, p.p, m, writes("a")); return err },
		"without a producer": func() error { _, err := Run(t.Context(), p.DB, nil, m, writes("a")); return err },
		"without a message":  func() error { _, err := Run(t.Context(), p.DB, p.p, nil, writes("a")); return err },
		"without a function": func() error { _, err := Run(t.Context(), p.DB, p.p, m, nil); return err },
		"unique key":         func() error { _, err := Run(t.Context(), p.DB, p.p, keyed, writes("a")); return err },
		"retention":          func() error { _, err := Run(long, p.DB, p.p, m, writes("a")); return err },
	} {
		wantError(t, run(), want)
	}
	if w.Halves() != 0 {
		t.Error("a half message was sent")
	}
}

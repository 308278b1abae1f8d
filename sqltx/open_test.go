// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package sqltx

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twostage/twostage/message"
)

func TestOpenRefusesBadOptions(t *testing.T) {
	w := newWorld(t)
	db := w.open("")
	for want, open := range map[string]func() (*DB, error){
		"no database":         func() (*DB, error) { return Open(t.Context(), nil, SQLite) },
		"dialect 9":           func() (*DB, error) { return Open(t.Context(), db, 9) },
		`tables "a; DROP"`:    func() (*DB, error) { return Open(t.Context(), db, SQLite, WithTables("a; DROP")) },
		"limit 0s":            func() (*DB, error) { return Open(t.Context(), db, SQLite, WithLimit(0)) },
		"lock wait -1s":       func() (*DB, error) { return Open(t.Context(), db, SQLite, WithLockWait(-time.Second)) },
		"commit wait 0s":      func() (*DB, error) { return Open(t.Context(), db, SQLite, WithCommitWait(0)) },
		"retention 0s":        func() (*DB, error) { return Open(t.Context(), db, SQLite, WithRetention(0)) },
		"name has 200":        func() (*DB, error) { return Open(t.Context(), db, SQLite, WithConsumer(strings.Repeat("x", 200))) },
		"Read Uncommitted":    func() (*DB, error) { return Open(t.Context(), db, SQLite, WithIsolation(sql.LevelReadUncommitted)) },
		"only [Serializable]": func() (*DB, error) { return Open(t.Context(), db, SQLite, WithIsolation(sql.LevelReadCommitted)) },
	} {
		_, err := open()
		wantError(t, err, want)
	}
	if _, err := Open(t.Context(), db, SQLite, nil, WithLogger(nil), WithIsolation(sql.LevelSerializable), WithTables("main.shop_")); err != nil {
		t.Error(err)
	}
}

func TestOpenRefusesJournalsThatKeepNothing(t *testing.T) {
	for _, journal := range []string{"off", "memory"} {
		db, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "db")+"?_pragma=journal_mode("+journal+")")
		if err != nil {
			t.Fatal(err)
		}
		_, err = Open(t.Context(), db, SQLite)
		wantError(t, err, "journal_mode is "+journal)
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestOpenTellsWhatTheDatabaseMayForget(t *testing.T) {
	w := newWorld(t)
	for pragma, want := range map[string]bool{"&_pragma=synchronous(1)": true, "&_pragma=synchronous(2)": false} {
		var log bytes.Buffer
		if _, err := Open(t.Context(), w.open(pragma), SQLite, WithLogger(slog.New(slog.NewTextHandler(&log, nil)))); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(log.String(), "PRAGMA synchronous is 1"); got != want {
			t.Errorf("%s: %s", pragma, log.String())
		}
	}
}

// With a binary log, what is not there is rolled back after a crash.
func TestWhatMySQLMayForget(t *testing.T) {
	for _, c := range []struct {
		flush  int64
		binlog bool
		sync   int64
		want   string
	}{
		{1, false, 0, ""}, {1, true, 1, ""},
		{1, true, 0, "sync_binlog is 0, not 1"}, {1, true, 100, "sync_binlog is 100, not 1"},
		{2, true, 1, "innodb_flush_log_at_trx_commit is 2, not 1"}, {0, false, 0, "innodb_flush_log_at_trx_commit is 0, not 1"},
	} {
		if got := unsynced(c.flush, c.binlog, c.sync); got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
}

// Who may not make tables works with those that somebody has made.
func TestOpenWithTablesThatAreThere(t *testing.T) {
	w := newWorld(t)
	db := w.open("")
	for _, statement := range SQLite.Schema("sqltx_") {
		if _, err := db.Exec(statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	if _, err := Open(t.Context(), w.open("&_pragma=query_only(1)"), SQLite); err != nil {
		t.Error(err)
	}
	if _, err := Open(t.Context(), w.open("&_pragma=query_only(1)"), SQLite, WithTables("others_")); err == nil {
		t.Error("tables were made")
	}
}

// Each prefix has tables of its own.
func TestTablesByName(t *testing.T) {
	w := newWorld(t)
	a, b := w.process(WithTables("a_")), w.process(WithTables("b_"))
	for _, p := range []*process{a, b} {
		if err := Once(t.Context(), p.DB, received("K", 0), writes("x")); err != nil {
			t.Error(err)
		}
	}
	if n := w.work(a); n != 2 {
		t.Errorf("%d rows", n)
	}
	if _, err := a.run(t.Context(), writes("y")); err != nil || w.rows(a, "a_marker") != 1 || w.rows(a, "b_marker") != 0 {
		t.Error(err)
	}
}

// A connection that other goroutines hold delays a check, but not for good.
func TestCheckWithoutAConnection(t *testing.T) {
	w := newWorld(t)
	p := w.process()
	if _, err := p.run(t.Context(), func(context.Context, *sql.Tx) error { return errWork }); !errors.Is(err, errWork) {
		t.Fatal(err)
	}
	p.db.SetMaxOpenConns(1)
	conn, err := p.db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // the pool's
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if got := p.Check(ctx, w.Half()); got.String() != "unknown" {
		t.Errorf("a check says %v", got)
	}
}

func TestWord(t *testing.T) {
	for id, same := range map[string]bool{
		"7F000001A3F118B4AAC2104C6A0D0000": true, strings.Repeat("x", 128): true,
		strings.Repeat("x", 129): false, "": false, "a b": false, "é": false, "a\x7f": false,
	} {
		got := word(id)
		if (got == id) != same || len(got) > maxWord || len(got) == 0 {
			t.Errorf("word(%q) = %q", id, got)
		}
	}
	if word("a b") == word("a  b") {
		t.Error("two ids, one word")
	}
}

// Topics stand in a column of words.
func TestTopicsAreWords(t *testing.T) {
	if err := message.CheckTopic(strings.Repeat("t", 127)); err != nil {
		t.Error(err)
	}
	if err := message.CheckTopic(strings.Repeat("t", maxWord+1)); err == nil {
		t.Error("a topic may be longer than its column")
	}
}

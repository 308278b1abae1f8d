// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package dbtest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
)

// Database is one of a server's, empty when it is given.
type Database struct {
	Driver string // its name in database/sql
	DSN    string // for that driver
	URL    string // the same as postgres://… or mysql://…
}

// Open opens the database. It is closed when the test ends.
func (d *Database) Open(t testing.TB) *sql.DB {
	t.Helper()
	db, err := sql.Open(d.Driver, d.DSN)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// PostgreSQL gives a new database of a PostgreSQL server, at the level READ
// COMMITTED. ok is false where PostgreSQL is not installed: the test is to
// return.
func PostgreSQL(t testing.TB) (d *Database, ok bool) {
	t.Helper()
	return postgres.database(t)
}

// MariaDB gives a new database of a MariaDB server, at the level REPEATABLE
// READ, in utf8mb4. ok is false where MariaDB is not installed: the test is to
// return.
func MariaDB(t testing.TB) (d *Database, ok bool) {
	t.Helper()
	return mariadb.database(t)
}

// The servers of this process.
var (
	postgres = newServer(postgresKind)
	mariadb  = newServer(mariadbKind)
)

// kind is what there is to know of a database system.
type kind struct {
	name    string
	pkg     string // Debian's
	program string // the server
	where   string // a pattern for directories that have it, beside PATH
	driver  string

	// commands are what makes the directory ready, if anything does, and the
	// server.
	commands func(program, dir string, port int) (prepare, serve []string)
	signal   string // that stops it at once
	dsn, url func(port int, name string) string
	admin    string // the name of a database that is there from the start
	create   string // a statement, with %s for the name
}

// errMissing says that a server is not installed.
var errMissing = errors.New("not installed")

// find gives the path of the server's program, of the newest version.
func (k *kind) find() (string, error) {
	if path, err := exec.LookPath(k.program); err == nil {
		return path, nil
	}
	found, err := filepath.Glob(filepath.Join(k.where, k.program))
	if err != nil {
		return "", err
	}
	if len(found) == 0 {
		return "", fmt.Errorf("%s is %w: make deps, or install Debian's package %s", k.name, errMissing, k.pkg)
	}
	slices.SortFunc(found, func(a, b string) int { // …/9 < …/15
		if len(a) != len(b) {
			return len(a) - len(b)
		}
		if a < b {
			return -1
		}
		return 1
	})
	return found[len(found)-1], nil
}

// server is started once.
type server struct {
	kind
	start     func() (*running, error)
	databases atomic.Int64
}

func newServer(k kind) *server {
	s := &server{kind: k}
	s.start = sync.OnceValues(func() (*running, error) {
		program, err := k.find()
		if err != nil {
			return nil, err
		}
		return k.run(program)
	})
	return s
}

func (s *server) database(t testing.TB) (*Database, bool) {
	t.Helper()
	r, err := s.start()
	switch {
	case errors.Is(err, errMissing) && os.Getenv("CI") == "":
		t.Logf("DID NOT RUN: %v", err)
		return nil, false
	case err != nil:
		t.Fatal(err)
	}
	name := fmt.Sprintf("test%d", s.databases.Add(1))
	if _, err := r.admin.ExecContext(context.Background(), fmt.Sprintf(s.create, name)); err != nil {
		t.Fatalf("%s: creating a database: %v", s.name, err)
	}
	return &Database{Driver: s.driver, DSN: s.dsn(r.port, name), URL: s.url(r.port, name)}, true
}

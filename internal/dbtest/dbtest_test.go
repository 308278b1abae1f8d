// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package dbtest

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/twostage/twostage/test/rig"
)

// childVariable makes this binary a process that starts the servers and waits to
// be killed.
const childVariable = "DBTEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) == "" {
		os.Exit(m.Run())
	}
	for _, s := range []*server{postgres, mariadb} {
		if r, err := s.start(); err == nil {
			fmt.Println(r.port, r.dir)
		}
	}
	fmt.Println("started")
	for {
		_ = unix.Pause() // a signal ends it
	}
}

// each runs a test on each server, side by side.
func each(t *testing.T, test func(t *testing.T, open func(testing.TB) (*Database, bool))) {
	for name, open := range map[string]func(testing.TB) (*Database, bool){"PostgreSQL": PostgreSQL, "MariaDB": MariaDB} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open)
		})
	}
}

func TestDatabasesAreApart(t *testing.T) {
	each(t, func(t *testing.T, open func(testing.TB) (*Database, bool)) {
		for i := range 2 {
			d, ok := open(t)
			if !ok {
				return
			}
			db := d.Open(t)
			if _, err := db.ExecContext(t.Context(), "CREATE TABLE t (id INTEGER PRIMARY KEY, word VARCHAR(20))"); err != nil {
				t.Fatalf("database %d: %v", i, err)
			}
			if _, err := db.ExecContext(t.Context(), "INSERT INTO t VALUES (1, 'größe ✓')"); err != nil {
				t.Fatal(err)
			}
			var word string
			if err := db.QueryRowContext(t.Context(), "SELECT word FROM t").Scan(&word); err != nil || word != "größe ✓" {
				t.Errorf("%q, %v", word, err)
			}
		}
	})
}

// No connection of the tests that run beside gets the port before the server does.
func TestPortsAreNoLocalEnds(t *testing.T) {
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		t.Fatal(err)
	}
	var low, high int
	if _, err := fmt.Sscan(string(text), &low, &high); err != nil {
		t.Fatal(err)
	}
	if low < 14000 {
		low = 32768 // hardly any are left below
	}
	each(t, func(t *testing.T, open func(testing.TB) (*Database, bool)) {
		d, ok := open(t)
		if !ok {
			return
		}
		u, err := url.Parse(d.URL)
		if err != nil {
			t.Fatal(err)
		}
		if port, err := strconv.Atoi(u.Port()); err != nil || port >= low {
			t.Errorf("%s: port %d, %v; local ends begin at %d", d.URL, port, err, low)
		}
	})
}

// Neither servers nor directories are left by a process that was killed.
func TestServersDieWithTheirProcess(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	var addrs, dirs []string
	for lines.Scan() && lines.Text() != "started" {
		port, dir, _ := strings.Cut(lines.Text(), " ")
		addrs, dirs = append(addrs, "127.0.0.1:"+port), append(dirs, dir)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	installed := 0
	for _, s := range []*server{postgres, mariadb} {
		if _, err := s.find(); err == nil {
			installed++
		}
	}
	if len(addrs) != installed {
		t.Errorf("%d servers started, %d are installed", len(addrs), installed)
	}
	_ = cmd.Wait() // it says that it was killed
	for i, addr := range addrs {
		rig.Poll(t, "the end of what a killed process started", func() error {
			if conn, err := net.Dial("tcp", addr); err == nil {
				return errors.Join(errors.New("somebody listens on "+addr), conn.Close())
			}
			if _, err := os.Stat(dirs[i]); !os.IsNotExist(err) {
				return fmt.Errorf("%s: %v", dirs[i], err)
			}
			return nil
		})
	}
}

func TestMissingAndFailingServers(t *testing.T) {
	k := mariadbKind
	k.program, k.where = "no-such-server", t.TempDir()
	if _, err := newServer(k).start(); !errors.Is(err, errMissing) || !strings.Contains(err.Error(), k.pkg) {
		t.Errorf("missing: %v", err)
	}
	k = mariadbKind
	k.commands = func(_, dir string, _ int) (prepare, serve []string) {
		return []string{"true"}, []string{"sh", "-c", "echo no room >&2; exit 1"}
	}
	if _, err := k.run("sh"); err == nil || !strings.Contains(err.Error(), "no room") {
		t.Errorf("failing: %v", err)
	}
	k.commands = func(_, dir string, _ int) (prepare, serve []string) {
		return []string{"ls", "/no such directory"}, []string{"sleep", "100"}
	}
	if _, err := k.run("sh"); err == nil || !strings.Contains(err.Error(), "/no such directory") {
		t.Errorf("not prepared: %v", err)
	}
}

// verdict is a test that notes how it ends.
type verdict struct {
	testing.TB
	log, fatal string
}

func (v *verdict) Helper()                         {}
func (v *verdict) Logf(format string, args ...any) { v.log = fmt.Sprintf(format, args...) }
func (v *verdict) Fatal(args ...any) {
	v.fatal = fmt.Sprint(args...)
	runtime.Goexit()
}

// Without a server its tests say so in one line and pass, but not in CI.
func TestWithoutAServer(t *testing.T) {
	k := postgresKind
	k.program, k.where = "no-such-server", t.TempDir()
	ask := func(ci string) (v *verdict, ok bool) {
		t.Setenv("CI", ci)
		v = &verdict{TB: t}
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, ok = newServer(k).database(v)
		}()
		<-done
		return v, ok
	}
	if v, ok := ask(""); ok || v.fatal != "" || !strings.HasPrefix(v.log, "DID NOT RUN: PostgreSQL is not installed") || strings.Contains(v.log, "\n") {
		t.Errorf("%v, %+v", ok, v)
	}
	if v, ok := ask("true"); ok || !strings.Contains(v.fatal, "make deps") {
		t.Errorf("in CI: %v, %+v", ok, v)
	}
}

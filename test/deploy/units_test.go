// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/proctest"
	"github.com/twostage/twostage/test/rig"
)

const installed = "/usr/local/bin/twostage"

// readUnit gives the settings of a unit as Section.Key, each once.
func readUnit(t *testing.T, path string) map[string]string {
	t.Helper()
	unit, section := map[string]string{}, ""
	for n, line := range strings.Split(text(t, path), "\n") {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '[' && strings.HasSuffix(line, "]"):
			section = line[1 : len(line)-1]
		default:
			key, value, ok := strings.Cut(line, "=")
			name := section + "." + key
			if _, twice := unit[name]; !ok || section == "" || twice || key != strings.TrimSpace(key) {
				t.Fatalf("%s:%d: %q", path, n+1, line)
			}
			unit[name] = value
		}
	}
	return unit
}

// The command line of each unit is one that the server takes, with the files that
// come with it.
func TestUnits(t *testing.T) {
	for name, grace := range map[string]time.Duration{"twostage.service": 2 * time.Minute, "twostage-namesrv.service": 30 * time.Second} {
		t.Run(name, func(t *testing.T) {
			unit := readUnit(t, "deploy/systemd/"+name)
			args := strings.Fields(unit["Service.ExecStart"])
			if args[0] != installed {
				t.Fatalf("ExecStart=%q", args)
			}
			state := "/var/lib/" + unit["Service.StateDirectory"]
			if i := slices.Index(args, "--data"); i < 0 || args[i+1] != state {
				t.Errorf("%q: systemd makes %s", args, state)
			}
			for i, a := range args {
				if file, ok := strings.CutPrefix(a, "/etc/twostage/"); ok {
					args[i] = filepath.Join(root, "deploy/systemd", file)
				}
			}
			acceptable(t, name, nil, args[1:])
			for key, want := range map[string]string{
				"Type": "notify", "KillSignal": "SIGTERM", "Restart": "on-failure", "NoNewPrivileges": "yes", "ProtectSystem": "strict", "CapabilityBoundingSet": "",
			} {
				if have, ok := unit["Service."+key]; !ok || have != want {
					t.Errorf("%s=%q, want %q", key, have, want)
				}
			}
			if have := unit["Service.TimeoutStopSec"]; have != fmt.Sprint(grace.Seconds()) {
				t.Errorf("TimeoutStopSec=%s", have)
			}
			user := unit["Service.User"]
			if !strings.Contains(text(t, "deploy/systemd/twostage.sysusers"), "\nu "+user+" ") {
				t.Errorf("twostage.sysusers makes no user %q", user)
			}
		})
	}
}

// What systemd itself says of the units.
func TestUnitsForSystemd(t *testing.T) {
	analyze, missing := didNotRun(t, "systemd-analyze")
	if missing {
		return
	}
	dir := t.TempDir()
	for _, name := range []string{"twostage.service", "twostage-namesrv.service"} {
		unit := strings.ReplaceAll(text(t, "deploy/systemd/"+name), installed, proctest.Binary(t))
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(unit), 0o600); err != nil {
			t.Fatal(err)
		}
		out, errs, code := runIn(t, nil, analyze, "verify", "--man=no", file)
		if said := out + errs; code != 0 || strings.Contains(said, name) {
			t.Errorf("%s: exit code %d\n%s", name, code, said)
		}
	}
}

// manager is the socket that a service manager listens at.
type manager struct{ conn *net.UnixConn }

func newManager(t *testing.T) (*manager, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &manager{conn}, path
}

// told waits for the next notice.
func (m *manager) told(t *testing.T) string {
	t.Helper()
	if err := m.conn.SetReadDeadline(time.Now().Add(rig.Patience)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 4096)
	n, err := m.conn.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

// The service manager hears that the server is ready when it is, and that it
// stops when it begins to; the messages are there after the next start.
func TestServiceManager(t *testing.T) {
	m, socket := newManager(t)
	t.Setenv("NOTIFY_SOCKET", socket)
	s := proctest.Start(t, all(t.TempDir())...)
	if told := m.told(t); !strings.HasPrefix(told, "READY=1\nSTATUS=ready ") || !strings.Contains(told, "broker="+s.Broker) {
		t.Errorf("told %q", told)
	}
	if status, page, err := rig.Get(s.HTTP, "/readyz"); status != 200 || err != nil {
		t.Errorf("/readyz after READY=1: %d %s %v", status, page, err)
	}
	must(t, "topic", "create", "orders", "--namesrv", s.Namesrv)
	must(t, "topic", "send", "orders", "before the stop", "--namesrv", s.Namesrv)
	held := make(chan error, 1) // a command that waits for messages does not keep the server from stopping
	ctx, cancel := context.WithCancel(t.Context())
	go func() { held <- follow(ctx, proctest.Binary(t), s.Namesrv) }()
	defer func() { cancel(); <-held }()
	if err := s.Stop(); err != nil { // SIGTERM, as systemd, Docker and Kubernetes send it
		t.Fatal(err)
	}
	if told := m.told(t); !strings.HasPrefix(told, "STOPPING=1\n") {
		t.Errorf("told %q", told)
	}
	if _, err := os.Stat(filepath.Join(s.Data, "store", "abort")); !os.IsNotExist(err) {
		t.Errorf("abort after SIGTERM: %v", err)
	}
	s.Restart(t)
	if told := m.told(t); !strings.HasPrefix(told, "READY=1\n") {
		t.Errorf("told %q", told)
	}
	if out := must(t, "topic", "tail", "orders", "--from-start", "--namesrv", s.Namesrv); !strings.HasSuffix(out, " before the stop\n") {
		t.Errorf("after the restart: %q", out)
	}
}

// A manager that is gone does not keep the server from serving.
func TestServiceManagerIsGone(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "nobody"))
	s := proctest.Start(t, all(t.TempDir())...)
	if status, _, err := rig.Get(s.HTTP, "/healthz"); status != 200 || err != nil {
		t.Errorf("/healthz: %d %v", status, err)
	}
	rig.Poll(t, "the log names NOTIFY_SOCKET", func() error {
		if !strings.Contains(s.Log(), "NOTIFY_SOCKET") {
			return errors.New("it does not")
		}
		return nil
	})
}

// What the health checks of containers run.
func TestHealthCommand(t *testing.T) {
	t.Parallel()
	s := proctest.Start(t, all(t.TempDir())...)
	if out := must(t, "health", s.HTTP); out != "ready\n" {
		t.Errorf("health: %q", out)
	}
	if out := must(t, "health", s.HTTP, "--live"); out != "ok\n" {
		t.Errorf("health --live: %q", out)
	}
	// A broker that no name server knows serves and is not ready.
	lonely := proctest.Start(t, broker(t.TempDir(), "lonely", fmt.Sprintf("127.0.0.1:%d", proctest.FreePort(t)))...)
	if _, errs, code := twostage(t, nil, "health", lonely.HTTP); code != 1 || !strings.Contains(errs, "not ready") {
		t.Errorf("health of a broker without a name server: %d %q", code, errs)
	}
	if _, _, code := twostage(t, nil, "health", lonely.HTTP, "--live"); code != 0 {
		t.Errorf("health --live of a broker without a name server: %d", code)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, errs, code := twostage(t, nil, "health", s.HTTP); code != 1 || errs == "" {
		t.Errorf("health of a server that is gone: %d %q", code, errs)
	}
	if _, errs, code := twostage(t, nil, "health", "%zz:1"); code != 2 || !strings.Contains(errs, "HOST:PORT") {
		t.Errorf("health of no address: %d %q", code, errs)
	}
}

// Where plaintext is not taken the health check of a container needs no flag, and
// nor does one of another machine's server with --tls.
func TestHealthOverTLS(t *testing.T) {
	t.Parallel()
	s := proctest.Start(t, all(t.TempDir(), "tls.server.mode=enforcing")...)
	if status, _, err := rig.Get(s.HTTP, "/readyz"); err == nil {
		t.Fatalf("plaintext is answered with %d", status)
	}
	if out := must(t, "health", s.HTTP); out != "ready\n" {
		t.Errorf("health: %q", out)
	}
	_, port, err := net.SplitHostPort(s.HTTP)
	if err != nil {
		t.Fatal(err)
	}
	if out := must(t, "health", "localhost:"+port, "--live"); out != "ok\n" {
		t.Errorf("health --live: %q", out)
	}
	if out := must(t, "health", s.HTTP, "--tls", "--tls-skip-verify"); out != "ready\n" {
		t.Errorf("health --tls --tls-skip-verify: %q", out)
	}
	if _, errs, code := twostage(t, nil, "health", s.HTTP, "--tls"); code != 1 || !strings.Contains(errs, "certificate") { // it made one for itself
		t.Errorf("health --tls: exit code %d\n%s", code, errs)
	}
	lonely := proctest.Start(t, broker(t.TempDir(), "broker-b", fmt.Sprintf("127.0.0.1:%d", proctest.FreePort(t)), "tls.server.mode=enforcing")...)
	if _, errs, code := twostage(t, nil, "health", lonely.HTTP); code != 1 || !strings.Contains(errs, "not ready: https://") {
		t.Errorf("of a broker without a name server: exit code %d\n%s", code, errs)
	}
}

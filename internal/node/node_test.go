// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/twostage/twostage/internal/config"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/vfs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is for a machine that is busy with other tests.
const patience = time.Minute

// load makes a configuration of free ports on 127.0.0.1, and of what flags say.
func load(t *testing.T, role config.Role, flags ...string) *config.Config {
	t.Helper()
	s := config.Sources{Role: role, DataDir: "/data", HostName: "host", Flags: map[string]string{}, NamesrvFlags: map[string]string{}}
	if role != config.RoleNamesrv {
		s.Flags = map[string]string{
			"listenPort": "0", "httpListenPort": "0", "bindAddress": "127.0.0.1", "brokerIP1": "127.0.0.1", "mappedFileSizeCommitLog": "1048576",
			"maxHashSlotNum": "100", "maxIndexNum": "100",
		}
	}
	if role != config.RoleBroker {
		s.NamesrvFlags = map[string]string{"listenPort": "0", "bindAddress": "127.0.0.1"}
	}
	if role == config.RoleNamesrv {
		s.NamesrvFlags["httpListenPort"] = "0"
	}
	for _, f := range flags {
		key, value, _ := strings.Cut(f, "=")
		if name, ok := strings.CutPrefix(key, "namesrv."); ok {
			s.NamesrvFlags[name] = value
		} else {
			s.Flags[key] = value
		}
	}
	c, err := config.Load(s)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// buffer is what goroutines write to.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// lines hands on what is written, write by write.
type lines chan string

func (l lines) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}

// run is a node that runs.
type run struct {
	fields map[string]string // of the ready line
	line   string
	log    *buffer
	stop   func() error
}

// start runs a node and waits for its ready line. It is stopped when the test
// ends.
func start(t *testing.T, c *config.Config, role config.Role, fs vfs.FS) *run {
	t.Helper()
	r := &run{log: &buffer{}, fields: map[string]string{}}
	out, ended := make(lines, 8), make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { ended <- Run(ctx, options(c, role, fs, out, r.log)) }()
	r.stop = sync.OnceValue(func() error {
		cancel()
		select {
		case err := <-ended:
			return err
		case <-time.After(patience):
			return errors.New("it does not stop")
		}
	})
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Errorf("stopping: %v", err)
		}
		if len(out) > 0 {
			t.Errorf("more than one line on standard output: %q", <-out)
		}
		if t.Failed() {
			t.Logf("log:\n%s", r.log)
		}
	})
	select {
	case r.line = <-out:
	case err := <-ended:
		ended <- err
		t.Fatalf("not ready: %v\n%s", err, r.log)
	case <-time.After(patience):
		t.Fatalf("not ready\n%s", r.log)
	}
	rest, ok := strings.CutPrefix(strings.TrimSuffix(r.line, "\n"), "ready ")
	if !ok || strings.Count(r.line, "\n") != 1 {
		t.Fatalf("ready line %q", r.line)
	}
	before, data, _ := strings.Cut(rest, "data=")
	r.fields["data"] = data
	for _, f := range strings.Fields(before) {
		name, value, _ := strings.Cut(f, "=")
		r.fields[name] = value
	}
	return r
}

func options(c *config.Config, role config.Role, fs vfs.FS, out io.Writer, log io.Writer) Options {
	return Options{
		Config: c, Role: role, Data: "/a data dir", Stdout: out, FS: fs,
		Logger: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
}

// fails runs a node that cannot start.
func fails(t *testing.T, c *config.Config, role config.Role) error {
	t.Helper()
	var out bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err := Run(ctx, options(c, role, vfs.NewMem(), &out, io.Discard))
	if err == nil || out.Len() > 0 {
		t.Fatalf("it started: %q, %v", out.String(), err)
	}
	return err
}

func get(t *testing.T, addr, path string) (status int, text string) {
	t.Helper()
	tr := &http.Transport{DisableKeepAlives: true}
	res, err := (&http.Client{Transport: tr, Timeout: patience}).Get("http://" + addr + path)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// occupy takes a port of 127.0.0.1 until the test ends.
func occupy(t *testing.T) int {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	return ln.Addr().(*net.TCPAddr).Port
}

func TestAll(t *testing.T) {
	r := start(t, load(t, config.RoleAll), config.RoleAll, vfs.NewMem())
	if len(r.fields) != 5 || r.fields["data"] != "/a data dir" {
		t.Fatalf("ready line %q", r.line)
	}
	for _, name := range []string{"namesrv", "broker", "http"} {
		if a, err := netip.ParseAddrPort(r.fields[name]); err != nil || a.Addr().String() != "127.0.0.1" || a.Port() == 0 {
			t.Errorf("%s=%s: %v", name, r.fields[name], err)
		}
	}
	if !strings.HasPrefix(r.line, fmt.Sprintf("ready namesrv=%s broker=%s http=%s admin=loopback data=", r.fields["namesrv"], r.fields["broker"], r.fields["http"])) {
		t.Errorf("order of the fields: %q", r.line)
	}
	c := remoting.NewClient(remoting.ClientConfig{})
	defer c.Close()
	info, err := rpc.ClusterInfo(t.Context(), c, r.fields["namesrv"])
	if err != nil || info.BrokerAddrTable["host"].BrokerAddrs[0] != r.fields["broker"] {
		t.Errorf("the broker is not registered when the line is out: %+v, %v", info, err)
	}
	for path, want := range map[string]string{"/healthz": "ok\n", "/readyz": "ready\n"} {
		if status, text := get(t, r.fields["http"], path); status != 200 || text != want {
			t.Errorf("%s: %d %q", path, status, text)
		}
	}
	if status, text := get(t, r.fields["http"], "/metrics"); status != 200 || !strings.Contains(text, "\nrocketmq_") || !strings.Contains(text, "\ngo_goroutines ") {
		t.Errorf("/metrics: %d %.300q", status, text)
	}
	if status, _ := get(t, r.fields["http"], "/other"); status != 404 {
		t.Errorf("/other: %d", status)
	}
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"namesrv", "broker", "http"} {
		if conn, err := net.DialTimeout("tcp", r.fields[name], time.Second); err == nil {
			_ = conn.Close()
			t.Errorf("%s still listens", name)
		}
	}
	if strings.Contains(r.log.String(), "not told") {
		t.Error("the name server stopped before the broker")
	}
}

func TestRolesApart(t *testing.T) {
	n := start(t, load(t, config.RoleNamesrv), config.RoleNamesrv, vfs.NewMem())
	if n.fields["broker"] != "" || n.fields["http"] == "" || strings.Contains(n.line, "broker") {
		t.Errorf("ready line %q", n.line)
	}
	b := start(t, load(t, config.RoleBroker, "namesrvAddr="+n.fields["namesrv"]), config.RoleBroker, vfs.NewMem())
	if b.fields["namesrv"] != "" || b.fields["broker"] == "" {
		t.Errorf("ready line %q", b.line)
	}
	c := remoting.NewClient(remoting.ClientConfig{})
	defer c.Close()
	info, err := rpc.ClusterInfo(t.Context(), c, n.fields["namesrv"])
	if err != nil || info.BrokerAddrTable["host"].BrokerAddrs[0] != b.fields["broker"] {
		t.Errorf("%+v, %v", info, err)
	}
}

// With namesrvAddr the broker of role all registers there, and not with the name
// server of its own process.
func TestOtherNameServer(t *testing.T) {
	n := start(t, load(t, config.RoleNamesrv), config.RoleNamesrv, vfs.NewMem())
	all := start(t, load(t, config.RoleAll, "namesrvAddr="+n.fields["namesrv"]), config.RoleAll, vfs.NewMem())
	c := remoting.NewClient(remoting.ClientConfig{})
	defer c.Close()
	for addr, want := range map[string]int{n.fields["namesrv"]: 1, all.fields["namesrv"]: 0} {
		if info, err := rpc.ClusterInfo(t.Context(), c, addr); err != nil || len(info.BrokerAddrTable) != want {
			t.Errorf("%s: %+v, %v; want %d brokers", addr, info, err, want)
		}
	}
}

func TestServesWithoutItsNameServer(t *testing.T) {
	gone := net.JoinHostPort("127.0.0.1", "1")
	r := start(t, load(t, config.RoleBroker, "namesrvAddr="+gone), config.RoleBroker, vfs.NewMem())
	if status, text := get(t, r.fields["http"], "/readyz"); status != 503 || !strings.Contains(text, gone) {
		t.Errorf("/readyz: %d %q", status, text)
	}
	if status, _ := get(t, r.fields["http"], "/healthz"); status != 200 {
		t.Errorf("/healthz: %d", status)
	}
	if !strings.Contains(r.log.String(), "serves but is not ready") {
		t.Error("no warning")
	}
	r = start(t, load(t, config.RoleBroker), config.RoleBroker, vfs.NewMem())
	if !strings.Contains(r.log.String(), "namesrvAddr") {
		t.Error("no warning about a broker without name server")
	}
}

func TestTakenPorts(t *testing.T) {
	port := strconv.Itoa(occupy(t))
	for name, test := range map[string]struct {
		flag string
		want []string
	}{
		"broker":      {"listenPort=" + port, []string{"broker", "listenPort=" + port, "--set listenPort="}},
		"name server": {"namesrv.listenPort=" + port, []string{"name server", "listenPort=" + port, "--namesrv-set listenPort="}},
		"http":        {"httpListenPort=" + port, []string{"httpListenPort=" + port, "--set httpListenPort="}},
	} {
		t.Run(name, func(t *testing.T) {
			err := fails(t, load(t, config.RoleAll, test.flag), config.RoleAll)
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v\nlacks %q", err, want)
				}
			}
		})
	}
	err := fails(t, load(t, config.RoleNamesrv, "namesrv.httpListenPort="+port), config.RoleNamesrv)
	if !strings.Contains(err.Error(), "--namesrv-set httpListenPort=") {
		t.Error(err)
	}
	if err := fails(t, load(t, config.RoleBroker, "bindAddress=203.0.113.7"), config.RoleBroker); !strings.Contains(err.Error(), "203.0.113.7") {
		t.Error(err)
	}
}

func TestTakenPortsOfLessWeight(t *testing.T) {
	c := load(t, config.RoleAll, "metricsExporterType=PROM")
	c.HTTP.Port, c.HTTP.Explicit = occupy(t), false // as the default is
	c.Broker.Metrics.Host, c.Broker.Metrics.Port = "127.0.0.1", occupy(t)
	r := start(t, c, config.RoleAll, vfs.NewMem())
	if strings.Contains(r.line, "http=") {
		t.Errorf("ready line %q", r.line)
	}
	for _, key := range []string{"httpListenPort=" + strconv.Itoa(c.HTTP.Port), "metricsPromExporterPort=" + strconv.Itoa(c.Broker.Metrics.Port)} {
		n := 0
		for line := range strings.Lines(r.log.String()) {
			if strings.Contains(line, key) && strings.Contains(line, "level=WARN") {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%d warnings about %s", n, key)
		}
	}
}

func TestPrometheusListener(t *testing.T) {
	c := load(t, config.RoleAll, "metricsExporterType=PROM", "metricsPromExporterHost=127.0.0.1", "metricsPromExporterPort=0")
	r := start(t, c, config.RoleAll, vfs.NewMem())
	_, rest, ok := strings.Cut(r.log.String(), `msg="metrics are served" addr=`)
	if !ok {
		t.Fatal("it does not say where")
	}
	if status, text := get(t, strings.Fields(rest)[0], "/metrics"); status != 200 || !strings.Contains(text, "rocketmq_") {
		t.Errorf("%d %.300q", status, text)
	}
}

func TestReports(t *testing.T) {
	c := load(t, config.RoleAll, "useEpollNativeSelector=true", "haTransferBatchSize=1", "namesrv.useEpollNativeSelector=true")
	c.Foreign = []string{"TWOSTAGE_X"}
	r := start(t, c, config.RoleAll, vfs.NewMem())
	log := r.log.String()
	if strings.Count(log, "useEpollNativeSelector,useEpollNativeSelector") != 1 {
		t.Error("not one line with all ignored keys")
	}
	if strings.Count(log, "haTransferBatchSize") != 1 || !strings.Contains(log, "TWOSTAGE_X") {
		t.Error("not one warning about haTransferBatchSize, or none about a foreign variable")
	}
}

func TestStoppedWhileStarting(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out bytes.Buffer
	if err := Run(ctx, options(load(t, config.RoleAll), config.RoleAll, vfs.NewMem(), &out, io.Discard)); err != nil || out.Len() > 0 {
		t.Errorf("%v, %q", err, out.String())
	}
}

func TestTwoOnOneStore(t *testing.T) {
	fs := vfs.NewMem()
	first := start(t, load(t, config.RoleBroker), config.RoleBroker, fs)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err := Run(ctx, options(load(t, config.RoleBroker), config.RoleBroker, fs, io.Discard, io.Discard))
	if !errors.Is(err, store.ErrInUse) {
		t.Errorf("the second one: %v", err)
	}
	if status, _ := get(t, first.fields["http"], "/readyz"); status != 200 {
		t.Errorf("the first one is not ready any more: %d", status)
	}
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	start(t, load(t, config.RoleBroker), config.RoleBroker, fs)
}

func TestReachable(t *testing.T) {
	for in, want := range map[string]string{
		"0.0.0.0:1": "127.0.0.1:1", "[::]:1": "127.0.0.1:1", "10.0.0.1:1": "10.0.0.1:1", "[::ffff:10.0.0.1]:1": "10.0.0.1:1", "[2001:db8::1]:1": "[2001:db8::1]:1",
	} {
		if got := reachable(netip.MustParseAddrPort(in)).String(); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

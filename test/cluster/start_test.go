// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/proctest"
	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
	"github.com/twostage/twostage/test/rig"
)

// hasError says whether one line of a log is an error or warning with all words,
// in any case.
func hasError(log string, words ...string) bool {
lines:
	for line := range strings.Lines(strings.ToLower(log)) {
		if !strings.Contains(line, "level=error") && !strings.Contains(line, "level=warn") {
			continue
		}
		for _, w := range words {
			if !strings.Contains(line, strings.ToLower(w)) {
				continue lines
			}
		}
		return true
	}
	return false
}

// allArgs runs everything in one process, on ports that are free.
func allArgs(data string, more ...string) []string {
	args := []string{"server", "--data", data, "--namesrv-set", "listenPort=0", "--set", "brokerIP1=127.0.0.1"}
	set := map[string]bool{}
	for _, kv := range append(more, "listenPort=0", "httpListenPort=0") {
		key, _, _ := strings.Cut(kv, "=")
		if !set[key] {
			args = append(args, "--set", kv)
		}
		set[key] = true
	}
	return args
}

func TestRolesAlone(t *testing.T) {
	t.Parallel()
	ns := proctest.Start(t, namesrvArgs(t.TempDir(), 0)...)
	if ns.Namesrv == "" || ns.Broker != "" || ns.HTTP == "" || ns.Data == "" {
		t.Errorf("the ready line of a name server: namesrv=%q broker=%q http=%q data=%q", ns.Namesrv, ns.Broker, ns.HTTP, ns.Data)
	}
	if _, err := os.Stat(filepath.Join(ns.Data, "store")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a name server made a store directory: %v", err)
	}
	b := proctest.Start(t, brokerArgs(t.TempDir(), "broker-a", 0, ns.Namesrv)...)
	if b.Namesrv != "" || b.Broker == "" || b.HTTP == "" || b.Data == "" {
		t.Errorf("the ready line of a broker: namesrv=%q broker=%q http=%q data=%q", b.Namesrv, b.Broker, b.HTTP, b.Data)
	}
	for _, s := range []*proctest.Server{ns, b} {
		for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
			if status, text, err := rig.Get(s.HTTP, path); err != nil || status != 200 {
				t.Errorf("%s: %d %.100s (%v)", path, status, text, err)
			}
		}
	}
	// A broker whose name server does not answer serves those who know it, and says so.
	alone := proctest.Start(t, brokerArgs(t.TempDir(), "broker-b", 0, fmt.Sprint("127.0.0.1:", proctest.FreePort(t)))...)
	rig.Poll(t, "a broker without its name server says so", func() error {
		if log := alone.Log(); !hasError(log, "name server", "can't be reached") {
			return errors.New(log)
		}
		return nil
	})
	if status, _, err := rig.Get(alone.HTTP, "/readyz"); err != nil || status == 200 {
		t.Errorf("/readyz without a name server: %d (%v)", status, err)
	}
	if _, err := rpc.Send(rig.Context(t), rig.Client(t), alone.Broker, rig.SendHeader("Alone", 0, "k"), []byte("x")); err != nil {
		t.Error(err)
	}
}

func TestSameDataDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := proctest.Start(t, allArgs(dir)...)
	wantWords(t, refused(t, allArgs(dir)...), dir)
	wantWords(t, refused(t, "server", "--role", "broker", "--data", dir, "--namesrv", first.Namesrv, "--set", "listenPort=0", "--set", "httpListenPort=0"), dir)
	if _, err := rpc.Send(rig.Context(t), rig.Client(t), first.Broker, rig.SendHeader("Still", 0, "k"), []byte("x")); err != nil {
		t.Errorf("the first process: %v", err)
	}
	if status, text, err := rig.Get(first.HTTP, "/readyz"); err != nil || status != 200 {
		t.Errorf("the first process: /readyz: %d %s (%v)", status, text, err)
	}
}

func TestSameNamesrvDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	proctest.Start(t, namesrvArgs(dir, 0)...)
	wantWords(t, refused(t, namesrvArgs(dir, 0)...), dir)
}

// listen takes a port, 0 for any, on all addresses as the server does.
func listen(t *testing.T, port int) int {
	t.Helper()
	ln, err := net.Listen("tcp", fmt.Sprint("0.0.0.0:", port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	return ln.Addr().(*net.TCPAddr).Port
}

func TestTakenPorts(t *testing.T) {
	t.Parallel()
	taken := listen(t, 0)
	port := fmt.Sprint(taken)
	wantWords(t, refused(t, allArgs(t.TempDir(), "listenPort="+port)...), "listenPort="+port, "broker", "--set listenPort=")
	wantWords(t, refused(t, allArgs(t.TempDir(), "httpListenPort="+port)...), "httpListenPort="+port)
	wantWords(t, refused(t, namesrvArgs(t.TempDir(), taken)...), "listenPort="+port, "name server", "--namesrv-set listenPort=")

	// The VIP port is worth a warning.
	free := proctest.FreePort(t)
	vip := free - 2
	listen(t, vip)
	s := proctest.Start(t, allArgs(t.TempDir(), fmt.Sprint("listenPort=", free))...)
	if !hasError(s.Log(), fmt.Sprint(vip), "vip") {
		t.Errorf("no warning of the VIP port %d in:\n%s", vip, s.Log())
	}
	// And so is the metrics port.
	s = proctest.Start(t, allArgs(t.TempDir(), "metricsExporterType=PROM", "metricsPromExporterPort="+port)...)
	if !hasError(s.Log(), "metricsPromExporterPort") {
		t.Errorf("no warning of the metrics port in:\n%s", s.Log())
	}
}

// TestTakenDefaultHTTPPort: 8082 is taken, by this test or by whoever has it.
func TestTakenDefaultHTTPPort(t *testing.T) {
	t.Parallel()
	if ln, err := net.Listen("tcp", "0.0.0.0:8082"); err == nil {
		defer ln.Close()
	}
	s := proctest.Start(t, "server", "--data", t.TempDir(), "--namesrv-set", "listenPort=0", "--set", "brokerIP1=127.0.0.1", "--set", "listenPort=0")
	if s.HTTP != "" || s.Broker == "" {
		t.Errorf("the ready line: http=%q broker=%q", s.HTTP, s.Broker)
	}
	if !hasError(s.Log(), "httpListenPort") {
		t.Errorf("no warning in:\n%s", s.Log())
	}
}

func TestVIPPort(t *testing.T) {
	t.Parallel()
	port := proctest.FreePort(t)
	proctest.Start(t, allArgs(t.TempDir(), fmt.Sprint("listenPort=", port))...)
	if _, err := rpc.Send(rig.Context(t), rig.Client(t), fmt.Sprint("127.0.0.1:", port-2), rig.SendHeader("Vip", 0, "k"), []byte("x")); err != nil {
		t.Error(err)
	}
}

func TestRefusedKeys(t *testing.T) {
	t.Parallel()
	for kv, words := range map[string][]string{
		"listenPrt=1":                   {"listenPrt", "listenPort"},
		"flushDiskTyp=SYNC_FLUSH":       {"flushDiskTyp", "flushDiskType"},
		"flushDiskType=SOMETIMES":       {"flushDiskType", "SYNC_FLUSH"},
		"listenPort=many":               {"listenPort", "many"},
		"authorizationEnabled=true":     {"authorizationEnabled", "authenticationEnabled=true"},
		"initAuthenticationUser=root":   {"initAuthenticationUser", "username"},
		"brokerRole=SLAVE":              {"brokerRole", "SLAVE", "not there yet"},
		"brokerRole=SYNC_MASTER":        {"brokerRole", "SYNC_MASTER", "not there yet"},
		"brokerId=1":                    {"brokerId", "not there yet"},
		"enableControllerMode=true":     {"enableControllerMode", "not there yet"},
		"enableDLegerCommitLog=true":    {"enableDLegerCommitLog", "not there yet"},
		"storeType=defaultRocksDB":      {"storeType", "RocksDB"},
		"messageStorePlugIn=a.b.Tiered": {"messageStorePlugIn", "tiered storage"},
		"filterSupportRetry=true":       {"filterSupportRetry", "retried"},
		"enableCompaction=true":         {"enableCompaction"},
		"tls.test.mode.enable=false":    {"tls.test.mode.enable", "tls.server.certPath"},
	} {
		dir := filepath.Join(t.TempDir(), "data")
		wantWords(t, refused(t, allArgs(dir, kv)...), words...)
		if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: refused, and the data directory was made", kv)
		}
	}
	wantWords(t, refused(t, append(allArgs(t.TempDir()), "--namesrv-set", "enableControllerInNamesrv=true")...), "enableControllerInNamesrv", "not there yet")
	wantWords(t, refused(t, allArgs(t.TempDir(), "aclEnable=true")...), "aclEnable", "conf/plain_acl.yml", "aclFile")
}

// TestIgnoredKeys: keys for a JVM start, and one line names them.
func TestIgnoredKeys(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "broker.conf")
	if err := os.WriteFile(file, []byte("brokerRole = ASYNC_MASTER\nsendMessageThreadPoolNums=16\nmapedFileSizeCommitLog=16777216\nserverSelectorThreads=3\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	s := proctest.Start(t, append(allArgs(t.TempDir()), "-c", file)...)
	n := 0
	for line := range strings.Lines(s.Log()) {
		if strings.Contains(line, "sendMessageThreadPoolNums") && strings.Contains(line, "serverSelectorThreads") {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d lines name the keys without a meaning, want 1:\n%s", n, s.Log())
	}
}

// TestForeignStore: a directory with files of what is not there does not open.
func TestForeignStore(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"consumequeue_r/000001.sst", "dledger-n0/data", "epochFileCheckpoint"} {
		dir := t.TempDir()
		path := filepath.Join(dir, "store", file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
		wantWords(t, refused(t, allArgs(dir)...), strings.Split(file, "/")[0], "not there yet")
	}
}

// TestSecondStart: SIGTERM, and the same again.
func TestSecondStart(t *testing.T) {
	t.Parallel()
	s := proctest.Start(t, allArgs(t.TempDir())...)
	c := rig.Client(t)
	ctx := rig.Context(t)
	for start := range int64(4) {
		if start > 0 {
			begin := time.Now()
			mustEnd(t, s.Stop)
			stopped := time.Since(begin)
			if _, err := os.Stat(filepath.Join(s.Data, "store", "abort")); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("stop %d left the abort file (%v)", start, err)
			}
			s.Restart(t)
			t.Logf("stopped in %v, ready again after %v", stopped, time.Since(begin)-stopped)
		}
		for q := range int32(4) {
			// The first message makes the topic.
			sent, err := rpc.Send(ctx, c, s.Broker, rig.SendHeader("Again", q, fmt.Sprintf("%d-%d", start, q)), []byte("x"))
			if err != nil {
				t.Fatal(err)
			}
			if sent.Header.QueueOffset != start {
				t.Errorf("start %d: queue %d goes on at %d", start, q, sent.Header.QueueOffset)
			}
			rig.Poll(t, fmt.Sprintf("start %d: queue %d has %d messages", start, q, start+1), func() error {
				n, err := rig.Drain(ctx, c, s.Broker, "Again", q, 0, func(*message.Record) error { return nil })
				if err == nil && n != start+1 {
					err = fmt.Errorf("%d", n)
				}
				return err
			})
		}
	}
	if log := s.Log(); strings.Contains(log, "clean=false") || strings.Contains(log, "level=ERROR") {
		t.Errorf("the log:\n%s", log)
	}
}

// TestColdStart measures; see the package comment.
func TestColdStart(t *testing.T) {
	data := t.TempDir()
	proctest.Binary(t) // built before the clock runs
	begin := time.Now()
	s := proctest.Start(t, allArgs(data)...)
	ready := time.Since(begin)
	c := rig.Client(t)
	sent, err := rpc.Send(rig.Context(t), c, s.Broker, rig.SendHeader("Cold", 0, "k"), []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	accepted := time.Since(begin)
	if sent.Header.QueueOffset != 0 {
		t.Errorf("the first message has offset %d", sent.Header.QueueOffset)
	}
	rss := rig.RSS(t, s.PID())
	again := time.Now()
	mustEnd(t, s.Stop)
	stopped := time.Since(again)
	t.Logf("ready after %v, first send accepted after %v, %.1f MiB resident, stopped in %v", ready, accepted, float64(rss)/(1<<20), stopped)
}

// TestStopWithHeldPull: a held pull does not keep a stop waiting.
func TestStopWithHeldPull(t *testing.T) {
	t.Parallel()
	s := proctest.Start(t, allArgs(t.TempDir())...)
	if _, err := rpc.Send(rig.Context(t), rig.Client(t), s.Broker, rig.SendHeader("Held", 0, "k"), []byte("x")); err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", s.Broker)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	pull := rig.PullHeader("Held", 0, 1)
	pull.SysFlag |= header.PullSuspend
	pull.SuspendTimeoutMillis = 15 * 60 * 1000
	out := wire.AppendRequest(nil, &wire.Request{Code: wire.ReqPullMessage, Opaque: 1, Header: pull, Version: wire.Version})
	out = wire.AppendRequest(out, &wire.Request{Code: wire.ReqGetMaxOffset, Opaque: 2, Header: &header.MaxOffsetRequest{Topic: "Held"}, Version: wire.Version})
	if _, err := conn.Write(out); err != nil {
		t.Fatal(err)
	}
	if first := opaque(t, conn); first != 2 {
		t.Fatalf("the first answer is that of request %d: the pull is not held", first)
	}
	begin := time.Now()
	mustEnd(t, s.Stop)
	t.Logf("stopped in %v", time.Since(begin))
}

// opaque reads one frame and gives its opaque.
func opaque(t *testing.T, conn net.Conn) int32 {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(rig.Patience)); err != nil {
		t.Fatal(err)
	}
	var size [4]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		t.Fatal(err)
	}
	frame := make([]byte, min(binary.BigEndian.Uint32(size[:]), wire.MaxFrame))
	if _, err := io.ReadFull(conn, frame); err != nil {
		t.Fatal(err)
	}
	var d wire.Decoder
	var c wire.Command
	if err := d.Decode(frame, &c); err != nil {
		t.Fatal(err)
	}
	return c.Opaque
}

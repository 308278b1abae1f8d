// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
)

// Patience is the limit of waits for something that a healthy server does
// within milliseconds or, at worst, a few seconds.
const Patience = 60 * time.Second

// Poll calls probe until it returns nil, and fails the test with what and
// probe's last error when that took longer than Patience.
func Poll(t testing.TB, what string, probe func() error) {
	t.Helper()
	limit := time.NewTimer(Patience)
	defer limit.Stop()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		err := probe()
		if err == nil {
			return
		}
		select {
		case <-again.C:
		case <-limit.C:
			t.Fatalf("%s: not after %v: %v", what, Patience, err)
		}
	}
}

// Context ends with the test, and after Patience.
func Context(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	t.Cleanup(cancel)
	return ctx
}

// Client gives a client that is closed when the test ends.
func Client(t testing.TB) *remoting.Client {
	t.Helper()
	c := remoting.NewClient(remoting.ClientConfig{Language: wire.LanguageJava, Version: wire.Version})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// RSS is the resident memory of a process in bytes.
func RSS(t testing.TB, pid int) int64 {
	t.Helper()
	n, err := ReadRSS(pid)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// ReadRSS is RSS for goroutines that may not end the test.
func ReadRSS(pid int) (int64, error) {
	name := fmt.Sprintf("/proc/%d/status", pid)
	text, err := os.ReadFile(name)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if v, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(v), "kB")), 10, 64)
			return n << 10, err
		}
	}
	return 0, fmt.Errorf("%s has no VmRSS", name)
}

// Get fetches a page of a server's HTTP listener.
func Get(addr, path string) (status int, body string, err error) {
	c := &http.Client{Timeout: Patience, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := c.Get("http://" + addr + path)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text), err
}

// Metric reads a metric, the first of its label sets, from a server's /metrics.
func Metric(addr, name string) (float64, error) {
	status, text, err := Get(addr, "/metrics")
	if err != nil {
		return 0, err
	}
	if status != http.StatusOK {
		return 0, fmt.Errorf("/metrics: status %d: %s", status, text)
	}
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		v, ok := strings.CutPrefix(lines.Text(), name)
		if labels, value, cut := strings.Cut(v, "} "); cut && strings.HasPrefix(labels, "{") {
			v = " " + value
		}
		if ok && strings.HasPrefix(v, " ") {
			return strconv.ParseFloat(v[1:], 64)
		}
	}
	return 0, fmt.Errorf("/metrics has no %s", name)
}

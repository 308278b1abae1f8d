// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twostage/twostage/examples/shop/service"
)

// TestMain is also the child of TestLateDeath: "mortal" FILE dies by chaos of its
// first request; when FILE is there it serves until its standard input ends.
func TestMain(m *testing.M) {
	if len(os.Args) != 3 || os.Args[1] != "mortal" {
		os.Exit(m.Run())
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		os.Exit(1)
	}
	_, missing := os.Stat(os.Args[2])
	if missing != nil && os.WriteFile(os.Args[2], nil, 0o600) != nil {
		os.Exit(1)
	}
	go http.Serve(ln, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { //nolint:errcheck // it ends with the process
		if missing != nil {
			os.Exit(service.ExitChaos)
		}
		_, _ = io.WriteString(w, "{}")
	}))
	fmt.Printf("ready http=%s\n", ln.Addr())
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

// TestLateDeath: a service that dies of a request when no more are made comes back
// for the books.
func TestLateDeath(t *testing.T) {
	dir := t.TempDir()
	p, err := newProcess(dir, "orders-1", func(map[string]string) []string { return []string{"mortal", filepath.Join(dir, "died")} })
	if err != nil {
		t.Fatal(err)
	}
	w := &world{flags: &flags{}, http: http.DefaultClient, by: map[string][]*process{"orders": {p}}}
	defer func() {
		if err := p.stop(); err != nil {
			t.Error(err)
		}
	}()
	if err := p.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := w.ask(ctx, http.MethodPost, p, "/orders", nil, nil); err == nil {
		t.Error("it is answered")
	}
	for p.died.Load() == 0 && ctx.Err() == nil {
		runtime.Gosched()
	}
	if _, err := w.read(ctx); err != nil {
		t.Error(err)
	}
}

// TestPortsStayFree: a connection to a process of the shop has its local end on a port
// that another one, which is away, can come back to.
func TestPortsStayFree(t *testing.T) {
	host := ownHost()
	there, err := net.Listen("tcp", host+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer there.Close()
	c, err := net.Dial("tcp", there.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	back, err := net.Listen("tcp", host+":"+strconv.Itoa(c.LocalAddr().(*net.TCPAddr).Port))
	if err != nil {
		t.Fatal(err)
	}
	_ = back.Close()
}

// TestDirectoryOfSomebodyElse is refused, and not said to be ours.
func TestDirectoryOfSomebodyElse(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "thesis.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	err := run(t.Context(), &flags{dir: dir}, &said)
	if err == nil || !strings.Contains(err.Error(), "not empty") || said.Len() != 0 {
		t.Errorf("%v, and it says %q", err, said.String())
	}
}

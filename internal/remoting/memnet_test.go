// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package remoting

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func memPair(t *testing.T) (near, far net.Conn) {
	m := NewMemNetwork()
	ln, err := m.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	near, err = m.Dial(t.Context(), ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if far, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	ln.Close()
	return near, far
}

func TestMemNetworkAddresses(t *testing.T) {
	m := NewMemNetwork()
	ln, err := m.Listen("127.0.0.1:7000")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Listen("127.0.0.1:7000"); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("second Listen: %v", err)
	}
	if _, err := m.Listen("nowhere"); err == nil {
		t.Error("Listen took a bad address")
	}
	if _, err := m.Dial(t.Context(), "127.0.0.1:7001"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("Dial to nobody: %v", err)
	}
	waiting, err := m.Dial(t.Context(), "127.0.0.1:7000")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	if _, err := waiting.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("a connection that was never accepted: %v", err)
	}
	if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after Close: %v", err)
	}
	again, err := m.Listen("127.0.0.1:7000")
	if err != nil {
		t.Fatalf("Listen on a freed address: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range memAccepts {
		if _, err := m.Dial(t.Context(), "127.0.0.1:7000"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := m.Dial(ctx, "127.0.0.1:7000"); !errors.Is(err, context.Canceled) {
		t.Errorf("Dial to a full queue: %v", err)
	}
	again.Close()
}

func TestMemPipe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := memPair(t)
		if near.RemoteAddr().String() != far.LocalAddr().String() || near.LocalAddr().String() != far.RemoteAddr().String() {
			t.Error("the addresses of the ends do not match")
		}
		want := bytes.Repeat([]byte("0123456789"), 30000) // more than the buffer
		go func() {
			near.Write(want)
			near.(*memConn).CloseWrite()
		}()
		got, err := io.ReadAll(far)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		if _, err := near.Write([]byte("x")); err != syscall.EPIPE {
			t.Errorf("Write after CloseWrite: %v", err)
		}
		far.Write([]byte("back"))
		far.Close()
		if got, err := io.ReadAll(near); err != nil || string(got) != "back" {
			t.Errorf("the other direction: %q, %v", got, err)
		}
		if _, err := far.Read(make([]byte, 1)); err != net.ErrClosed {
			t.Errorf("Read after Close: %v", err)
		}
	})
}

func TestMemPipeDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := memPair(t)
		start := time.Now()
		near.SetReadDeadline(start.Add(3 * time.Second))
		if _, err := near.Read(make([]byte, 1)); err != os.ErrDeadlineExceeded || time.Since(start) != 3*time.Second {
			t.Errorf("Read: %v after %v", err, time.Since(start))
		}
		near.SetDeadline(time.Now().Add(time.Second))
		n, err := near.Write(make([]byte, 100<<10))
		if n != memBuffer || err != os.ErrDeadlineExceeded || time.Since(start) != 4*time.Second {
			t.Errorf("Write: %d bytes, %v after %v", n, err, time.Since(start))
		}
		near.SetDeadline(time.Time{})
		go func() {
			time.Sleep(time.Minute)
			near.SetReadDeadline(time.Unix(1, 0)) // ends a read under way
		}()
		if _, err := near.Read(make([]byte, 1)); err != os.ErrDeadlineExceeded || time.Since(start) != 64*time.Second {
			t.Errorf("Read: %v after %v", err, time.Since(start))
		}
		far.Close()
		if _, err := near.Write([]byte("x")); err != syscall.EPIPE {
			t.Errorf("Write to a closed peer: %v", err)
		}
		near.Close()
	})
}

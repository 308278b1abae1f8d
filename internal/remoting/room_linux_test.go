// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package remoting

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"
)

// writeNow gives p to the socket as often as the kernel takes it without waiting,
// at most the given number of times. It says how many bytes went.
func writeNow(t *testing.T, nc *net.TCPConn, p []byte, times int) (n int) {
	t.Helper()
	raw, err := nc.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Write(func(fd uintptr) bool {
		for range times {
			m, err := syscall.Write(int(fd), p)
			if err != nil {
				if err != syscall.EAGAIN {
					t.Errorf("write: %v", err)
				}
				break
			}
			n += m
		}
		return true
	}); err != nil {
		t.Fatal(err)
	}
	return n
}

// A full socket has no room until its peer reads, and then for a whole run.
func TestAwaitSocketRoom(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	far, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	nc, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	near := nc.(*net.TCPConn)
	if err := awaitSocketRoom(near); err != nil {
		t.Fatalf("an empty socket: %v", err)
	}
	run := make([]byte, condRun)
	const many = 500 // more than the buffers hold
	for {            // until the kernel has moved all it can
		writeNow(t, near, run, many)
		near.SetWriteDeadline(time.Now().Add(20 * time.Millisecond))
		if err = awaitSocketRoom(near); err != nil {
			break
		}
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("a full socket: %v", err)
	}
	near.SetWriteDeadline(time.Now().Add(20 * time.Second))
	var wg sync.WaitGroup
	wg.Go(func() { io.Copy(io.Discard, far) }) // until near is closed
	for range 100 {
		if err := awaitSocketRoom(near); err != nil {
			t.Errorf("while the peer reads: %v", err)
			break
		}
		if n := writeNow(t, near, run, 1); n != len(run) {
			t.Errorf("the kernel took %d of %d bytes", n, len(run))
			break
		}
		writeNow(t, near, run, many)
	}
	near.Close()
	wg.Wait()
	if err := awaitSocketRoom(near); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a closed socket: %v", err)
	}
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package mqtest

import (
	"io"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/remoting"
)

// However many pieces come, each is read when it comes, and so is late by the delay
// of Slow and no more.
func TestALinkReadsOnWhatIsHeldBack(t *testing.T) {
	ln, err := net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	client, err := net.Dial("tcp4", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	tcp, err := ln.AcceptTCP()
	if err != nil {
		t.Fatal(err)
	}
	near, far := remoting.MemPipe(addrPort(tcp.RemoteAddr()), addrPort(tcp.LocalAddr()))
	defer far.Close()
	l := newLink(&port{}, tcp, near)
	var both sync.WaitGroup
	defer both.Wait()
	defer l.end()
	both.Go(l.read)
	read := func() int {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.way)
	}
	late := time.Now().Add(20 * time.Second) // only a defect reaches it
	const n = 3000
	for i := range n {
		if _, err := client.Write([]byte{byte(i)}); err != nil {
			t.Fatal(err)
		}
		for read() <= i {
			if runtime.Gosched(); time.Now().After(late) {
				t.Fatalf("%d of %d pieces are read", read(), i+1)
			}
		}
	}
	both.Go(l.requests)
	got := make([]byte, n)
	if _, err := io.ReadFull(far, got); err != nil {
		t.Fatal(err)
	}
	for i, b := range got {
		if b != byte(i) {
			t.Fatalf("byte %d is %d", i, b)
		}
	}
}

// The pieces of a large message are late side by side, not one after the other.
func TestPiecesAreLateTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const late = 300 * time.Millisecond
		var f faults
		f.slow(late)
		came := time.Now()
		for range 18 {
			if !f.pass(FromClients, came, nil) {
				t.Error("it was given up")
			}
		}
		if took := time.Since(came); took != late {
			t.Errorf("all took %v, each is %v late", took, late)
		}
	})
}

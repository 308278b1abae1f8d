// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package remoting

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/twostage/twostage/internal/secure"
	"github.com/twostage/twostage/internal/wire"
)

// A deadline in the middle of a record does not break a connection whose peer
// reads slowly; that of one that takes nothing more does.
func TestSlowPeersOverTLS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem, conns := NewMemNetwork(), make(chan *Conn, 2)
		s, addr := serve(t, mem, ServerConfig{
			TLS: selfSigned(t, secure.Permissive), OnOpen: func(c *Conn) { conns <- c },
			Routes: table(map[int32]Route{codeEcho: {Handler: echo}}),
		})
		body := strings.Repeat("x", 600<<10) // ten times what the pipe holds
		raw := dial(t, mem, addr)
		raw.SetReadDeadline(time.Time{})
		slow := &slowConn{Conn: raw.Conn}
		c := tls.Client(slow, &tls.Config{InsecureSkipVerify: true})
		if err := c.Handshake(); err != nil {
			t.Fatal(err)
		}
		slow.delay = 9 * time.Second // over a write deadline
		p := &peer{t: t, Conn: c}
		go p.send(frame(codeEcho, 1, body), frame(codeEcho, 2, "next"))
		if got := p.read(); string(got.Body) != body {
			t.Error("the body came changed")
		}
		if got := p.read(); string(got.Body) != "next" {
			t.Errorf("answer %+v", got)
		}
		<-conns

		deaf := dialTLS(t, mem, addr)
		deaf.SetReadDeadline(time.Time{})
		deaf.send(frame(codeEcho, 1, body))
		synctest.Wait()
		time.Sleep(8 * time.Second)
		if _, err := io.ReadFull(deaf, make([]byte, 32<<10)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		last, d := time.Now(), <-conns
		<-d.Closed()
		wantStallEnd(t, time.Since(last))
		synctest.Wait()
		if st := s.Stats(); !errors.Is(d.Cause(), ErrStalled) || st.SlowClosed != 1 {
			t.Errorf("cause %v, %+v", d.Cause(), st)
		}
	})
}

// What PushIf queued is asked for when the socket under TLS has room, not before.
func TestPushIfOverTLS(t *testing.T) {
	for _, invalid := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			mem, conns := NewMemNetwork(), make(chan *Conn, 1)
			_, addr := serve(t, mem, ServerConfig{TLS: selfSigned(t, secure.Enforcing), OnOpen: func(c *Conn) { conns <- c }})
			p := dialTLS(t, mem, addr)
			p.SetReadDeadline(time.Time{})
			c := <-conns
			mustPush(t, c, strings.Repeat("x", 2*memBuffer), nil)
			synctest.Wait()
			var v verdict
			mustPush(t, c, "check", v.valid)
			time.Sleep(10 * time.Second) // over a write deadline
			if v.asked.Load() != 0 {
				t.Fatal("asked while the socket took nothing")
			}
			v.no.Store(invalid)
			mustPush(t, c, "end", nil)
			want := []string{"check"}
			if invalid {
				want = nil
			}
			if got := p.bodies()[1:]; !slices.Equal(got, want) {
				t.Errorf("came %q, want %q", got, want)
			}
			if n := v.asked.Load(); n != 1 {
				t.Errorf("asked %d times", n)
			}
		})
	}
}

// What the owner pushes when a connection opens waits until it is known what the
// peer speaks.
func TestPushBeforeTheHandshake(t *testing.T) {
	for _, secured := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			mem := NewMemNetwork()
			_, addr := serve(t, mem, ServerConfig{
				TLS: selfSigned(t, secure.Permissive), OnOpen: func(c *Conn) { mustPush(t, c, "early", nil) },
				Routes: table(map[int32]Route{codeEcho: {Handler: echo}}),
			})
			p := dial(t, mem, addr)
			synctest.Wait()
			p.SetReadDeadline(time.Now())
			if n, err := p.Read(make([]byte, 1)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("read %d bytes, %v", n, err)
			}
			p.SetReadDeadline(time.Time{})
			if secured {
				p.Conn = tls.Client(p.Conn, &tls.Config{InsecureSkipVerify: true})
			}
			p.send(frame(codeEcho, 5, "asked")[:6])
			if got := p.read(); string(got.Body) != "early" {
				t.Errorf("first came %+v", got)
			}
			p.send(frame(codeEcho, 5, "asked")[6:])
			if got := p.read(); string(got.Body) != "asked" {
				t.Errorf("then came %+v", got)
			}
		})
	}
}

// A page of a mapped body that the disk does not give costs the connection, not
// the process, and is told.
func TestUnreadableBodyOverTLS(t *testing.T) {
	page := os.Getpagesize()
	f, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(int64(4 * page)); err != nil {
		t.Fatal(err)
	}
	mapped, err := unix.Mmap(int(f.Fd()), 0, 4*page, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(mapped)
	if err := f.Truncate(int64(page)); err != nil { // what lies behind can't be read any more
		t.Fatal(err)
	}
	var faults atomic.Int32
	var rel released
	closed := make(chan error, 1)
	_, addr := serve(t, nil, ServerConfig{
		TLS: selfSigned(t, secure.Enforcing), OnFault: func(*Conn) { faults.Add(1) }, OnClose: func(c *Conn) { closed <- c.Cause() },
		Routes: table(map[int32]Route{codeEcho: {Handler: func(r *Request) {
			r.Ticket().ReplyBody(&wire.Response{}, net.Buffers{mapped[:page], mapped[page:]}, rel.call)
		}}}),
	})
	p := dialTLS(t, nil, addr)
	p.send(frame(codeEcho, 1, ""))
	p.wantClosed()
	if cause := <-closed; !errors.Is(cause, syscall.EFAULT) || faults.Load() != 1 {
		t.Errorf("cause %v, told of %d faults", cause, faults.Load())
	}
	rel.want(t, "after a fault")
}

// Bodies by reference come as they are, whatever their sizes are beside those of
// records.
func TestReplyBodyOverTLS(t *testing.T) {
	_, addr := serve(t, nil, ServerConfig{
		TLS: selfSigned(t, secure.Enforcing),
		Routes: table(map[int32]Route{codeEcho: {Handler: func(r *Request) {
			n := len(r.Body)
			kept := slices.Clone(r.Body)
			r.Ticket().ReplyBody(&wire.Response{}, net.Buffers{kept[:n/3], nil, kept[n/3 : n/2], kept[n/2:]}, nil)
		}}}),
	})
	p := dialTLS(t, nil, addr)
	for _, n := range []int{0, 1, 100, recordSize - 200, recordSize, recordSize + 1, 2 * recordSize, 300 << 10} {
		body := make([]byte, n)
		for i := range body {
			body[i] = byte(i * 7 >> 3)
		}
		p.send(frame(codeEcho, int32(n), string(body)), frame(codeEcho, 1, "x"))
		if got := p.read(); string(got.Body) != string(body) {
			t.Errorf("%d bytes came changed", n)
		}
		p.read()
	}
}

// Reads end where records end, whatever comes at once; a connection that was busy
// gives its buffer back.
func TestRecordConn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := MemPipe(netip.MustParseAddrPort("127.0.0.1:1"), netip.MustParseAddrPort("127.0.0.1:2"))
		defer a.Close()
		defer b.Close()
		var all []byte
		sizes := []int{0, 1, 16 << 10, 3, 60 << 10, 16 << 10, 5, 16 << 10}
		for _, n := range sizes {
			all = append(all, 23, 3, 3, byte(n>>8), byte(n))
			all = append(all, make([]byte, n)...)
		}
		go func() { _, _ = b.Write(all) }() // an error shows in what is read
		rc := &recordConn{Conn: a, buf: make([]byte, minReadBuffer)}
		buf, most := make([]byte, 7000), 0
		for i, n := range sizes {
			for left := recordHeader + n; left > 0; {
				got, err := rc.Read(buf)
				if err != nil || got > left {
					t.Fatalf("record %d: read %d bytes of %d, %v", i, got, left, err)
				}
				left -= got
				most = max(most, len(rc.buf))
			}
		}
		if most != maxRecordRead {
			t.Errorf("read %d bytes at once at most", most)
		}
		if err := a.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		if n, err := rc.Read(buf); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read %d bytes, %v", n, err)
		}
		if n := len(rc.buf); n != minReadBuffer {
			t.Errorf("a quiet connection holds %d bytes", n)
		}
	})
}

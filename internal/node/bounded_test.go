// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/config"
	"github.com/twostage/twostage/internal/vfs"
)

// idle opens a connection that asks for nothing, and says whether it stays open.
func idle(t *testing.T, addr string) (nc net.Conn, stays bool) {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	if _, err := io.WriteString(nc, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		return nc, false
	}
	_ = nc.SetReadDeadline(time.Now().Add(patience))
	n, _ := nc.Read(make([]byte, 1000))
	return nc, n > 0
}

// TestHTTPConnectionsAreBounded: maxConnections and maxConnectionsPerAddress are of
// the HTTP port too, what is closed makes room, and what is refused is counted.
func TestHTTPConnectionsAreBounded(t *testing.T) {
	for _, tc := range []struct {
		key  string
		role config.Role
	}{
		{"maxConnections", config.RoleAll}, {"maxConnectionsPerAddress", config.RoleAll}, {"namesrv.maxConnections", config.RoleNamesrv},
	} {
		t.Run(tc.key, func(t *testing.T) {
			r := start(t, load(t, tc.role, tc.key+"=2"), tc.role, vfs.NewMem())
			addr := r.fields["http"]
			first, ok := idle(t, addr)
			if _, stays := idle(t, addr); !ok || !stays {
				t.Fatal("a connection within the limit is refused")
			}
			if _, stays := idle(t, addr); stays {
				t.Fatal("a third connection is served")
			}
			_ = first.Close()
			for deadline := time.Now().Add(patience); ; {
				nc, stays := idle(t, addr)
				if stays {
					_ = nc.Close()
					break
				}
				if time.Now().After(deadline) {
					t.Fatal("a closed connection leaves no room")
				}
			}
			name, _ := strings.CutPrefix(tc.key, "namesrv.")
			if log := r.log.String(); !strings.Contains(log, "HTTP connection refused") || !strings.Contains(log, "("+name+")") {
				t.Errorf("log:\n%s", log)
			}
		})
	}
}

// TestBoundsOfAnIPv6Network: whoever has one address has all of its /64.
func TestBoundsOfAnIPv6Network(t *testing.T) {
	b := newBounded(nil, config.Limits{PerAddress: 1}, slog.New(slog.DiscardHandler))
	from := func(ip string) netip.Addr { return addressOf(&net.TCPAddr{IP: net.ParseIP(ip), Port: 5}) }
	for _, tc := range []struct{ ip, why string }{
		{"2001:db8::1", ""}, {"2001:db8::2", "maxConnectionsPerAddress"}, {"2001:db8:0:1::1", ""}, {"10.0.0.1", ""}, {"10.0.0.2", ""}, {"::ffff:10.0.0.1", "maxConnectionsPerAddress"},
	} {
		if why := b.take(from(tc.ip)); why != tc.why {
			t.Errorf("%s: %q, want %q", tc.ip, why, tc.why)
		}
	}
	b.leave(from("2001:db8::1"))
	if why := b.take(from("2001:db8::2")); why != "" || b.conns() != 4 {
		t.Errorf("%q, %d are open", why, b.conns())
	}
}

// never is an answer that nobody reads until it is let go.
type never struct {
	*httptest.ResponseRecorder
	began, read chan struct{}
}

func (n never) Write(p []byte) (int, error) {
	n.began <- struct{}{}
	<-n.read
	return len(p), nil
}

// TestScrapesUnderWayAreBounded: answers that are not read hold memory, so that one
// more is refused until one of them ends.
func TestScrapesUnderWayAreBounded(t *testing.T) {
	h := (&node{metrics: newRegistry()}).metricsHandler()
	ask := func() *http.Request { return httptest.NewRequest(http.MethodGet, "/metrics", nil) }
	slow := never{httptest.NewRecorder(), make(chan struct{}), make(chan struct{})}
	var wg sync.WaitGroup
	for range maxScrapes {
		wg.Go(func() { h.ServeHTTP(never{httptest.NewRecorder(), slow.began, slow.read}, ask()) })
		<-slow.began
	}
	w := httptest.NewRecorder()
	if h.ServeHTTP(w, ask()); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), "4 scrapes are under way") {
		t.Errorf("%d %q", w.Code, w.Body)
	}
	close(slow.read)
	wg.Wait()
	w = httptest.NewRecorder()
	if h.ServeHTTP(w, ask()); w.Code != http.StatusOK {
		t.Errorf("%d %q", w.Code, w.Body)
	}
}

// one is a listener with one connection.
type one struct {
	conn chan net.Conn
	once sync.Once
}

func (l *one) Accept() (net.Conn, error) {
	if nc, ok := <-l.conn; ok {
		return nc, nil
	}
	return nil, net.ErrClosed
}
func (l *one) Close() error   { l.once.Do(func() { close(l.conn) }); return nil }
func (l *one) Addr() net.Addr { return &net.TCPAddr{} }

// TestUnreadAnswersEnd: who asks and does not read loses the connection.
func TestUnreadAnswersEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan time.Duration, 1)
		s := newHTTP(slog.New(slog.DiscardHandler), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			began := time.Now()
			for {
				if _, err := w.Write(make([]byte, 64<<10)); err != nil {
					ended <- time.Since(began)
					return
				}
			}
		}))
		here, there := net.Pipe()
		l := &one{conn: make(chan net.Conn, 1)}
		l.conn <- there
		var wg sync.WaitGroup
		wg.Go(func() { _ = s.Serve(l) })
		if _, err := io.WriteString(here, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		select {
		case took := <-ended:
			if took > httpWrite {
				t.Errorf("it took %v", took)
			}
		case <-time.After(time.Hour):
			t.Error("after an hour the answer is still being written")
		}
		_ = here.Close()
		_ = s.Close()
		wg.Wait()
	})
}

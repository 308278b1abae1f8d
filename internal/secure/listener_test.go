// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package secure_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/secure"
)

// web serves HTTP on a listener of the mode, and gives it with its address.
func web(t *testing.T, mode secure.Mode) (*secure.Listener, string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &secure.Listener{Listener: ln, Mode: mode, Config: serverOf(t, secure.ServerOptions{SelfSigned: true}).Config}
	s := &http.Server{
		ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }),
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return l, ln.Addr().String()
}

func get(t *testing.T, url string) (string, error) {
	t.Helper()
	tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	defer tr.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), "GET", url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Client{Transport: tr}).Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	_, err = io.ReadAll(resp.Body)
	return resp.Status, err
}

func TestListener(t *testing.T) {
	for mode, want := range map[secure.Mode]struct {
		plain, tls bool
		stats      secure.Stats
	}{
		secure.Disabled:   {true, false, secure.Stats{}},
		secure.Permissive: {true, true, secure.Stats{Secured: 1}},
		secure.Enforcing:  {false, true, secure.Stats{Secured: 1, PlaintextClosed: 1}},
	} {
		l, addr := web(t, mode)
		for scheme, ok := range map[string]bool{"http": want.plain, "https": want.tls} {
			if status, err := get(t, scheme+"://"+addr); (err == nil) != ok || ok && status != "200 OK" {
				t.Errorf("%v, %s: %q, %v", mode, scheme, status, err)
			}
		}
		if got := l.Stats(); got != want.stats {
			t.Errorf("%v: %+v, want %+v", mode, got, want.stats)
		}
	}
}

// A connection that says nothing, or stops in its handshake, holds up neither
// others nor the end.
func TestListenerWithSilentPeers(t *testing.T) {
	l, addr := web(t, secure.Permissive)
	for _, first := range []string{"", "\x16\x03\x01"} {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.WriteString(c, first); err != nil {
			t.Fatal(err)
		}
	}
	if status, err := get(t, "https://"+addr); err != nil || status != "200 OK" {
		t.Errorf("%q, %v", status, err)
	}
	if st := l.Stats(); st.Secured != 1 {
		t.Errorf("%+v", st)
	}
}

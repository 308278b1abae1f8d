// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package remoting

import (
	"crypto/tls"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/secure"
)

// clientHello is how a client begins.
func clientHello() []byte {
	hello := &holding{hold: true}
	_ = tls.Client(readless{hello}, &tls.Config{InsecureSkipVerify: true}).Handshake() // it ends after its first flight
	return hello.buf.Bytes()
}

// Peers that begin a handshake and say no more are closed in time, and keep nobody
// else from shaking hands.
func TestHandshakeThatIsNotFinished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem, conf := NewMemNetwork(), selfSigned(t, secure.Permissive)
		conf.MaxHandshakes = 2
		s, addr := serve(t, mem, ServerConfig{TLS: conf, Routes: table(map[int32]Route{codeEcho: {Handler: echo}})})
		start, hello := time.Now(), clientHello()
		var slow []*peer
		for _, n := range []int{1, 1, 1, 3, 3, 3, 100, len(hello) - 1, len(hello), len(hello), len(hello)} {
			p := dial(t, mem, addr)
			p.send(hello[:n])
			slow = append(slow, p)
			synctest.Wait()
		}
		p := dialTLS(t, mem, addr)
		p.send(frame(codeEcho, 1, "meanwhile"))
		if got := p.read(); string(got.Body) != "meanwhile" || time.Since(start) != 0 {
			t.Errorf("answer %+v after %v", got, time.Since(start))
		}
		for _, p := range slow {
			if _, err := io.Copy(io.Discard, p); err != nil {
				t.Error(err)
			}
		}
		if d := time.Since(start); d != 10*time.Second {
			t.Errorf("closed after %v", d)
		}
		if st := s.Stats(); st.TLSFailed != int64(len(slow)) || st.TLSBusy != 0 || st.TLSConns != 1 {
			t.Errorf("%+v", st)
		}
	})
}

// So many handshakes as are allowed are worked on at a time; others have their turn
// later, if it comes in time.
func TestHandshakesTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem, conf := NewMemNetwork(), selfSigned(t, secure.Permissive)
		given, work := conf.Config, make(chan struct{})
		conf.MaxHandshakes = 1
		conf.Config = func() (*tls.Config, error) {
			c, err := given()
			c = c.Clone()
			certificate := c.GetCertificate
			c.GetCertificate = func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
				<-work
				return certificate(h)
			}
			return c, err
		}
		s, addr := serve(t, mem, ServerConfig{TLS: conf, Routes: table(map[int32]Route{codeEcho: {Handler: echo}})})
		begin := func() (done chan error) {
			c := tls.Client(dial(t, mem, addr), &tls.Config{InsecureSkipVerify: true})
			done = make(chan error, 1)
			go func() { done <- c.Handshake() }()
			synctest.Wait()
			return done
		}
		first := begin()
		second := begin()
		time.Sleep(9 * time.Second)
		for range 2 {
			work <- struct{}{}
			synctest.Wait()
		}
		for _, done := range []chan error{first, second} {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		third := begin()
		start, fourth := time.Now(), begin()
		if err := <-fourth; err == nil || time.Since(start) != 10*time.Second {
			t.Errorf("without a turn: %v after %v", err, time.Since(start))
		}
		if st := s.Stats(); st.TLSConns != 2 || st.TLSBusy != 1 || st.TLSFailed != 0 {
			t.Errorf("%+v", st)
		}
		close(work)
		if err := <-third; err != nil { // the server hears no more of it: its time is over
			t.Error(err)
		}
		if err := <-begin(); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if st := s.Stats(); st.TLSConns != 3 || st.TLSBusy != 1 || st.TLSFailed != 1 {
			t.Errorf("%+v", st)
		}
	})
}

// A server that closes does not wait for handshakes that wait for their turn.
func TestCloseWhileHandshakesWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewServer(ServerConfig{TLS: ServerTLS{MaxHandshakes: 1}})
		one := &turn{of: &s.ep.turns, c: &Conn{}, until: time.Now().Add(time.Hour)}
		if err := one.take(); err != nil {
			t.Fatal(err)
		}
		start, got := time.Now(), make(chan error, 1)
		go func() { got <- (&turn{of: &s.ep.turns, c: &Conn{}, until: start.Add(time.Hour)}).take() }()
		synctest.Wait()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := <-got; err != errStopping || time.Since(start) != 0 {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

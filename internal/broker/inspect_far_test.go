// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"net"
	"net/netip"
	"testing"

	"github.com/twostage/twostage/internal/auth"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
)

// farListener's connections come from another machine.
type farListener struct{ net.Listener }

type farConn struct{ net.Conn }

func (l farListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return farConn{c}, nil
}

func (farConn) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort("10.0.0.9:4711"))
}

// far serves a broker's requests to a client of another machine, which signs as a
// user when it has a name.
func (w *world) far(name, secret string) func(code int32, h wire.Header) int32 {
	w.t.Helper()
	memory := remoting.NewMemNetwork()
	s := remoting.NewServer(remoting.ServerConfig{
		Addr: "10.0.0.1:10911",
		Listen: func(addr string) (net.Listener, error) {
			l, err := memory.Listen(addr)
			return farListener{l}, err
		},
		Routes: func(code int32) (remoting.Route, bool) { r, ok := w.table().routes[code]; return r, ok },
	})
	if err := s.Listen(); err != nil {
		w.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Run(w.ctx) }()
	cfg := remoting.ClientConfig{Dial: memory.Dial}
	if name != "" {
		cfg.Sign = remoting.Signer(auth.Credentials{AccessKey: name, SecretKey: secret})
	}
	c := remoting.NewClient(cfg)
	w.t.Cleanup(func() { _, _ = c.Close(), s.Close(); <-done })
	return func(code int32, h wire.Header) int32 {
		w.t.Helper()
		answer, err := c.Invoke(w.ctx, s.Addr().String(), &wire.Request{Code: code, Header: h})
		if err != nil {
			w.t.Fatal(err)
		}
		return answer.Code
	}
}

// TestInspectorOfOtherMachines: the guard alone says who may ask about transactions
// and decide them. Access control lets a super user of any machine, --insecure-admin
// everybody; without either nobody of another machine.
func TestInspectorOfOtherMachines(t *testing.T) {
	const secret = "secret-of-root"
	user := []string{"authenticationEnabled", "true", "authorizationEnabled", "true", "initAuthenticationUser", `{"username":"root","password":"` + secret + `"}`}
	for _, c := range []struct {
		name, user string
		keys       []string
		let        bool
	}{
		{"nothing", "", nil, false},
		{"insecureAdmin", "", []string{"insecureAdmin", "true"}, true},
		{"unsigned", "", user, false},
		{"a super user", "root", user, true},
	} {
		w := start(t, vfs.NewMem(), c.keys...)
		ask := w.far(c.user, secret)
		for code, h := range map[int32]wire.Header{
			wire.ReqTxList: &header.TxListRequest{}, wire.ReqTxShow: &header.TxRequest{ID: "3"}, wire.ReqTxRecheck: &header.TxRequest{ID: "3"},
			wire.ReqTxDecide: &header.TxDecideRequest{ID: "3", Outcome: header.TxCommit}, wire.ReqTxResume: &header.TxRequest{ID: "5"},
		} {
			want := int32(wire.NoPermission)
			if c.let {
				want = wire.QueryNotFound
				if code == wire.ReqTxList {
					want = wire.Success
				}
			}
			if got := ask(code, h); got != want {
				t.Errorf("%s: %s is answered with %d, want %d", c.name, wire.CodeName(code), got, want)
			}
		}
	}
}

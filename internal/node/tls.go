// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"

	"github.com/twostage/twostage/internal/config"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/secure"
)

// serverTLS is what the ports of a server, broker or namesrv, speak: all of them with
// the same certificate.
func (n *node) serverTLS(server string) (remoting.ServerTLS, error) {
	if s, ok := n.tls[server]; ok {
		return s, nil
	}
	c := n.Config.Broker.TLS
	if server == "namesrv" {
		c = n.Config.Namesrv.TLS
	}
	s, err := newServerTLS(c, n.Logger.With("server", server))
	if err == nil {
		n.tls[server] = s
	}
	return s, err
}

func newServerTLS(c config.TLS, log *slog.Logger) (s remoting.ServerTLS, err error) {
	if s.Mode, err = secure.ParseMode(c.Mode); err != nil || s.Mode == secure.Disabled {
		return s, err
	}
	auth, err := secure.ParseClientAuth(c.ClientAuth)
	if err != nil {
		return s, err
	}
	if auth == secure.AuthRequire && s.Mode != secure.Enforcing {
		log.Warn("clients need a certificate for TLS, but get in without one in plaintext: set tls.server.mode=enforcing", "tls.server.mode", s.Mode, "tls.server.need.client.auth", auth)
	}
	server, err := secure.NewServer(secure.ServerOptions{
		Files:      secure.Files{Cert: c.CertPath, Key: c.KeyPath, Password: c.KeyPassword, Trust: c.TrustPath},
		SelfSigned: c.SelfSigned, Auth: auth, VerifyClients: c.VerifyClients, Logger: log,
	})
	if err != nil {
		return s, fmt.Errorf("tls.server.*: %w", err)
	}
	s.Config = server.Config
	return s, nil
}

// clientTLS is how a server connects to others; nil: in plaintext.
func (n *node) clientTLS(c config.TLSClient) (func(addr string) (*tls.Config, error), error) {
	if !c.Enabled {
		return nil, nil
	}
	if !c.Verify {
		n.Logger.Warn("connections to other servers are encrypted, but anybody may answer in their place: set tls.client.authServer=true and tls.client.trustCertPath")
	}
	client, err := secure.NewClient(secure.ClientOptions{
		Files:      secure.Files{Cert: c.CertPath, Key: c.KeyPath, Password: c.KeyPassword, Trust: c.TrustPath},
		ServerName: c.ServerName, SkipVerify: !c.Verify, Logger: n.Logger,
	})
	if err != nil {
		return nil, fmt.Errorf("tls.client.*: %w", err)
	}
	return client.Config, nil
}

// shielded lets a listener of HTTP speak what the servers' ports do, to as many
// connections.
func (n *node) shielded(ln net.Listener) (net.Listener, error) {
	server, limits := "broker", n.Config.Broker.Limits
	if n.Role == config.RoleNamesrv {
		server, limits = "namesrv", n.Config.Namesrv.Limits
	}
	s, err := n.serverTLS(server)
	if err != nil {
		ln.Close() // its error is of no use: nothing was accepted
		return nil, err
	}
	b := newBounded(ln, limits, n.Logger)
	l := &secure.Listener{Listener: b, Mode: s.Mode, Config: s.Config}
	n.connections.http(b, l)
	return l, nil
}

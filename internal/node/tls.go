// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"crypto/tls"
	"fmt"
	"net"

	"github.com/twostage/twostage/internal/config"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/secure"
)

// serverTLS is what the ports of a server speak.
func (n *node) serverTLS(c config.TLS) (s remoting.ServerTLS, err error) {
	if s.Mode, err = secure.ParseMode(c.Mode); err != nil || s.Mode == secure.Disabled {
		return s, err
	}
	auth, err := secure.ParseClientAuth(c.ClientAuth)
	if err != nil {
		return s, err
	}
	server, err := secure.NewServer(secure.ServerOptions{
		Files:      secure.Files{Cert: c.CertPath, Key: c.KeyPath, Password: c.KeyPassword, Trust: c.TrustPath},
		SelfSigned: c.SelfSigned, Auth: auth, VerifyClients: c.VerifyClients, Logger: n.Logger,
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
	c, limits := n.Config.Broker.TLS, n.Config.Broker.Limits
	if n.Role == config.RoleNamesrv {
		c, limits = n.Config.Namesrv.TLS, n.Config.Namesrv.Limits
	}
	s, err := n.serverTLS(c)
	if err != nil {
		ln.Close() // its error is of no use: nothing was accepted
		return nil, err
	}
	b := newBounded(ln, limits, n.Logger)
	l := &secure.Listener{Listener: b, Mode: s.Mode, Config: s.Config}
	n.connections.http(b, l)
	return l, nil
}

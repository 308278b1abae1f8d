// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package secure

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// ServerOptions say how a server presents itself and what it asks of clients.
type ServerOptions struct {
	Files
	// SelfSigned makes a certificate in memory; Files.Cert and Files.Key are empty then.
	SelfSigned bool
	Auth       ClientAuth
	// VerifyClients checks certificates of clients against Files.Trust, or where that is
	// empty against the system's roots. Without it any certificate will do.
	VerifyClients bool
	Clock         func() time.Time // nil is time.Now
	Logger        *slog.Logger     // nil discards
}

// Server gives the configuration of a server's handshakes. Safe for concurrent use.
type Server struct {
	reload *reloader
	own    func() (tls.Certificate, error) // of SelfSigned
}

// NewServer reads the files; errors name them.
func NewServer(o ServerOptions) (*Server, error) {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	s := &Server{}
	switch {
	case o.SelfSigned && (o.Cert != "" || o.Key != ""):
		return nil, errors.New("a certificate of its own and certificate files exclude each other")
	case o.SelfSigned:
		s.own = sync.OnceValues(func() (tls.Certificate, error) { return selfSigned(o.Clock()) })
	case o.Cert == "" || o.Key == "":
		return nil, errors.New("a server needs a certificate and its private key, in PEM files")
	}
	var err error
	s.reload, err = newReloader(o.Files, o.Clock, o.Logger, func(c contents) (*tls.Config, error) {
		config := base(o.Clock)
		if !o.SelfSigned {
			cert, err := o.pair(c)
			if err != nil {
				return nil, err
			}
			config.Certificates = []tls.Certificate{cert}
		} else {
			config.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
				cert, err := s.own()
				return &cert, err
			}
		}
		config.ClientAuth = clientAuth(o.Auth, o.VerifyClients)
		if c.trust != nil && o.VerifyClients {
			if config.ClientCAs, err = o.pool(c); err != nil {
				return nil, err
			}
		}
		return config, nil
	})
	return s, err
}

// Config is the configuration of the next handshake. It is not to be changed.
func (s *Server) Config() (*tls.Config, error) { return s.reload.current(), nil }

func clientAuth(a ClientAuth, verify bool) tls.ClientAuthType {
	switch {
	case a == AuthRequire && verify:
		return tls.RequireAndVerifyClientCert
	case a == AuthRequire:
		return tls.RequireAnyClientCert
	case a == AuthOptional && verify:
		return tls.VerifyClientCertIfGiven
	case a == AuthOptional:
		return tls.RequestClientCert
	}
	return tls.NoClientCert
}

// base is what all configurations have.
func base(clock func() time.Time) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12, Time: clock,
		DynamicRecordSizingDisabled: true, // full records: each is a write
	}
}

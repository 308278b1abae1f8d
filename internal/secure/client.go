// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package secure

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"
)

// ClientOptions say how a client presents itself and what it asks of servers.
type ClientOptions struct {
	// Files.Cert and Files.Key, both or none, are for servers that ask for them;
	// servers are verified against Files.Trust, or where that is empty against the
	// system's roots.
	Files
	// ServerName is the name that a server's certificate must be for. "" is the host of
	// the address that is connected to.
	ServerName string
	// SkipVerify takes any certificate, so that anybody may answer in the server's place.
	SkipVerify bool
	Clock      func() time.Time // nil is time.Now
	Logger     *slog.Logger     // nil discards
}

// Client gives the configuration of a client's handshakes. Safe for concurrent use.
type Client struct {
	reload *reloader
	name   string
}

// NewClient reads the files; errors name them.
func NewClient(o ClientOptions) (*Client, error) {
	if (o.Cert == "") != (o.Key == "") {
		return nil, errors.New("a certificate of a client needs its private key, and the other way round")
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	var err error
	c := &Client{name: o.ServerName}
	c.reload, err = newReloader(o.Files, o.Clock, o.Logger, func(c contents) (*tls.Config, error) {
		config := base(o.Clock)
		config.InsecureSkipVerify = o.SkipVerify
		if o.Cert != "" {
			cert, err := o.pair(c)
			if err != nil {
				return nil, err
			}
			config.Certificates = []tls.Certificate{cert}
		}
		if o.Trust != "" {
			if config.RootCAs, err = o.pool(c); err != nil {
				return nil, err
			}
		}
		return config, nil
	})
	return c, err
}

// Config is the configuration for a connection to addr, host:port. It is the
// caller's.
func (c *Client) Config(addr string) (*tls.Config, error) {
	config := c.reload.current().Clone()
	config.ServerName = c.name
	if c.name == "" {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, fmt.Errorf("no host to verify: %w", err)
		}
		config.ServerName = host
	}
	return config, nil
}

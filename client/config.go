// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

// Times of a client.
const (
	standardTimeout = 3 * time.Second
	heartbeatPeriod = 30 * time.Second
	routeAge        = 30 * time.Second // a route is looked up again when it is older
	standInAge      = time.Second      // as routeAge, for the route of a topic that does not exist yet
	farewellTimeout = time.Second      // for telling brokers that a client goes
)

// Config is what all clients have.
type Config struct {
	// NameServers are host:port, tried in turn. Required.
	NameServers []string
	// Instance tells this client from others of the process in its client id.
	// Default: the process id and a number.
	Instance string
	// Timeout bounds one request. Default 3 s. A call's ctx bounds the call.
	Timeout time.Duration
	// Dial connects to host:port. Default: TCP.
	Dial func(ctx context.Context, addr string) (net.Conn, error)
	// TLS secures connections to name servers and brokers; nil: plaintext. Where it
	// has no ServerName, certificates must be for the host of the address that is
	// connected to. It must not be changed while clients use it.
	TLS *tls.Config
	// Credentials, when they have an AccessKey, sign every request.
	Credentials Credentials
	// Logger gets what no call can return. Default: nothing is logged.
	Logger *slog.Logger
}

// secured gives the TLS configuration for an address; nil: plaintext.
func (c Config) secured() func(addr string) (*tls.Config, error) {
	if c.TLS == nil {
		return nil
	}
	return func(addr string) (*tls.Config, error) {
		one := c.TLS.Clone()
		if one.ServerName == "" {
			host, _, err := net.SplitHostPort(addr)
			if err != nil {
				return nil, err
			}
			one.ServerName = host
		}
		return one, nil
	}
}

// Credentials are the access key and the secret that a server with access control
// knows the client by. They print without the secret.
type Credentials struct {
	AccessKey     string
	SecretKey     string
	SecurityToken string // optional, sent along and signed
}

// String does not show the secret.
func (c Credentials) String() string { return "credentials of " + c.AccessKey }

// GoString does not show the secret.
func (c Credentials) GoString() string { return c.String() }

// instances counts the clients of this process, for their ids.
var instances atomic.Uint64

// complete checks the configuration and fills in what was left out.
func (c Config) complete() (Config, error) {
	if len(c.NameServers) == 0 {
		return c, errors.New("client: no name server: Config.NameServers is empty")
	}
	for _, addr := range c.NameServers {
		if _, port, err := net.SplitHostPort(addr); err != nil || port == "" {
			return c, fmt.Errorf("client: name server %q is not host:port", addr)
		}
	}
	if strings.ContainsAny(c.Instance, "@\x00 ") {
		return c, fmt.Errorf("client: instance %q holds a blank or @", c.Instance)
	}
	if (c.Credentials.AccessKey == "") != (c.Credentials.SecretKey == "") {
		return c, errors.New("client: credentials need both AccessKey and SecretKey")
	}
	if c.Timeout < 0 {
		return c, fmt.Errorf("client: timeout %v is negative", c.Timeout)
	}
	if c.Timeout == 0 {
		c.Timeout = standardTimeout
	}
	if c.Instance == "" {
		c.Instance = fmt.Sprintf("%d#%d", os.Getpid(), instances.Add(1))
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, nil
}

// ownIP is an address of this machine, for ids: not a loopback one if there is
// another.
func ownIP() netip.Addr {
	addrs, _ := net.InterfaceAddrs() // none is as good as an error here
	best := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	for _, a := range addrs {
		p, err := netip.ParsePrefix(a.String())
		if err != nil || !p.Addr().Is4() || p.Addr().IsLoopback() || p.Addr().IsLinkLocalUnicast() {
			continue
		}
		return p.Addr()
	}
	return best
}

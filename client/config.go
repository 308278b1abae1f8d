// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"
)

// Times of a client.
const (
	standardTimeout = 3 * time.Second
	heartbeatPeriod = 30 * time.Second
	reunionPeriod   = time.Second      // between looks for brokers that are back
	routeAge        = 30 * time.Second // a route is looked up again when it is older
	standInAge      = time.Second      // as routeAge, for the route of a topic that does not exist yet
	lookUpRest      = 5 * time.Second  // a known route is not looked up so soon after that failed
	forgetAge       = 5 * time.Minute  // a route that was not used for so long is forgotten
	newerWait       = time.Second / 2  // who knows a route that does not do waits so long for a newer one
	greetWait       = time.Second / 2  // a request waits so long for more than one broker to know the client
	farewellTimeout = time.Second      // for telling brokers that a client goes
)

// common is what clients of all kinds have.
type common struct {
	nameServers []string // of WithNameServers
	nameDNS     string   // of WithNameServerDNS
	lookUp      func(ctx context.Context, host string) ([]string, error)
	names       *nameServers // of these, or of the environment
	instance    string
	timeout     time.Duration
	dial        func(ctx context.Context, addr string) (net.Conn, error)
	tls         *tls.Config
	credentials Credentials
	log         *slog.Logger
}

// secured gives the TLS configuration for an address; nil: plaintext.
func (c *common) secured() func(addr string) (*tls.Config, error) {
	if c.tls == nil {
		return nil
	}
	return func(addr string) (*tls.Config, error) {
		one := c.tls.Clone()
		if one.ServerName == "" {
			host, err := c.names.hostOf(addr)
			if err != nil {
				return nil, err
			}
			one.ServerName = host
		}
		return one, nil
	}
}

// Credentials are the access key and the secret that a server with access control
// knows the client by. They print, and go into logs and JSON, without the secret.
type Credentials struct {
	AccessKey     string
	SecretKey     string
	SecurityToken string // optional, sent along and signed
}

// String does not show the secret.
func (c Credentials) String() string { return "credentials of " + c.AccessKey }

// GoString does not show the secret.
func (c Credentials) GoString() string { return c.String() }

// MarshalText is String, for JSON and the like, which a structured log is written
// in. It does not fail.
func (c Credentials) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// complete checks the configuration and fills in what was left out.
func (c *common) complete() error {
	var err error
	if c.names, err = newNameServers(c.nameServers, c.nameDNS, c.lookUp); err != nil {
		return err
	}
	if strings.ContainsAny(c.instance, "@\x00 ") {
		return fmt.Errorf("client: instance %q holds a blank or @", c.instance)
	}
	if (c.credentials.AccessKey == "") != (c.credentials.SecretKey == "") {
		return errors.New("client: credentials need both AccessKey and SecretKey")
	}
	if c.timeout <= 0 {
		return fmt.Errorf("client: timeout %v is not above 0", c.timeout)
	}
	if c.instance == "" {
		// Address and process id may be those of others too: of containers.
		c.instance = fmt.Sprintf("%d#%d", os.Getpid(), rand.Uint64())
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	return nil
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

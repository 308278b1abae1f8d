// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// nameServersEnv is the environment variable that all of RocketMQ's programs take
// name servers from: host:port, separated by semicolons.
const nameServersEnv = "NAMESRV_ADDR"

// resolveAge is how old a look-up of WithNameServerDNS may be.
const resolveAge = 30 * time.Second

// nameServers are the addresses of the name servers, as they are given or as they
// are looked up.
type nameServers struct {
	fixed []string // host:port; nil: looked up

	host, port string
	lookUp     func(ctx context.Context, host string) ([]string, error)

	mu    sync.Mutex
	found []string
	at    time.Time
}

// String is them as they were given.
func (n *nameServers) String() string {
	all := strings.Join(n.given(), ", ")
	if n.fixed == nil {
		return "the name servers of " + all
	}
	return "name servers " + all
}

// given are the host:port that they were given by.
func (n *nameServers) given() []string {
	if n.fixed == nil {
		return []string{net.JoinHostPort(n.host, n.port)}
	}
	return n.fixed
}

// newNameServers checks what the options or else the environment say.
func newNameServers(fixed []string, dns string, lookUp func(ctx context.Context, host string) ([]string, error)) (*nameServers, error) {
	switch {
	case len(fixed) > 0 && dns != "":
		return nil, errors.New("client: WithNameServers and WithNameServerDNS exclude each other")
	case dns != "":
		host, port, err := net.SplitHostPort(dns)
		if err != nil || host == "" || port == "" {
			return nil, fmt.Errorf("client: name of the name servers %q is not host:port", dns)
		}
		return &nameServers{host: host, port: port, lookUp: lookUp}, nil
	}
	from := "WithNameServers"
	if len(fixed) == 0 {
		from = nameServersEnv
		fixed = strings.FieldsFunc(os.Getenv(nameServersEnv), func(c rune) bool { return c == ';' || c == ' ' })
	}
	if len(fixed) == 0 {
		return nil, fmt.Errorf("client: no name server: give WithNameServers or WithNameServerDNS, or set %s", nameServersEnv)
	}
	for _, addr := range fixed {
		if _, port, err := net.SplitHostPort(addr); err != nil || port == "" {
			return nil, fmt.Errorf("client: name server %q of %s is not host:port", addr, from)
		}
	}
	return &nameServers{fixed: fixed}, nil
}

// list gives the addresses, at least one. When the name can't be looked up it goes
// on with those found before.
func (n *nameServers) list(ctx context.Context, log *slog.Logger) ([]string, error) {
	if n.fixed != nil {
		return n.fixed, nil
	}
	n.mu.Lock()
	found, fresh := n.found, time.Since(n.at) < resolveAge
	n.mu.Unlock()
	if fresh && len(found) > 0 {
		return found, nil
	}
	hosts, err := n.lookUp(ctx, n.host)
	if err == nil && len(hosts) == 0 {
		err = fmt.Errorf("%s has no address", n.host)
	}
	if err != nil {
		if len(found) == 0 {
			return nil, fmt.Errorf("%w: %w", ErrNameServer, err)
		}
		log.Warn("client: going on with the name servers known before", "host", n.host, "err", err)
		return found, nil
	}
	found = make([]string, len(hosts))
	for i, host := range hosts {
		found[i] = net.JoinHostPort(host, n.port)
	}
	slices.Sort(found)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.found, n.at = found, time.Now()
	return found, nil
}

// silent says that none of them answered: the name is looked up again next time.
func (n *nameServers) silent() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.at = time.Time{}
}

// hostOf is the name by which the server at addr shows itself in TLS.
func (n *nameServers) hostOf(addr string) (string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if slices.Contains(n.found, addr) {
		return n.host, nil
	}
	host, _, err := net.SplitHostPort(addr)
	return host, err
}

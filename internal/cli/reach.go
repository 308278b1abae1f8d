// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"net"
	"strings"

	"github.com/spf13/cobra"

	"github.com/twostage/twostage/client"
	"github.com/twostage/twostage/internal/admin"
	"github.com/twostage/twostage/internal/cli/output"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
)

// cluster is how a command reaches a cluster.
type cluster struct {
	Process
	display
	namesrv string
	broker  string // address of the only broker to ask, instead of name servers
	tls     tlsFlags
	credentialFlags
}

// flag adds --namesrv.
func (c *cluster) flag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&c.namesrv, "namesrv", c.variable(variableNamesrv, "127.0.0.1:9876"), "name servers, `HOST:PORT;...`")
	c.tls.add(cmd)
}

// brokerFlag adds --broker.
func (c *cluster) brokerFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&c.broker, "broker", "", "ask the broker at `HOST:PORT` and no name server")
}

// servers are the name servers.
func (c *cluster) servers() ([]string, error) {
	var all []string
	for s := range strings.FieldsFuncSeq(c.namesrv, func(r rune) bool { return r == ';' || r == ',' }) {
		s = strings.TrimSpace(s)
		if host, port, err := net.SplitHostPort(s); err != nil || host == "" || port == "" {
			return nil, usagef("--namesrv %q is not HOST:PORT", s)
		}
		all = append(all, s)
	}
	if len(all) == 0 {
		return nil, usagef("--namesrv is empty")
	}
	return all, nil
}

// client is what clients of this command have in common.
func (c *cluster) client() ([]client.Option, error) {
	servers, err := c.servers()
	if err != nil {
		return nil, err
	}
	tls, err := c.tls.config()
	if err != nil {
		return nil, err
	}
	credentials, err := c.credentials(c.Process)
	return []client.Option{
		client.WithNameServers(servers...), client.WithTLS(tls), client.WithLogger(c.logger()), client.WithCredentials(client.Credentials(credentials)),
	}, err
}

// admin calls fn with an Admin.
func (c *cluster) admin(fn func(a *admin.Admin) error) (err error) {
	var servers []string
	if c.broker == "" {
		if servers, err = c.servers(); err != nil {
			return err
		}
	} else if host, port, err := net.SplitHostPort(c.broker); err != nil || host == "" || port == "" {
		return usagef("--broker %q is not HOST:PORT", c.broker)
	}
	tls, err := c.tls.client()
	if err != nil {
		return err
	}
	credentials, err := c.credentials(c.Process)
	if err != nil {
		return err
	}
	conns := remoting.NewClient(remoting.ClientConfig{TLS: tls, Language: wire.LanguageGo, Version: wire.Version, Logger: c.logger(), Sign: remoting.Signer(credentials)})
	defer func() { err = errors.Join(err, conns.Close()) }()
	return fn(admin.New(conns, servers))
}

// flags adds what every command has that talks to a cluster.
func (c *cluster) flags(cmd *cobra.Command) {
	c.flag(cmd)
	c.credentialFlags.add(cmd)
	c.formatFlag(cmd)
}

// look shows what fn finds with an Admin.
func (c *cluster) look(ctx context.Context, fn func(ctx context.Context, a *admin.Admin) (*output.View, error)) error {
	return c.admin(func(a *admin.Admin) error {
		return c.show(ctx, c.Process, func(ctx context.Context) (*output.View, error) { return fn(ctx, a) })
	})
}

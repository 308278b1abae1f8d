// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"

	"github.com/twostage/twostage/internal/rpc"
)

// Config is the configuration of a broker or a name server.
type Config struct {
	Of   string            `json:"of"` // a broker's name, or the address of a name server
	Keys map[string]string `json:"keys"`
}

// BrokerConfigs gives the configurations of brokers, secrets as asterisks; those of
// the brokers that answer come beside an error.
func (a *Admin) BrokerConfigs(ctx context.Context, nodes []Node) (all []Config, err error) {
	err = a.eachNode(ctx, nodes, func(ctx context.Context, n Node) error {
		keys, _, err := rpc.BrokerConfig(ctx, a.caller, n.Addr)
		if err == nil {
			all = append(all, Config{n.Name(), keys})
		}
		return err
	})
	return all, err
}

// NamesrvConfigs gives the configurations of all name servers.
func (a *Admin) NamesrvConfigs(ctx context.Context) (all []Config, err error) {
	err = a.each(ctx, a.servers, func(ctx context.Context, addr string) error {
		keys, err := rpc.NamesrvConfig(ctx, a.caller, addr)
		if err == nil {
			all = append(all, Config{addr, keys})
		}
		return err
	})
	return all, err
}

// Changed is a server that took a change of its configuration.
type Changed struct {
	Of   string `json:"of"`
	Note string `json:"note,omitempty"` // what the server adds, as that it lasts until the next start
}

// SetBrokerConfig changes keys of running brokers: in each all of them or none.
// Those that took it come beside an error.
func (a *Admin) SetBrokerConfig(ctx context.Context, nodes []Node, keys map[string]string) (done []Changed, err error) {
	err = a.eachNode(ctx, nodes, func(ctx context.Context, n Node) error {
		note, err := rpc.UpdateBrokerConfig(ctx, a.caller, n.Addr, keys)
		if err == nil {
			done = append(done, Changed{n.Name(), note})
		}
		return err
	})
	return done, err
}

// SetNamesrvConfig changes keys of all name servers, as SetBrokerConfig does.
func (a *Admin) SetNamesrvConfig(ctx context.Context, keys map[string]string) (done []Changed, err error) {
	err = a.each(ctx, a.servers, func(ctx context.Context, addr string) error {
		note, err := rpc.UpdateNamesrvConfig(ctx, a.caller, addr, keys)
		if err == nil {
			done = append(done, Changed{addr, note})
		}
		return err
	})
	return done, err
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/twostage/twostage/internal/admin"
	"github.com/twostage/twostage/internal/cli/output"
)

// The targets of `twostage config` that are no broker.
const (
	targetNamesrv = "namesrv"
	targetAll     = "all"
)

const configTarget = `TARGET is a broker's name or HOST:PORT, all for every broker, or namesrv for every name server. Name servers do
not know each other: those of --namesrv are meant. Secrets are shown as asterisks.`

func configCommand(p Process) *cobra.Command {
	return group("config", "Show and change configurations of running servers", configShow(p), configSet(p))
}

// configFlags say which servers a command means.
type configFlags struct {
	cluster
	name string // of the cluster, for all
}

func (f *configFlags) flags(cmd *cobra.Command) {
	f.cluster.flags(cmd)
	cmd.Flags().StringVar(&f.name, "cluster", "", "with all: only brokers of the cluster `NAME`")
	f.completeFlag(cmd, "cluster", clusterNames)
	f.completeArgs(cmd, func(ctx context.Context, a *admin.Admin) ([]string, error) {
		brokers, err := brokerNames(ctx, a)
		return append(brokers, targetAll, targetNamesrv), err
	})
}

// nodes are the brokers of a target.
func (f *configFlags) nodes(ctx context.Context, a *admin.Admin, target string) ([]admin.Node, error) {
	if target == targetAll {
		return a.Nodes(ctx, f.name)
	}
	if f.name != "" {
		return nil, usagef("--cluster is for the target all, not for %s", target)
	}
	n, err := a.Node(ctx, target)
	return []admin.Node{n}, err
}

func configShow(p Process) *cobra.Command {
	f := &configFlags{cluster: cluster{Process: p}}
	cmd := &cobra.Command{
		Use: "show TARGET [KEY ...]", Short: "Show the configuration of servers, or some of its keys", Args: args(1, 1000),
		Long:    "Show the configuration with which servers run, or some of its keys.\n\n" + configTarget,
		Example: "  twostage config show broker-a\n  twostage config show all brokerPermission fileReservedTime\n  twostage config show namesrv -o yaml",
		RunE: func(cmd *cobra.Command, given []string) error {
			return f.look(cmd.Context(), func(ctx context.Context, a *admin.Admin) (*output.View, error) {
				all, err := f.configs(ctx, a, given[0])
				if err != nil && len(all) == 0 {
					return nil, err
				}
				view, wrong := configView(all, given[1:])
				if wrong != nil {
					return nil, wrong
				}
				return view, err
			})
		},
	}
	f.flags(cmd)
	return cmd
}

func (f *configFlags) configs(ctx context.Context, a *admin.Admin, target string) ([]admin.Config, error) {
	if target == targetNamesrv {
		return a.NamesrvConfigs(ctx)
	}
	nodes, err := f.nodes(ctx, a, target)
	if err != nil {
		return nil, err
	}
	return a.BrokerConfigs(ctx, nodes)
}

// configView shows all keys, or the given ones, which some server must have.
func configView(all []admin.Config, keys []string) (*output.View, error) {
	known := map[string]bool{}
	for i, c := range all {
		for key := range c.Keys {
			known[key] = true
		}
		if len(keys) > 0 {
			all[i].Keys = maps.Clone(c.Keys)
			maps.DeleteFunc(all[i].Keys, func(key, _ string) bool { return !slices.Contains(keys, key) })
		}
	}
	for _, key := range keys {
		if !known[key] {
			return nil, fmt.Errorf("%w: %s", admin.ErrNoKey, key)
		}
	}
	of := output.Text("SERVER")
	if len(all) < 2 {
		of = of.Wide()
	}
	t := output.NewTable(of, output.Text("KEY"), output.Text("VALUE"))
	for _, c := range all {
		for _, key := range slices.Sorted(maps.Keys(c.Keys)) {
			t.Row(c.Of, key, keyText(key, c.Keys[key]))
		}
	}
	return output.Of(all, t), nil
}

func configSet(p Process) *cobra.Command {
	f, sure := &configFlags{cluster: cluster{Process: p}}, &consent{}
	cmd := &cobra.Command{
		Use: "set TARGET KEY=VALUE ...", Short: "Change keys of running servers", Args: args(2, 1000),
		Long: `Change keys of running servers: each server takes all of them or, where it refuses one, none. Only some keys can
change at run time; a server names the one that can't. docs/configuration.md lists them. Spans and sizes may be
written as 7d and 8MiB. Keys by which a broker would delete sooner what it keeps are asked about first.

` + configTarget,
		Example: "  twostage config set broker-a brokerPermission=4\n  twostage config set all fileReservedTime=7d deleteWhen=04",
		RunE: func(cmd *cobra.Command, given []string) error {
			keys, err := keyValues("config set", given[1:])
			if err != nil {
				return err
			}
			if err := plainKeys(keys); err != nil {
				return err
			}
			return f.admin(func(a *admin.Admin) error {
				done, err := f.set(cmd.Context(), a, sure, given[0], keys)
				for _, d := range done {
					fields := []any{"server", d.Of}
					for _, key := range slices.Sorted(maps.Keys(keys)) {
						fields = append(fields, key, keys[key])
					}
					if err := f.did(p, "changed", fields...); err != nil {
						return err
					}
					if d.Note != "" {
						fmt.Fprintf(p.Stderr, "%s: %s\n", d.Of, output.Printable(d.Note))
					}
				}
				return err
			})
		},
	}
	f.flags(cmd)
	sure.flag(cmd)
	return cmd
}

func (f *configFlags) set(ctx context.Context, a *admin.Admin, sure *consent, target string, keys map[string]string) ([]admin.Changed, error) {
	if target == targetNamesrv {
		return a.SetNamesrvConfig(ctx, keys)
	}
	nodes, err := f.nodes(ctx, a, target)
	if err != nil {
		return nil, err
	}
	lost, err := losses(ctx, a, nodes, keys)
	if err != nil {
		return nil, err
	}
	if len(lost) > 0 {
		why := "what brokers keep would be deleted sooner, for good: " + strings.Join(lost, "; ")
		if err := sure.ask(ctx, f.Process, why, why+".\nType yes to do it: ", "not changed"); err != nil {
			return nil, err
		}
	}
	return a.SetBrokerConfig(ctx, nodes, keys)
}

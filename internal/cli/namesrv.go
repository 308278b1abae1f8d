// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/twostage/twostage/internal/admin"
	"github.com/twostage/twostage/internal/cli/output"
)

func namesrvCommand(p Process) *cobra.Command {
	return group("namesrv", "Show name servers, and the values that they keep", namesrvList(p), kvCommand(p))
}

func namesrvList(p Process) *cobra.Command {
	c := &cluster{Process: p}
	cmd := &cobra.Command{
		Use: "list", Short: "List the name servers, and how much each knows", Args: args(0, 0),
		Long: "List the name servers of --namesrv with the number of brokers and topics that each knows. They do not know each\nother: where the numbers differ, some broker does not reach all of them.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.look(cmd.Context(), func(ctx context.Context, a *admin.Admin) (*output.View, error) {
				all, err := a.NameServers(ctx)
				if all == nil {
					return nil, err
				}
				t := output.NewTable(output.Text("ADDRESS"), output.Text("STATE"), output.Num("BROKERS"), output.Num("TOPICS"))
				for _, s := range all {
					if s.Error != "" {
						t.Row(s.Addr, "silent", nil, nil)
						continue
					}
					t.Row(s.Addr, "answers", s.Brokers, s.Topics)
				}
				return output.Of(all, t), err
			})
		},
	}
	c.flags(cmd)
	c.watchFlag(cmd)
	return cmd
}

func kvCommand(p Process) *cobra.Command {
	return group("kv", "Values that name servers keep", kvList(p), kvGet(p), kvSet(p), kvDelete(p))
}

func kvList(p Process) *cobra.Command {
	c := &cluster{Process: p}
	cmd := &cobra.Command{
		Use: "list NAMESPACE", Short: "List the values of a namespace", Args: args(1, 1),
		RunE: func(cmd *cobra.Command, given []string) error {
			return c.look(cmd.Context(), func(ctx context.Context, a *admin.Admin) (*output.View, error) {
				table, err := a.Values(ctx, given[0])
				if err != nil {
					return nil, err
				}
				t := output.NewTable(output.Text("KEY"), output.Text("VALUE"))
				for _, key := range slices.Sorted(maps.Keys(table)) {
					t.Row(key, table[key])
				}
				return output.Of(table, t), nil
			})
		},
	}
	c.flags(cmd)
	c.completeArgs(cmd, fixed(admin.OrderNamespace))
	return cmd
}

func kvGet(p Process) *cobra.Command {
	c := &cluster{Process: p}
	cmd := &cobra.Command{
		Use: "get NAMESPACE KEY", Short: "Print a value", Args: args(2, 2),
		RunE: func(cmd *cobra.Command, given []string) error {
			return c.look(cmd.Context(), func(ctx context.Context, a *admin.Admin) (*output.View, error) {
				value, err := a.Value(ctx, given[0], given[1])
				return output.Of(value, output.Lines{value}), err
			})
		},
	}
	c.flags(cmd)
	c.completeArgs(cmd, fixed(admin.OrderNamespace))
	return cmd
}

func kvSet(p Process) *cobra.Command {
	c := &cluster{Process: p}
	cmd := &cobra.Command{
		Use: "set NAMESPACE KEY VALUE", Short: "Set a value at every name server", Args: args(3, 3),
		RunE: func(cmd *cobra.Command, given []string) error {
			return c.admin(func(a *admin.Admin) error {
				if err := a.SetValue(cmd.Context(), given[0], given[1], given[2]); err != nil {
					return err
				}
				return c.did(p, "set", "namespace", given[0], "key", given[1], "value", given[2])
			})
		},
	}
	c.flags(cmd)
	c.completeArgs(cmd, fixed(admin.OrderNamespace))
	return cmd
}

func kvDelete(p Process) *cobra.Command {
	c, sure := &cluster{Process: p}, &consent{}
	cmd := &cobra.Command{
		Use: "delete NAMESPACE KEY", Short: "Delete a value at every name server", Args: args(2, 2),
		RunE: func(cmd *cobra.Command, given []string) error {
			why := fmt.Sprintf("the value of %s would be gone for good", given[1])
			if err := sure.ask(cmd.Context(), p, why, why+".\nType yes to delete it: ", "not deleted"); err != nil {
				return err
			}
			return c.admin(func(a *admin.Admin) error {
				if err := a.DeleteValue(cmd.Context(), given[0], given[1]); err != nil {
					return err
				}
				return c.did(p, "deleted", "namespace", given[0], "key", given[1])
			})
		},
	}
	c.flags(cmd)
	sure.flag(cmd)
	c.completeArgs(cmd, fixed(admin.OrderNamespace))
	return cmd
}

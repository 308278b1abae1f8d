// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/twostage/twostage/internal/admin"
	"github.com/twostage/twostage/internal/cli/output"
)

func producerCommand(p Process) *cobra.Command {
	return group("producer", "Look at the clients of producer groups",
		producerLook(p, "list", "List the clients of all producer groups", args(0, 0)),
		producerLook(p, "show GROUP", "List the clients of a producer group", args(1, 1)))
}

func producerLook(p Process, use, short string, count cobra.PositionalArgs) *cobra.Command {
	c := &cluster{Process: p}
	name := ""
	cmd := &cobra.Command{
		Use: use, Short: short, Args: count,
		RunE: func(cmd *cobra.Command, given []string) error {
			return c.look(cmd.Context(), func(ctx context.Context, a *admin.Admin) (*output.View, error) {
				return producersView(ctx, a, name, strings.Join(given, ""))
			})
		},
	}
	c.flags(cmd)
	c.watchFlag(cmd)
	c.clusterFlag(cmd, &name)
	return cmd
}

func producersView(ctx context.Context, a *admin.Admin, cluster, group string) (*output.View, error) {
	list, err := a.Producers(ctx, cluster, group)
	if len(list) == 0 && err != nil {
		return nil, err
	}
	t := output.NewTable(output.Text("GROUP"), output.Text("CLIENT"), output.Text("ADDRESS").Drop(4), output.Text("LANGUAGE").Drop(2), output.Num("VERSION").Drop(1), output.Text("BROKERS").Cut(1).Drop(3), output.Num("SEEN").Drop(3)).
		IfEmpty("no client of a producer group is online")
	now := time.Now()
	for _, p := range list {
		t.Row(p.Group, p.ClientID, p.Address, p.Language, p.Version, strings.Join(p.Brokers, ","), output.Ago(p.Seen, now))
	}
	return output.Of(list, t), err
}

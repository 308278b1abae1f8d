// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/twostage/twostage/internal/admin"
	"github.com/twostage/twostage/internal/cli/output"
)

func groupCommand(p Process) *cobra.Command {
	return group("group", "Show consumer groups", groupShow(p))
}

func groupShow(p Process) *cobra.Command {
	c := &cluster{Process: p}
	name := ""
	cmd := &cobra.Command{
		Use: "show GROUP", Short: "Show the clients of a consumer group, what they subscribe to, and who differs", Args: args(1, 1),
		RunE: func(cmd *cobra.Command, given []string) error {
			return c.look(cmd.Context(), func(ctx context.Context, a *admin.Admin) (*output.View, error) {
				return groupView(ctx, a, name, given[0])
			})
		},
	}
	c.flags(cmd)
	c.watchFlag(cmd)
	c.clusterFlag(cmd, &name)
	c.completeArgs(cmd, groupNames)
	return cmd
}

func groupView(ctx context.Context, a *admin.Admin, cluster, name string) (*output.View, error) {
	list, failed := a.ConsumerGroup(ctx, cluster, name)
	if len(list) == 0 {
		return nil, failed
	}
	clients := output.NewTable(output.Text("BROKER"), output.Text("CLIENT"), output.Text("ADDRESS"), output.Text("LANGUAGE"), output.Text("TYPE"), output.Text("MODEL"))
	topics := output.NewTable(output.Text("BROKER"), output.Text("TOPIC"), output.Text("TYPE"), output.Text("EXPRESSION"))
	view := output.Of(list, clients, topics)
	for _, g := range list {
		for _, c := range g.ConnectionSet {
			clients.Row(g.Broker.Name, c.ClientID, c.ClientAddr, c.Language, g.ConsumeType, g.MessageModel)
		}
		for _, topic := range slices.Sorted(maps.Keys(g.SubscriptionTable)) {
			s := g.SubscriptionTable[topic]
			topics.Row(g.Broker.Name, topic, cmp.Or(s.ExpressionType, "TAG"), s.SubString)
		}
		for _, k := range g.SubscriptionConflicts {
			view.Parts = append(view.Parts, output.Line(fmt.Sprintf("CONFLICT at %s, topic %s: %s has %q, %s has %q (\"\": not subscribed); each may miss messages",
				g.Broker.Name, k.Topic, k.ClientID, k.Expression, k.OtherClientID, k.OtherExpression)))
		}
	}
	return view, failed
}

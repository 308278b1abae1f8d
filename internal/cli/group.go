// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/twostage/twostage/internal/admin"
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
			return c.admin(func(a *admin.Admin) error { return showGroup(cmd.Context(), p, a, name, given[0]) })
		},
	}
	c.flag(cmd)
	cmd.Flags().StringVar(&name, "cluster", "", "only brokers of the cluster `NAME`")
	return cmd
}

func showGroup(ctx context.Context, p Process, a *admin.Admin, cluster, name string) error {
	list, failed := a.ConsumerGroup(ctx, cluster, name)
	if len(list) == 0 {
		return failed
	}
	w := tabwriter.NewWriter(p.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "BROKER\tCLIENT\tADDRESS\tLANGUAGE\tTYPE\tMODEL")
	for _, g := range list {
		for _, c := range g.ConnectionSet {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", g.Broker.Name, c.ClientID, c.ClientAddr, c.Language, g.ConsumeType, g.MessageModel)
		}
	}
	fmt.Fprintln(w, "\nBROKER\tTOPIC\tTYPE\tEXPRESSION")
	for _, g := range list {
		for _, topic := range slices.Sorted(maps.Keys(g.SubscriptionTable)) {
			s := g.SubscriptionTable[topic]
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", g.Broker.Name, topic, cmp.Or(s.ExpressionType, "TAG"), s.SubString)
		}
	}
	err := w.Flush()
	for _, g := range list {
		for _, k := range g.SubscriptionConflicts {
			_, e := fmt.Fprintf(p.Stdout, "\nCONFLICT at %s, topic %s: %s has %q, %s has %q (\"\": not subscribed); each may miss messages\n",
				g.Broker.Name, k.Topic, k.ClientID, k.Expression, k.OtherClientID, k.OtherExpression)
			err = errors.Join(err, e)
		}
	}
	return errors.Join(err, failed)
}

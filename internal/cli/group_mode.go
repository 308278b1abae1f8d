// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/twostage/twostage/internal/admin"
	"github.com/twostage/twostage/internal/cli/output"
	"github.com/twostage/twostage/internal/wire/body"
)

func groupMode(p Process) *cobra.Command {
	c := &cluster{Process: p}
	name, topic, share := "", "", int32(0)
	cmd := &cobra.Command{
		Use: "mode GROUP [pull|pop]", Short: "Say whether a consumer group pulls or pops a topic, or show what is said", Args: args(1, 2),
		Long: `Say whether a consumer group pulls a topic, each client its queues, or pops it, all clients from all queues. Only
consumers of RocketMQ 5 ask; they follow within half a minute. Without pull or pop show what is said: where nothing
is, the group pulls.`,
		RunE: func(cmd *cobra.Command, given []string) error {
			if len(given) == 1 {
				return c.look(cmd.Context(), func(ctx context.Context, a *admin.Admin) (*output.View, error) {
					return modesView(ctx, a, name, given[0])
				})
			}
			mode := body.RequestMode(strings.ToUpper(given[1]))
			switch {
			case !slices.Contains([]body.RequestMode{body.RequestPull, body.RequestPop}, mode):
				return usagef("mode %q: accepted are pull, pop", given[1])
			case topic == "":
				return usagef("say which topic with --topic")
			}
			return c.admin(func(a *admin.Admin) error {
				brokers, err := a.SetRequestMode(cmd.Context(), name, given[0], topic, mode, share)
				for _, b := range brokers {
					if err := c.did(p, "set", "group", given[0], "topic", topic, "broker", b.Name, "mode", given[1]); err != nil {
						return err
					}
				}
				return err
			})
		},
	}
	c.flags(cmd)
	c.oneClusterFlag(cmd, &name)
	c.topicFlag(cmd, &topic, "the `topic`; required to set a mode")
	cmd.Flags().Int32Var(&share, "share", 0, "under pop, with how many others a client shares its queues; 0: with all")
	c.completeArgs(cmd, groupNames, fixed("pull", "pop"))
	return cmd
}

func modesView(ctx context.Context, a *admin.Admin, cluster, group string) (*output.View, error) {
	list, err := a.RequestModes(ctx, cluster, group)
	if len(list) == 0 && err != nil {
		return nil, err
	}
	t := output.NewTable(output.Text("BROKER"), output.Text("TOPIC"), output.Text("MODE"), output.Num("SHARE")).IfEmpty("nothing is said: the group pulls")
	for _, m := range list {
		t.Row(m.Broker, m.Topic, strings.ToLower(string(m.Mode)), m.Share)
	}
	return output.Of(list, t), err
}

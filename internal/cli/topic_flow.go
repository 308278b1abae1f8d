// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/twostage/twostage/internal/admin"
	"github.com/twostage/twostage/internal/cli/output"
)

func topicStats(p Process) *cobra.Command {
	c := &cluster{Process: p}
	active := false
	cmd := &cobra.Command{
		Use: "stats [TOPIC ...]", Short: "Show how fast messages come into topics and go out to their groups", Args: args(0, 1000),
		Long: "Show how fast messages come into topics and go out to each group, how many did in the last 24 hours, and how\nmany wait: of the given topics, or of all. Rates are messages a second over the last minute.",
		RunE: func(cmd *cobra.Command, given []string) error {
			return c.look(cmd.Context(), func(ctx context.Context, a *admin.Admin) (*output.View, error) {
				return statsView(ctx, a, given, active)
			})
		},
	}
	c.flags(cmd)
	c.watchFlag(cmd)
	c.completeArgs(cmd, slices.Repeat([]names{topicNames}, 20)...)
	cmd.Flags().BoolVar(&active, "active", false, "only where something came, went or waits")
	return cmd
}

func statsView(ctx context.Context, a *admin.Admin, topics []string, active bool) (*output.View, error) {
	if len(topics) == 0 {
		var err error
		if topics, err = userTopics(ctx, a); err != nil {
			return nil, err
		}
	}
	t := output.NewTable(output.Text("TOPIC").Cut(1), output.Text("GROUP").Cut(2), output.Num("BACKLOG"), output.Num("IN/S"), output.Num("OUT/S"), output.Num("IN 24H"), output.Num("OUT 24H"))
	all, errs := []admin.Flow{}, []error(nil)
	for _, topic := range topics {
		flows, err := a.Flows(ctx, topic)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		errs = append(errs, err)
		for _, f := range flows {
			if active && f.In+f.Out == 0 && f.Backlog+f.InDay+f.OutDay == 0 {
				continue
			}
			all = append(all, f)
			t.Row(f.Topic, f.Group, f.Backlog, fmt.Sprintf("%.1f", f.In), fmt.Sprintf("%.1f", f.Out), f.InDay, f.OutDay)
		}
	}
	err := errors.Join(errs...)
	if len(all) == 0 && err != nil {
		return nil, err
	}
	return output.Of(all, t), err
}

func topicQueue(p Process) *cobra.Command {
	c := &cluster{Process: p}
	from, count, group := int64(-1), int32(0), ""
	cmd := &cobra.Command{
		Use: "queue TOPIC BROKER/ID", Short: "Show entries of a queue: where each message is in the log", Args: args(2, 2),
		Long: `Show entries of a topic's queue, the last ones or those from an offset on: where the record of each is in the log,
its size, the hash of its tag and, with --group, whether the group's subscription takes it.`,
		Example: "  twostage topic queue orders broker-a/0 --from 1000 --group billing",
		RunE: func(cmd *cobra.Command, given []string) error {
			q, err := parseQueue(given[0], given[1])
			if err != nil {
				return err
			}
			if count < 1 {
				return usagef("--last %d: at least 1", count)
			}
			return c.look(cmd.Context(), func(ctx context.Context, a *admin.Admin) (*output.View, error) {
				return queueView(ctx, a, given[0], q.Broker, q.ID, from, count, group)
			})
		},
	}
	c.flags(cmd)
	c.completeArgs(cmd, topicNames)
	cmd.Flags().Int64Var(&from, "from", -1, "`offset` of the first; -1: the last ones")
	cmd.Flags().Int32VarP(&count, "last", "n", 10, "how many")
	cmd.Flags().StringVar(&group, "group", "", "`group` whose subscription is looked at")
	c.completeFlag(cmd, "group", groupNames)
	return cmd
}

func queueView(ctx context.Context, a *admin.Admin, topic, broker string, queue int32, from int64, count int32, group string) (*output.View, error) {
	if from < 0 {
		ends, err := a.QueueEntries(ctx, topic, broker, queue, 0, 1, group)
		if err != nil {
			return nil, err
		}
		from = max(ends.MaxQueueIndex-int64(count), ends.MinQueueIndex)
	}
	b, err := a.QueueEntries(ctx, topic, broker, queue, from, count, group)
	if err != nil {
		return nil, err
	}
	f := &output.Fields{}
	f.Addf("queue", "%s %s/%d", topic, broker, queue)
	f.Addf("offsets", "%d to %d", b.MinQueueIndex, b.MaxQueueIndex)
	if s := b.SubscriptionData; s != nil {
		f.Addf("subscription", "%s of %s", s.SubString, group)
	}
	t := output.NewTable(output.Num("OFFSET"), output.Num("RECORD"), output.Num("SIZE"), output.Num("TAG HASH"), output.Text("TAKEN"), output.Text("NOTE").Cut(1)).IfEmpty("no entries there")
	for i, e := range b.QueueData {
		taken := ""
		if b.SubscriptionData != nil {
			taken = strconv.FormatBool(e.Eval)
		}
		t.Row(from+int64(i), e.PhysicOffset, e.PhysicSize, e.TagsCode, taken, e.Msg)
	}
	return output.Of(b, f, t), nil
}

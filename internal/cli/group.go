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
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/twostage/twostage/internal/admin"
	"github.com/twostage/twostage/internal/cli/output"
	"github.com/twostage/twostage/message"
)

func groupCommand(p Process) *cobra.Command {
	return group("group", "Show, make and change consumer groups, and see how far they are",
		groupList(p), groupShow(p), groupLag(p), groupClients(p), groupCreate(p), groupUpdate(p), groupDelete(p), groupMode(p))
}

// oneClusterFlag adds --cluster for commands that change something.
func (c *cluster) oneClusterFlag(cmd *cobra.Command, name *string) {
	cmd.Flags().StringVar(name, "cluster", "", "`name` of the cluster; the only one when not given")
	c.completeFlag(cmd, "cluster", clusterNames)
}

// topicFlag adds --topic.
func (c *cluster) topicFlag(cmd *cobra.Command, to *string, usage string) {
	cmd.Flags().StringVar(to, "topic", "", usage)
	c.completeFlag(cmd, "topic", topicNames)
}

// brokersOwn tells whether a consumer group is one that brokers make for themselves
// and for tools.
func brokersOwn(group string) bool {
	switch group {
	case message.GroupTools, message.GroupFilterServer, message.GroupSelfTestConsumer, message.GroupSelfTestProducer, message.GroupONSHTTPProxy,
		message.GroupONSPermission, message.GroupONSOwner, message.GroupONSPull, message.GroupMonitor, message.GroupClientInnerProducer, message.GroupSchedule:
		return true
	}
	return message.IsSystemGroup(group)
}

func groupList(p Process) *cobra.Command {
	c := &cluster{Process: p}
	name, all := "", false
	cmd := &cobra.Command{
		Use: "list", Short: "List the consumer groups and how brokers are set up for them", Args: args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.look(cmd.Context(), func(ctx context.Context, a *admin.Admin) (*output.View, error) { return groupsView(ctx, a, name, all) })
		},
	}
	c.flags(cmd)
	c.clusterFlag(cmd, &name)
	cmd.Flags().BoolVar(&all, "all", false, "also those that brokers make for themselves")
	return cmd
}

func groupsView(ctx context.Context, a *admin.Admin, cluster string, all bool) (*output.View, error) {
	list, err := a.Groups(ctx, cluster)
	if !all {
		list = slices.DeleteFunc(list, func(g admin.Group) bool { return brokersOwn(g.Name) })
	}
	if len(list) == 0 && err != nil {
		return nil, err
	}
	t := output.NewTable(output.Text("GROUP"), output.Text("BROKERS").Cut(1), output.Text("CONSUME"), output.Num("TRIES"), output.Text("ORDER"), output.Text("BROADCAST")).
		IfEmpty("there is no consumer group")
	for _, g := range list {
		var brokers []string
		for _, at := range g.At {
			brokers = append(brokers, at.Broker)
		}
		s := g.At[0].Config
		t.Row(g.Name, strings.Join(brokers, ","), yesNo(s.ConsumeEnable), s.RetryMaxTimes, yesNo(s.ConsumeMessageOrderly), yesNo(s.ConsumeBroadcastEnable))
	}
	return output.Of(list, t), err
}

func yesNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}

func groupShow(p Process) *cobra.Command {
	c := &cluster{Process: p}
	name := ""
	cmd := &cobra.Command{
		Use: "show GROUP", Short: "Show a consumer group: settings, clients, what they subscribe to, and who differs", Args: args(1, 1),
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

// shownGroup is a group as JSON.
type shownGroup struct {
	Name   string              `json:"name"`
	At     []admin.GroupAt     `json:"at"`
	Online []admin.OnlineGroup `json:"online"`
}

func groupView(ctx context.Context, a *admin.Admin, cluster, name string) (*output.View, error) {
	set, err := a.Group(ctx, cluster, name)
	if set == nil && !errors.Is(err, admin.ErrNoGroup) {
		return nil, err
	}
	online, failed := a.ConsumerGroup(ctx, cluster, name)
	if set == nil && len(online) == 0 {
		return nil, err
	}
	shown := shownGroup{Name: name, At: []admin.GroupAt{}, Online: []admin.OnlineGroup{}}
	if set == nil {
		set = &admin.Group{}
	} else if err != nil {
		failed = errors.Join(err, failed)
	}
	shown.At, shown.Online = append(shown.At, set.At...), append(shown.Online, online...)
	settings := output.NewTable(output.Text("BROKER"), output.Text("CONSUME"), output.Num("TRIES"), output.Num("RETRY QUEUES"), output.Text("ORDER"), output.Text("BROADCAST"))
	for _, at := range set.At {
		s := at.Config
		settings.Row(at.Broker, yesNo(s.ConsumeEnable), s.RetryMaxTimes, s.RetryQueueNums, yesNo(s.ConsumeMessageOrderly), yesNo(s.ConsumeBroadcastEnable))
	}
	view := output.Of(shown, settings)
	if errors.Is(failed, admin.ErrNotOnline) {
		return view.Note("no client of the group is online"), nil
	}
	view.Parts = append(view.Parts, onlineParts(online)...)
	return view, failed
}

// onlineParts are the clients of a group, its subscriptions, and who differs.
func onlineParts(online []admin.OnlineGroup) []output.Part {
	clients := output.NewTable(output.Text("BROKER"), output.Text("CLIENT"), output.Text("ADDRESS"), output.Text("LANGUAGE").Drop(1), output.Text("TYPE").Drop(2), output.Text("MODEL").Drop(3))
	topics := output.NewTable(output.Text("BROKER"), output.Text("TOPIC"), output.Text("TYPE"), output.Text("EXPRESSION").Cut(1))
	parts := []output.Part{clients, topics}
	for _, g := range online {
		for _, c := range g.ConnectionSet {
			clients.Row(g.Broker, c.ClientID, c.ClientAddr, c.Language, g.ConsumeType, g.MessageModel)
		}
		for _, topic := range slices.Sorted(maps.Keys(g.SubscriptionTable)) {
			s := g.SubscriptionTable[topic]
			topics.Row(g.Broker, topic, cmp.Or(s.ExpressionType, "TAG"), s.SubString)
		}
		for _, k := range g.SubscriptionConflicts {
			parts = append(parts, output.Line(fmt.Sprintf("CONFLICT at %s, topic %s: %s has %q, %s has %q (\"\": not subscribed); each may miss messages",
				g.Broker, k.Topic, k.ClientID, k.Expression, k.OtherClientID, k.OtherExpression)))
		}
	}
	return parts
}

func groupLag(p Process) *cobra.Command {
	c := &cluster{Process: p}
	name, topic := "", ""
	cmd := &cobra.Command{
		Use: "lag [GROUP]", Short: "Show how far a consumer group is behind in each queue, or all groups", Args: args(0, 1),
		Long: `Show how far a consumer group is behind in each queue: the messages it has not consumed, and how long the
oldest of them has been waiting. Without GROUP show the sums of all groups.`,
		Example: `  twostage group lag
  twostage group lag billing --watch
  twostage group lag billing --topic orders -o json`,
		RunE: func(cmd *cobra.Command, given []string) error {
			return c.look(cmd.Context(), func(ctx context.Context, a *admin.Admin) (*output.View, error) {
				if len(given) == 0 {
					return lagsView(ctx, a, name, topic)
				}
				return lagView(ctx, a, name, given[0], topic)
			})
		},
	}
	c.flags(cmd)
	c.watchFlag(cmd)
	c.clusterFlag(cmd, &name)
	c.topicFlag(cmd, &topic, "only this `topic`")
	c.completeArgs(cmd, groupNames)
	return cmd
}

// shownProgress is a group's progress as JSON.
type shownProgress struct {
	*admin.Progress
	Waiting time.Time `json:"waiting,omitzero"`
}

func lagView(ctx context.Context, a *admin.Admin, cluster, name, topic string) (*output.View, error) {
	p, err := a.Progress(ctx, cluster, name, topic, true)
	if p == nil || len(p.Queues) == 0 {
		return nil, err
	}
	now := time.Now()
	t := output.NewTable(output.Text("TOPIC").Cut(1), output.Text("BROKER"), output.Num("QUEUE"), output.Num("NEXT"), output.Num("END"), output.Num("LAG"),
		output.Num("WAITING"), output.Text("CONSUMED").Wide())
	for _, q := range p.Queues {
		next := any(q.Next)
		if q.Next < 0 {
			next = nil
		}
		t.Row(q.Topic, q.Broker, q.ID, next, q.End, q.Lag, output.Ago(q.Waiting, now), output.Time(q.Consumed))
	}
	sums := &output.Fields{}
	sums.Add("lag", p.Lag)
	sums.Add("waiting", output.Ago(p.Waiting(), now))
	sums.Addf("rate", "%.1f/s", p.Rate)
	return output.Of(shownProgress{p, p.Waiting()}, t, sums), err
}

// groupSum is the progress of one of all groups.
type groupSum struct {
	Group   string  `json:"group"`
	Clients int     `json:"clients"`
	Queues  int     `json:"queues"`
	Lag     int64   `json:"lag"`
	Rate    float64 `json:"rate"`
}

func lagsView(ctx context.Context, a *admin.Admin, cluster, topic string) (*output.View, error) {
	groups, err := a.Groups(ctx, cluster)
	if len(groups) == 0 && err != nil {
		return nil, err
	}
	errs := []error{err}
	sums := []groupSum{}
	for _, g := range groups {
		p, err := a.Progress(ctx, cluster, g.Name, topic, false)
		if p == nil {
			if !errors.Is(err, admin.ErrNoProgress) {
				errs = append(errs, err)
			}
			continue
		}
		s := groupSum{Group: g.Name, Queues: len(p.Queues), Lag: p.Lag, Rate: p.Rate}
		members, failed := a.Members(ctx, cluster, g.Name, false, false)
		if errors.Is(failed, admin.ErrNotOnline) {
			failed = nil
		}
		s.Clients = len(members)
		sums = append(sums, s)
		if errs = append(errs, err, failed); ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	t := output.NewTable(output.Text("GROUP"), output.Num("CLIENTS"), output.Num("QUEUES"), output.Num("LAG"), output.Num("RATE")).IfEmpty("no consumer group has consumed anything")
	for _, s := range sums {
		t.Row(s.Group, s.Clients, s.Queues, s.Lag, fmt.Sprintf("%.1f/s", s.Rate))
	}
	return output.Of(sums, t), errors.Join(errs...)
}

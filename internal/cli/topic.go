// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
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

// routePatience is how long a created topic may take to appear in routes.
const routePatience = 10 * time.Second

func topicCommand(p Process) *cobra.Command {
	return group("topic", "Create, show, write and read topics",
		topicList(p), topicShow(p), topicRoute(p), topicCreate(p), topicUpdate(p), topicDelete(p), topicOrder(p), topicStats(p), topicQueue(p), topicSend(p), topicTail(p))
}

func topicCreate(p Process) *cobra.Command {
	c := &cluster{Process: p}
	t := admin.Topic{}
	perm := ""
	cmd := &cobra.Command{
		Use: "create TOPIC", Short: "Create a topic on all brokers of a cluster", Args: args(1, 1),
		Long: `Create a topic on all brokers of a cluster. Where brokers have it already, with the settings that are asked for, it is
made on those that do not, such as one that has joined the cluster later.`,
		RunE: func(cmd *cobra.Command, given []string) error {
			t.Name = given[0]
			var err error
			if t.Perm, err = parsePerm(perm); err != nil {
				return err
			}
			return c.admin(func(a *admin.Admin) error { return createTopic(cmd.Context(), c, a, t) })
		},
	}
	c.flags(cmd)
	cmd.Flags().Int32Var(&t.Queues, "queues", 8, "queues on each broker")
	cmd.Flags().StringVar(&perm, "perm", "rw", "rw, r or w")
	complete(cmd, "perm", "rw", "r", "w")
	cmd.Flags().StringVar(&t.Cluster, "cluster", "", "`name` of the cluster; the only one when not given")
	c.completeFlag(cmd, "cluster", clusterNames)
	cmd.Flags().BoolVar(&t.Order, "order", false, "queues keep their place when a broker is down")
	return cmd
}

func createTopic(ctx context.Context, c *cluster, a *admin.Admin, t admin.Topic) error {
	done, err := a.CreateTopic(ctx, t)
	for _, b := range done {
		if err := c.did(c.Process, "created", "topic", t.Name, "broker", b.Name, "addr", b.Addrs[0], "queues", t.Queues); err != nil {
			return err
		}
	}
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, routePatience)
	defer cancel()
	if err := a.AwaitRoute(ctx, t.Name, done); err != nil || !t.Order {
		return err
	}
	text, err := a.SetOrder(ctx, t.Name, nil)
	if err != nil {
		return err
	}
	return c.did(c.Process, "set", "topic", t.Name, "order", text)
}

func topicList(p Process) *cobra.Command {
	c := &cluster{Process: p}
	all := false
	cmd := &cobra.Command{
		Use: "list", Short: "List the topics, one a line", Args: args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.look(cmd.Context(), func(ctx context.Context, a *admin.Admin) (*output.View, error) { return listTopics(ctx, a, all) })
		},
	}
	c.flags(cmd)
	c.watchFlag(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "also those of the brokers themselves, and of retries and dead letters")
	return cmd
}

func listTopics(ctx context.Context, a *admin.Admin, all bool) (*output.View, error) {
	find := userTopics
	if all {
		find = topicNames
	}
	shown, err := find(ctx, a)
	if err != nil {
		return nil, err
	}
	shown = append([]string{}, shown...) // as JSON a list, not null
	return output.Of(shown, output.Lines(shown)), nil
}

// userTopics are the topics that belong to neither brokers nor groups.
func userTopics(ctx context.Context, a *admin.Admin) ([]string, error) {
	names, err := a.Topics(ctx)
	if err != nil {
		return nil, err
	}
	brokers, err := a.Brokers(ctx)
	if err != nil {
		return nil, err
	}
	own := map[string]bool{}
	for _, b := range brokers {
		own[b.Name], own[b.Cluster], own[b.Cluster+"_"+message.ReplySuffix] = true, true, true
	}
	return slices.DeleteFunc(names, func(name string) bool {
		return own[name] || message.IsSystemTopic(name) || strings.HasPrefix(name, message.RetryPrefix) || strings.HasPrefix(name, message.DLQPrefix)
	}), nil
}

func topicRoute(p Process) *cobra.Command {
	c := &cluster{Process: p}
	cmd := &cobra.Command{
		Use: "route TOPIC", Short: "Show the brokers and queues of a topic", Args: args(1, 1),
		RunE: func(cmd *cobra.Command, given []string) error {
			return c.look(cmd.Context(), func(ctx context.Context, a *admin.Admin) (*output.View, error) { return routeView(ctx, a, given[0]) })
		},
	}
	c.flags(cmd)
	c.watchFlag(cmd)
	c.completeArgs(cmd, topicNames)
	return cmd
}

func routeView(ctx context.Context, a *admin.Admin, topic string) (*output.View, error) {
	data, err := a.Route(ctx, topic)
	if err != nil {
		return nil, err
	}
	t := output.NewTable(output.Text("BROKER"), output.Text("CLUSTER"), output.Num("READ"), output.Num("WRITE"), output.Text("PERM"), output.Text("ADDRESSES"))
	for _, q := range data.QueueDatas {
		cluster, addrs := "", []string{}
		for _, b := range data.BrokerDatas {
			if b.BrokerName != q.BrokerName {
				continue
			}
			cluster = b.Cluster
			for _, id := range slices.Sorted(maps.Keys(b.BrokerAddrs)) {
				addrs = append(addrs, fmt.Sprintf("%d=%s", id, b.BrokerAddrs[id]))
			}
		}
		t.Row(q.BrokerName, cluster, q.ReadQueueNums, q.WriteQueueNums, permText(q.Perm), strings.Join(addrs, " "))
	}
	return output.Of(data, t), nil
}

// permText is a permission as RocketMQ's tools show it.
func permText(perm int32) string {
	text := []byte("---")
	for i, letter := range []byte("RWX") {
		if perm&(4>>i) != 0 {
			text[i] = letter
		}
	}
	return string(text)
}

func topicDelete(p Process) *cobra.Command {
	c, sure := &cluster{Process: p}, &consent{}
	name := ""
	cmd := &cobra.Command{
		Use: "delete TOPIC", Short: "Delete a topic and its messages on all brokers of a cluster", Args: args(1, 1),
		RunE: func(cmd *cobra.Command, given []string) error {
			return c.admin(func(a *admin.Admin) error {
				t, err := a.TopicIn(cmd.Context(), given[0], name)
				if err != nil {
					return err
				}
				why := fmt.Sprintf("the %d messages of %s at %s of cluster %s would be gone for good", t.Messages, t.Name, strings.Join(t.Brokers, ", "), t.Cluster)
				if err := sure.ask(cmd.Context(), p, why, why+".\nType yes to delete it: ", "not deleted"); err != nil {
					return err
				}
				done, err := a.DeleteTopic(cmd.Context(), t.Name, t.Cluster)
				for _, b := range done {
					if err := c.did(p, "deleted", "topic", t.Name, "cluster", b.Cluster, "broker", b.Name); err != nil {
						return err
					}
				}
				return err
			})
		},
	}
	c.flags(cmd)
	c.completeArgs(cmd, topicNames)
	cmd.Flags().StringVar(&name, "cluster", "", "`name` of the cluster; the only one when not given")
	c.completeFlag(cmd, "cluster", clusterNames)
	sure.flag(cmd)
	return cmd
}

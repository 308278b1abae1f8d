// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/twostage/twostage/internal/admin"
	"github.com/twostage/twostage/internal/cli/output"
)

func clusterCommand(p Process) *cobra.Command {
	return group("cluster", "Show clusters, and what their brokers keep", clusterList(p), clusterShow(p), clusterExport(p))
}

// clusterFlag adds --cluster for commands that otherwise mean all clusters.
func (c *cluster) clusterFlag(cmd *cobra.Command, name *string) {
	cmd.Flags().StringVar(name, "cluster", "", "only brokers of the cluster `NAME`")
	c.completeFlag(cmd, "cluster", clusterNames)
}

func clusterList(p Process) *cobra.Command {
	c := &cluster{Process: p}
	cmd := &cobra.Command{
		Use: "list", Short: "List the clusters, with their brokers", Args: args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return c.look(cmd.Context(), clusterTable) },
	}
	c.flags(cmd)
	c.watchFlag(cmd)
	return cmd
}

func clusterTable(ctx context.Context, a *admin.Admin) (*output.View, error) {
	nodes, err := a.Nodes(ctx, "")
	if err != nil {
		return nil, err
	}
	type line struct {
		Cluster string   `json:"cluster"`
		Brokers []string `json:"brokers"`
		Masters int      `json:"masters"`
		Slaves  int      `json:"slaves"`
	}
	list := []line{}
	for _, n := range nodes { // sorted by cluster and broker
		if len(list) == 0 || list[len(list)-1].Cluster != n.Cluster {
			list = append(list, line{Cluster: n.Cluster})
		}
		l := &list[len(list)-1]
		if n.ID == 0 {
			l.Masters++
		} else {
			l.Slaves++
		}
		if !slices.Contains(l.Brokers, n.Broker) {
			l.Brokers = append(l.Brokers, n.Broker)
		}
	}
	t := output.NewTable(output.Text("CLUSTER"), output.Num("MASTERS"), output.Num("SLAVES"), output.Text("BROKERS").Cut(1)).IfEmpty("no broker is registered")
	for _, l := range list {
		t.Row(l.Cluster, l.Masters, l.Slaves, strings.Join(l.Brokers, " "))
	}
	return output.Of(list, t), nil
}

func clusterShow(p Process) *cobra.Command {
	c := &cluster{Process: p}
	cmd := &cobra.Command{
		Use: "show [CLUSTER]", Short: "Show what a cluster does, and each of its brokers", Args: args(0, 1),
		Long: "Show how many messages a second a cluster takes and gives, how many it did today, and each of its brokers.\nWithout a name it shows all clusters together.",
		RunE: func(cmd *cobra.Command, given []string) error {
			name := ""
			if len(given) > 0 {
				name = given[0]
			}
			return c.look(cmd.Context(), func(ctx context.Context, a *admin.Admin) (*output.View, error) { return clusterView(ctx, a, name) })
		},
	}
	c.flags(cmd)
	c.watchFlag(cmd)
	c.completeArgs(cmd, clusterNames)
	return cmd
}

// clusterSum is what the masters of a cluster do together.
type clusterSum struct {
	Cluster  string         `json:"cluster,omitempty"`
	In       float64        `json:"inPerSecond"` // over the last minute
	Out      float64        `json:"outPerSecond"`
	InToday  int64          `json:"inToday"`
	OutToday int64          `json:"outToday"`
	Brokers  []admin.Status `json:"brokers"`
}

func clusterView(ctx context.Context, a *admin.Admin, name string) (*output.View, error) {
	nodes, err := a.Nodes(ctx, name)
	if err != nil {
		return nil, err
	}
	all, err := a.Statuses(ctx, nodes)
	if all == nil {
		return nil, err
	}
	sum := &clusterSum{Cluster: name, Brokers: all}
	for i := range all {
		if s := &all[i]; s.Figures != nil && s.ID == 0 {
			sum.In, sum.Out = sum.In+s.In[1], sum.Out+s.Out[1]
			sum.InToday, sum.OutToday = sum.InToday+s.InToday, sum.OutToday+s.OutToday
		}
	}
	f := &output.Fields{}
	if name != "" {
		f.Add("cluster", name)
	}
	f.Addf("brokers", "%d", len(nodes))
	f.Addf("in", "%.1f messages/s, %d today", sum.In, sum.InToday)
	f.Addf("out", "%.1f messages/s, %d today", sum.Out, sum.OutToday)
	return output.Of(sum, f, statusTable(all)), err
}

// statusTable is a line for each broker.
func statusTable(all []admin.Status) *output.Table {
	t := output.NewTable(
		output.Text("CLUSTER").Cut(1).Drop(4), output.Text("BROKER"), output.Num("ID").Drop(3), output.Text("ADDRESS"), output.Text("VERSION").Drop(2),
		output.Num("IN/S"), output.Num("OUT/S"), output.Num("IN TODAY").Drop(1), output.Num("OUT TODAY").Drop(1), output.Num("DISK"), output.Num("UP"),
		output.Num("BEHIND").Wide(), output.Text("OLDEST").Wide(),
	).IfEmpty("no broker is registered")
	for i := range all {
		s := &all[i]
		if s.Figures == nil {
			t.Row(s.Cluster, s.Broker, s.ID, s.Addr, nil, nil, nil, nil, nil, nil, nil, nil, nil)
			continue
		}
		t.Row(s.Cluster, s.Broker, s.ID, s.Addr, s.Version, fmt.Sprintf("%.1f", s.In[1]), fmt.Sprintf("%.1f", s.Out[1]), s.InToday, s.OutToday,
			fmt.Sprintf("%.0f%%", 100*s.Disk), output.Ago(s.Started, time.Now()), output.Size(s.Behind), output.Time(s.Earliest))
	}
	return t
}

func clusterExport(p Process) *cobra.Command {
	c := &cluster{Process: p}
	cmd := &cobra.Command{
		Use: "export [CLUSTER]", Short: "Print the topics and groups of every broker", Args: args(0, 1),
		Long:    "Print the topics and consumer groups of every master, with all that they are set to, those of the system left out:\nto keep beside backups, and to compare clusters with. `twostage config show all` prints configurations.",
		Example: "  twostage cluster export -o yaml > metadata.yaml",
		RunE: func(cmd *cobra.Command, given []string) error {
			name := ""
			if len(given) > 0 {
				name = given[0]
			}
			return c.look(cmd.Context(), func(ctx context.Context, a *admin.Admin) (*output.View, error) { return exportView(ctx, a, name) })
		},
	}
	c.flags(cmd)
	c.completeArgs(cmd, clusterNames)
	return cmd
}

func exportView(ctx context.Context, a *admin.Admin, name string) (*output.View, error) {
	all, err := a.Export(ctx, name)
	if err != nil && len(all) == 0 {
		return nil, err
	}
	topics := output.NewTable(output.Text("BROKER"), output.Text("TOPIC").Cut(1), output.Num("READ"), output.Num("WRITE"), output.Text("PERM"), output.Text("ORDER"))
	groups := output.NewTable(output.Text("BROKER"), output.Text("GROUP").Cut(1), output.Text("CONSUMES"), output.Text("BROADCAST"), output.Num("RETRIES"))
	for _, m := range all {
		for _, t := range m.Topics {
			topics.Row(m.Broker, t.TopicName, t.ReadQueueNums, t.WriteQueueNums, permText(t.Perm), t.Order)
		}
		for _, g := range m.Groups {
			groups.Row(m.Broker, g.GroupName, g.ConsumeEnable, g.ConsumeBroadcastEnable, g.RetryMaxTimes)
		}
	}
	return output.Of(all, topics, groups), err
}

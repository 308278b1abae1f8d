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
)

// brokerID says what a BROKER argument is.
const brokerID = "BROKER is a broker's name, for its master, or HOST:PORT."

func brokerCommand(p Process) *cobra.Command {
	return group("broker", "Show brokers, take them out of the routes, tidy them",
		brokerList(p), brokerShow(p), brokerBacklog(p), brokerDrain(p, true), brokerDrain(p, false), brokerClean(p))
}

func brokerList(p Process) *cobra.Command {
	c := &cluster{Process: p}
	name := ""
	cmd := &cobra.Command{
		Use: "list", Short: "List the brokers, and what they do", Args: args(0, 0),
		Long: "List the brokers: messages a second in and out over the last minute, messages since midnight, how full the disk\nis, and for how long they run; with -o wide also bytes that dispatch is behind and the time of the oldest message.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.look(cmd.Context(), func(ctx context.Context, a *admin.Admin) (*output.View, error) {
				nodes, err := a.Nodes(ctx, name)
				if err != nil {
					return nil, err
				}
				all, err := a.Statuses(ctx, nodes)
				if all == nil {
					return nil, err
				}
				return output.Of(all, statusTable(all)), err
			})
		},
	}
	c.flags(cmd)
	c.watchFlag(cmd)
	c.clusterFlag(cmd, &name)
	return cmd
}

func brokerShow(p Process) *cobra.Command {
	c := &cluster{Process: p}
	all := false
	cmd := &cobra.Command{
		Use: "show BROKER", Short: "Show what a broker says of itself", Args: args(1, 1),
		Long:    "Show what a broker says of itself; with --all every figure, by RocketMQ's names. Rates are over the last\n10 seconds, minute and 10 minutes.\n\n" + brokerID,
		Example: "  twostage broker show broker-a\n  twostage broker show 10.0.0.7:10911 --all --watch=5s",
		RunE: func(cmd *cobra.Command, given []string) error {
			return c.look(cmd.Context(), func(ctx context.Context, a *admin.Admin) (*output.View, error) {
				return brokerView(ctx, a, given[0], all)
			})
		},
	}
	c.flags(cmd)
	c.watchFlag(cmd)
	c.completeArgs(cmd, brokerNames)
	cmd.Flags().BoolVar(&all, "all", false, "every figure")
	return cmd
}

func brokerView(ctx context.Context, a *admin.Admin, which string, all bool) (*output.View, error) {
	n, err := a.Node(ctx, which)
	if err != nil {
		return nil, err
	}
	table, err := a.Runtime(ctx, n)
	if err != nil {
		return nil, err
	}
	s := admin.Status{Node: n, Figures: admin.NewFigures(table)}
	view := output.Of(struct {
		admin.Status
		Runtime map[string]string `json:"runtime"`
	}{s, table})
	f := &output.Fields{}
	view.Parts = append(view.Parts, f)
	if all {
		for _, key := range slices.Sorted(maps.Keys(table)) {
			f.Add(key, table[key])
		}
		return view, nil
	}
	if n.Broker != "" {
		f.Addf("broker", "%s, id %d of cluster %s", n.Broker, n.ID, n.Cluster)
	}
	f.Add("address", n.Addr)
	f.Add("version", s.Version)
	f.Addf("started", "%s, %s ago", output.Time(s.Started), output.Ago(s.Started, time.Now()))
	f.Addf("in", "%s messages/s, %d today, %d yesterday", rates(s.In), s.InToday, s.InYesterday)
	f.Addf("out", "%s messages/s, %d today, %d yesterday", rates(s.Out), s.OutToday, s.OutYesterday)
	f.Add("put latency", putTimes(s.Puts))
	f.Addf("disk", "%.1f%% used", 100*s.Disk)
	f.Add("oldest message", output.Time(s.Earliest))
	f.Add("dispatch behind", output.Size(s.Behind))
	return view, nil
}

func rates(three [3]float64) string {
	return fmt.Sprintf("%.1f  %.1f  %.1f", three[0], three[1], three[2])
}

// putTimes are the buckets of a distribution that anything fell into: of
// "[<=0ms]:7 [0~10ms]:0 ..." the first one.
func putTimes(distribution string) string {
	some := slices.DeleteFunc(strings.Fields(distribution), func(bucket string) bool { return strings.HasSuffix(bucket, ":0") })
	return strings.Join(some, " ")
}

func brokerBacklog(p Process) *cobra.Command {
	c := &cluster{Process: p}
	cmd := &cobra.Command{
		Use: "backlog BROKER", Short: "Show what groups have not consumed of the broker's topics", Args: args(1, 1),
		Long: "Show what each group has not consumed of each topic, on this broker alone.\n\n" + brokerID,
		RunE: func(cmd *cobra.Command, given []string) error {
			return c.look(cmd.Context(), func(ctx context.Context, a *admin.Admin) (*output.View, error) {
				n, err := a.Node(ctx, given[0])
				if err != nil {
					return nil, err
				}
				all, err := a.Backlogs(ctx, n)
				if err != nil {
					return nil, err
				}
				t := output.NewTable(output.Text("GROUP").Cut(2), output.Text("TOPIC").Cut(1), output.Num("MESSAGES"), output.Num("OUT/S")).IfEmpty("no group has consumed anything there")
				for _, b := range all {
					t.Row(b.Group, b.Topic, b.Messages, fmt.Sprintf("%.1f", b.Out))
				}
				return output.Of(all, t), nil
			})
		},
	}
	c.flags(cmd)
	c.watchFlag(cmd)
	c.completeArgs(cmd, brokerNames)
	return cmd
}

// brokerDrain is `broker drain` or `broker undrain`.
func brokerDrain(p Process, drain bool) *cobra.Command {
	c := &cluster{Process: p}
	verb, done, short := "undrain", "undrained", "Give a broker its write permission in the routes back"
	long := short + ", which `twostage broker drain` has taken.\nTopics that are read-only on purpose can be written to by the routes then, until the broker registers them anew:\nit refuses messages to them all the same."
	if drain {
		verb, done, short = "drain", "drained", "Take a broker's write permission out of the routes"
		long = short + " of all its topics, at every name server: within 30 seconds\nproducers send elsewhere, while consumers take what is there.\n" +
			"It lasts until the broker registers its topics anew, as when it starts, or one of them changes; what lasts\nlonger is `twostage config set BROKER brokerPermission=4`."
	}
	cmd := &cobra.Command{
		Use: verb + " BROKER", Short: short, Long: long + "\n\nBROKER is a broker's name.", Args: args(1, 1),
		RunE: func(cmd *cobra.Command, given []string) error {
			return c.admin(func(a *admin.Admin) error {
				list, err := a.SetWritable(cmd.Context(), given[0], !drain)
				for _, d := range list {
					if err := c.did(p, done, "broker", given[0], "namesrv", d.Server, "topics", d.Topics); err != nil {
						return err
					}
				}
				return err
			})
		},
	}
	c.flags(cmd)
	c.completeArgs(cmd, brokerNames)
	return cmd
}

func brokerClean(p Process) *cobra.Command {
	c, sure := &cluster{Process: p}, &consent{}
	cmd := &cobra.Command{
		Use: "clean BROKER queues|topics|log", Short: "Have a broker remove what it does not need any more, at once", Args: args(2, 2),
		Long: `Have a broker remove, at once and not when its time comes:

  queues  files of consume queues whose records are gone from the log
  topics  queues of topics that the broker does not have any more
  log     log files that have expired (fileReservedTime), whatever the hour

` + brokerID,
		RunE: func(cmd *cobra.Command, given []string) error {
			what := admin.Clean(given[1])
			if what != admin.CleanQueues && what != admin.CleanTopics && what != admin.CleanLog {
				return usagef("clean %s: accepted are queues, topics, log", given[1])
			}
			why := "what is removed is gone for good"
			if err := sure.ask(cmd.Context(), p, why, why+".\nType yes to clean the "+given[1]+" of "+given[0]+": ", "not cleaned"); err != nil {
				return err
			}
			return c.admin(func(a *admin.Admin) error {
				n, err := a.Node(cmd.Context(), given[0])
				if err != nil {
					return err
				}
				if _, err := a.Clean(cmd.Context(), []admin.Node{n}, what); err != nil {
					return err
				}
				return c.did(p, "cleaned", "broker", n.Name(), "what", given[1])
			})
		},
	}
	c.flags(cmd)
	sure.flag(cmd)
	c.completeArgs(cmd, brokerNames, fixed("queues", "topics", "log"))
	return cmd
}

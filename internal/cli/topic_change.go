// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/twostage/twostage/internal/admin"
	"github.com/twostage/twostage/internal/cli/output"
)

// permissions are what --perm takes.
var permissions = map[string]int32{"rw": 6, "r": 4, "w": 2}

func parsePerm(text string) (int32, error) {
	perm, ok := permissions[text]
	if !ok {
		return 0, usagef("--perm %q: accepted are rw, r, w", text)
	}
	return perm, nil
}

func topicShow(p Process) *cobra.Command {
	c := &cluster{Process: p}
	cmd := &cobra.Command{
		Use: "show TOPIC", Short: "Show a topic: its brokers, its queues and what they hold, its groups", Args: args(1, 1),
		RunE: func(cmd *cobra.Command, given []string) error {
			return c.look(cmd.Context(), func(ctx context.Context, a *admin.Admin) (*output.View, error) { return topicView(ctx, a, given[0]) })
		},
	}
	c.flags(cmd)
	c.watchFlag(cmd)
	c.completeArgs(cmd, topicNames)
	return cmd
}

func topicView(ctx context.Context, a *admin.Admin, topic string) (*output.View, error) {
	s, err := a.TopicStatus(ctx, topic)
	if s == nil || len(s.Brokers) == 0 && err != nil {
		return nil, err
	}
	f := &output.Fields{}
	f.Add("topic", s.Name)
	f.Addf("messages", "%d in %d queues", s.Messages, len(s.Queues))
	f.Add("groups", strings.Join(s.Groups, " "))
	if s.Order != "" {
		f.Add("order", s.Order)
	}
	at := output.NewTable(output.Text("BROKER"), output.Num("READ"), output.Num("WRITE"), output.Text("PERM"), output.Text("ORDER"), output.Text("ATTRIBUTES").Cut(1))
	for _, b := range s.Brokers {
		var attributes []string
		for name, value := range b.Attributes {
			attributes = append(attributes, name+"="+value)
		}
		at.Row(b.Broker, b.ReadQueueNums, b.WriteQueueNums, permText(b.Perm), b.Order, strings.Join(attributes, " "))
	}
	queues := output.NewTable(output.Text("BROKER"), output.Num("QUEUE"), output.Num("MIN"), output.Num("MAX"), output.Num("MESSAGES"), output.Num("LAST"), output.Text("LAST AT").Wide())
	for _, q := range s.Queues {
		queues.Row(q.Broker, q.Queue, q.Min, q.Max, q.Max-q.Min, output.Ago(q.Last, time.Now()), output.Time(q.Last))
	}
	return output.Of(s, f, at, queues), err
}

func topicUpdate(p Process) *cobra.Command {
	c, sure := &cluster{Process: p}, &consent{}
	read, write, queues := int32(0), int32(0), int32(0)
	order, perm, broker := false, "", ""
	cmd := &cobra.Command{
		Use: "update TOPIC", Short: "Change a topic where it is; what is not named stays", Args: args(1, 1),
		Long: `Change a topic where it is; what is not named stays. Messages of queues that are not read any more are never consumed:
when there are any, you are asked. To have fewer queues and lose nothing, lower --write first, and --read when all
groups have consumed what is in the others.`,
		Example: "  twostage topic update orders --queues 16\n  twostage topic update orders --perm r --broker broker-b",
	}
	c.flags(cmd)
	fl := cmd.Flags()
	fl.Int32Var(&queues, "queues", 0, "queues on each broker, to write and to read")
	fl.Int32Var(&write, "write", 0, "queues to write on each broker")
	fl.Int32Var(&read, "read", 0, "queues to read on each broker")
	fl.StringVar(&perm, "perm", "", "rw, r or w")
	fl.BoolVar(&order, "order", false, "queues keep their place when a broker is down")
	fl.StringVar(&broker, "broker", "", "only on the broker of this `NAME`")
	sure.flag(cmd)
	complete(cmd, "perm", "rw", "r", "w")
	c.completeFlag(cmd, "broker", brokerNames)
	c.completeArgs(cmd, topicNames)
	cmd.RunE = func(cmd *cobra.Command, given []string) error {
		change, named := admin.TopicChange{Broker: broker}, false
		for name, to := range map[string]func(){
			"queues": func() { change.Read, change.Write = &queues, &queues },
			"order":  func() { change.Order = &order },
		} {
			if fl.Changed(name) {
				to()
				named = true
			}
		}
		for name, v := range map[string]struct {
			to   **int32
			from *int32
		}{"read": {&change.Read, &read}, "write": {&change.Write, &write}} {
			if fl.Changed(name) {
				*v.to, named = v.from, true
			}
		}
		for _, n := range []*int32{change.Read, change.Write} {
			if n != nil && *n < 1 {
				return usagef("%d queues: at least 1", *n)
			}
		}
		if fl.Changed("perm") {
			bits, err := parsePerm(perm)
			if err != nil {
				return err
			}
			change.Perm, named = &bits, true
		}
		if !named {
			return usagef("nothing to change: say what with --queues, --read, --write, --perm or --order")
		}
		return c.admin(func(a *admin.Admin) error {
			unread, err := a.Unread(cmd.Context(), given[0], change)
			if err != nil {
				return err
			}
			if unread > 0 {
				why := fmt.Sprintf("%d messages of %s are in queues that nobody would read any more", unread, given[0])
				if err := sure.ask(cmd.Context(), p, why, why+".\nType yes to change it: ", "not changed"); err != nil {
					return err
				}
			}
			done, err := a.UpdateTopic(cmd.Context(), given[0], change)
			for _, t := range done {
				if err := c.did(p, "updated", "topic", given[0], "broker", t.Broker, "read", t.ReadQueueNums, "write", t.WriteQueueNums, "perm", permText(t.Perm), "order", t.Order); err != nil {
					return err
				}
			}
			return err
		})
	}
	return cmd
}

func topicOrder(p Process) *cobra.Command {
	return group("order", "Which queues of an ordered topic stay in its routes when a broker is down", orderShow(p), orderSet(p), orderDelete(p))
}

func orderShow(p Process) *cobra.Command {
	c := &cluster{Process: p}
	cmd := &cobra.Command{
		Use: "show TOPIC", Short: "Print them", Args: args(1, 1),
		RunE: func(cmd *cobra.Command, given []string) error {
			return c.look(cmd.Context(), func(ctx context.Context, a *admin.Admin) (*output.View, error) {
				text, err := a.Value(ctx, admin.OrderNamespace, given[0])
				if err != nil {
					return nil, err
				}
				return output.Of(text, output.Lines{text}), nil
			})
		},
	}
	c.flags(cmd)
	c.completeArgs(cmd, topicNames)
	return cmd
}

func orderSet(p Process) *cobra.Command {
	c := &cluster{Process: p}
	cmd := &cobra.Command{
		Use: "set TOPIC [BROKER:QUEUES ...]", Short: "Set them, to those of the topic's route when none are given", Args: args(1, 1000),
		Example: "  twostage topic order set orders\n  twostage topic order set orders broker-a:8 broker-b:8",
		RunE: func(cmd *cobra.Command, given []string) error {
			queues, err := parseOrder(given[1:])
			if err != nil {
				return err
			}
			return c.admin(func(a *admin.Admin) error {
				text, err := a.SetOrder(cmd.Context(), given[0], queues)
				if err != nil {
					return err
				}
				return c.did(p, "set", "topic", given[0], "order", text)
			})
		},
	}
	c.flags(cmd)
	c.completeArgs(cmd, topicNames)
	return cmd
}

// parseOrder reads BROKER:QUEUES arguments; nil when there are none.
func parseOrder(given []string) (map[string]int32, error) {
	if len(given) == 0 {
		return nil, nil
	}
	queues := map[string]int32{}
	for _, text := range given {
		broker, number, ok := strings.Cut(text, ":")
		n, err := strconv.ParseInt(number, 10, 32)
		if _, twice := queues[broker]; !ok || broker == "" || err != nil || n < 1 || twice {
			return nil, usagef("%q: wanted is BROKER:QUEUES, each broker once", text)
		}
		queues[broker] = int32(n)
	}
	return queues, nil
}

func orderDelete(p Process) *cobra.Command {
	c, sure := &cluster{Process: p}, &consent{}
	cmd := &cobra.Command{
		Use: "delete TOPIC", Short: "Forget them: routes then have the queues of brokers that are up", Args: args(1, 1),
		RunE: func(cmd *cobra.Command, given []string) error {
			why := fmt.Sprintf("clients spread keys of %s over other queues when a broker goes or comes", given[0])
			if err := sure.ask(cmd.Context(), p, why, why+".\nType yes to delete its order: ", "not deleted"); err != nil {
				return err
			}
			return c.admin(func(a *admin.Admin) error {
				if err := a.DeleteValue(cmd.Context(), admin.OrderNamespace, given[0]); err != nil {
					return err
				}
				return c.did(p, "deleted", "order", given[0])
			})
		},
	}
	c.flags(cmd)
	sure.flag(cmd)
	c.completeArgs(cmd, topicNames)
	return cmd
}

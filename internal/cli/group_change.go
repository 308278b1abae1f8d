// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/twostage/twostage/internal/admin"
	"github.com/twostage/twostage/internal/cli/output"
	"github.com/twostage/twostage/internal/wire/body"
)

// groupSettings are the flags for the settings of a group. Those that are not given
// change nothing.
type groupSettings struct {
	tries, retryQueues         int32
	timeout                    time.Duration
	consume, broadcast, orders bool
	backoff                    []string
}

func (s *groupSettings) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.Int32Var(&s.tries, "tries", 16, "times a message is tried again before it is a dead letter; -1: for ever")
	f.Int32Var(&s.retryQueues, "retry-queues", 1, "queues of the retry topic on each broker")
	f.BoolVar(&s.consume, "consume", true, "whether the group may consume; =false stops it")
	f.BoolVar(&s.broadcast, "broadcast", true, "whether clients may consume everything each")
	f.BoolVar(&s.orders, "order", false, "whether pops give the messages of a queue in order")
	f.StringSliceVar(&s.backoff, "backoff", nil, "how long a message waits before each try, `SPAN,...` such as 10s,1m,1h; the last one for all further tries; none: as the broker is set up")
	spanFlag(f, &s.timeout, "consume-timeout", 0, "how long a consumer may take for a message, in whole minutes")
}

// check reads what needs reading, and gives what to do to a group's settings.
func (s *groupSettings) check(cmd *cobra.Command) (func(*body.SubscriptionGroupConfig), error) {
	given := cmd.Flags().Changed
	var waits []int64
	for _, text := range s.backoff {
		d, err := output.ParseSpan(text)
		if err != nil {
			return nil, usagef("--backoff: %w", err)
		}
		waits = append(waits, d.Milliseconds())
	}
	switch {
	case s.tries < -1:
		return nil, usagef("--tries %d: at least 0, or -1 for ever", s.tries)
	case s.retryQueues < 1:
		return nil, usagef("--retry-queues %d: at least 1", s.retryQueues)
	case s.timeout%time.Minute != 0 || given("consume-timeout") && s.timeout < time.Minute:
		return nil, usagef("--consume-timeout %v: whole minutes, at least 1m", s.timeout)
	}
	return func(c *body.SubscriptionGroupConfig) {
		setIf(given("tries"), &c.RetryMaxTimes, s.tries)
		setIf(given("retry-queues"), &c.RetryQueueNums, s.retryQueues)
		setIf(given("consume"), &c.ConsumeEnable, s.consume)
		setIf(given("broadcast"), &c.ConsumeBroadcastEnable, s.broadcast)
		setIf(given("order"), &c.ConsumeMessageOrderly, s.orders)
		setIf(given("consume-timeout"), &c.ConsumeTimeoutMinute, int32(s.timeout/time.Minute))
		if given("backoff") {
			c.GroupRetryPolicy = nil
			if len(waits) > 0 {
				c.GroupRetryPolicy = &body.GroupRetryPolicy{Type: "CUSTOMIZED", CustomizedRetryPolicy: &body.CustomizedRetryPolicy{Next: waits}}
			}
		}
	}, nil
}

func setIf[T any](given bool, to *T, value T) {
	if given {
		*to = value
	}
}

func groupCreate(p Process) *cobra.Command {
	cmd := groupPut(p, "create GROUP", "Create a consumer group on all brokers of a cluster", "created", (*admin.Admin).CreateGroup)
	cmd.Long = `Create a consumer group on all brokers of a cluster. Where brokers have it already, it is made on those that do not,
such as one that has joined the cluster later, with the settings that it has: those that are given must not differ.`
	return cmd
}

func groupUpdate(p Process) *cobra.Command {
	return groupPut(p, "update GROUP", "Change settings of a consumer group, those that are given", "updated", (*admin.Admin).UpdateGroup)
}

func groupPut(p Process, use, short, done string, put func(a *admin.Admin, ctx context.Context, cluster, name string, change func(*body.SubscriptionGroupConfig)) ([]admin.Broker, error)) *cobra.Command {
	c, s := &cluster{Process: p}, &groupSettings{}
	name := ""
	cmd := &cobra.Command{
		Use: use, Short: short, Args: args(1, 1),
		RunE: func(cmd *cobra.Command, given []string) error {
			change, err := s.check(cmd)
			if err != nil {
				return err
			}
			return c.admin(func(a *admin.Admin) error {
				brokers, err := put(a, cmd.Context(), name, given[0], change)
				for _, b := range brokers {
					if err := c.did(p, done, "group", given[0], "broker", b.Name, "addr", b.Addrs[0]); err != nil {
						return err
					}
				}
				return err
			})
		},
	}
	c.flags(cmd)
	s.flags(cmd)
	c.oneClusterFlag(cmd, &name)
	if strings.HasPrefix(use, "update") {
		c.completeArgs(cmd, groupNames)
	}
	return cmd
}

func groupDelete(p Process) *cobra.Command {
	c, sure := &cluster{Process: p}, &consent{}
	name, keep, dead := "", false, false
	cmd := &cobra.Command{
		Use: "delete GROUP", Short: "Delete a consumer group: settings, offsets and retry topic", Args: args(1, 1),
		Long: `Delete a consumer group on all brokers of a cluster: its settings, its offsets and its retry topic. Dead letters
stay, unless --dead-letters says so. A group whose clients are online is made again by their next heartbeat where
brokers make groups by themselves.`,
		RunE: func(cmd *cobra.Command, given []string) error {
			why := fmt.Sprintf("the offsets of %s and what waits to be tried again would be gone for good", given[0])
			if keep {
				why = fmt.Sprintf("what waits to be tried again by %s would be gone for good", given[0])
			}
			if err := sure.ask(cmd.Context(), p, why, why+".\nType yes to delete it: ", "not deleted"); err != nil {
				return err
			}
			return c.admin(func(a *admin.Admin) error {
				brokers, err := a.DeleteGroup(cmd.Context(), name, given[0], keep, dead)
				for _, b := range brokers {
					if err := c.did(p, "deleted", "group", given[0], "broker", b.Name); err != nil {
						return err
					}
				}
				return err
			})
		},
	}
	c.flags(cmd)
	c.oneClusterFlag(cmd, &name)
	cmd.Flags().BoolVar(&keep, "keep-offsets", false, "leave its offsets: a group of that name goes on there")
	cmd.Flags().BoolVar(&dead, "dead-letters", false, "delete its dead letters, too")
	sure.flag(cmd)
	c.completeArgs(cmd, groupNames)
	return cmd
}

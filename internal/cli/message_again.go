// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/twostage/twostage/internal/admin"
	"github.com/twostage/twostage/internal/cli/output"
)

func messageTrace(p Process) *cobra.Command {
	c := &cluster{Process: p}
	topic := ""
	cmd := &cobra.Command{
		Use: "trace ID", Short: "Tell what clients say that they did with a message", Args: args(1, 1),
		Long: `Tell what clients say that they did with a message: when it was sent, by whom, who consumed it, how long that took
and how it ended. ID is that of the producer. Only clients that trace tell; the broker needs traceTopicEnable=true.
Times are those of the clients' clocks.`,
		RunE: func(cmd *cobra.Command, given []string) error {
			return c.look(cmd.Context(), func(ctx context.Context, a *admin.Admin) (*output.View, error) {
				events, err := a.Trace(ctx, topic, given[0])
				if len(events) == 0 {
					return nil, err
				}
				return traceView(events), err
			})
		},
	}
	c.flags(cmd)
	c.watchFlag(cmd)
	cmd.Flags().StringVar(&topic, "trace-topic", "", "`topic` of the traces; RMQ_SYS_TRACE_TOPIC when not given")
	return cmd
}

func traceView(events []admin.TraceEvent) *output.View {
	t := output.NewTable(output.Text("TIME"), output.Text("EVENT"), output.Text("RESULT"), output.Num("TOOK"), output.Text("GROUP"), output.Text("CLIENT"), output.Text("TOPIC").Cut(1),
		output.Text("MORE").Cut(2), output.Text("STORED AT").Wide(), output.Text("OFFSET ID").Wide())
	for _, e := range events {
		var more []string
		if e.Kind == admin.TraceSent && e.Type != "" && e.Type != "normal" {
			more = append(more, e.Type)
		}
		if e.Retries > 0 {
			more = append(more, fmt.Sprintf("try %d", e.Retries+1))
		}
		if e.FromCheck {
			more = append(more, "after a check")
		}
		result := e.Result
		if result == "" {
			result = "not told"
		}
		took := any(nil)
		if e.Cost > 0 {
			took = e.Cost.String()
		}
		t.Row(output.Time(e.Time), e.Kind, result, took, e.Group, e.Client, e.Topic, strings.Join(more, ", "), e.StoreHost, e.OffsetID)
	}
	return output.Of(events, t)
}

func messageResend(p Process) *cobra.Command {
	c := &cluster{Process: p}
	topic, to := "", ""
	cmd := &cobra.Command{
		Use: "resend ID", Short: "Store a copy of a message, for all groups that read the topic", Args: args(1, 1),
		Long: `Store a copy of a message in its topic or in another one: every group that reads it consumes it again. The copy keeps
body, tag, keys and the producer's id. For one group only see ` + "`twostage message consume` and `twostage dlq resend`.",
		RunE: func(cmd *cobra.Command, given []string) error {
			return c.admin(func(a *admin.Admin) error {
				m, err := a.Message(cmd.Context(), topic, given[0])
				if err != nil {
					return err
				}
				stored, err := a.Resend(cmd.Context(), m, to)
				if err != nil {
					return err
				}
				return resent(c, m.ID(), stored)
			})
		},
	}
	c.flags(cmd)
	c.topicFlag(cmd, &topic, "the `topic`; needed for the id of a producer")
	cmd.Flags().StringVar(&to, "to", "", "`topic` that gets the copy; the message's own when not given")
	c.completeFlag(cmd, "to", topicNames)
	return cmd
}

// resent says where a copy is.
func resent(c *cluster, id string, s *admin.Stored) error {
	if !s.Safe {
		fmt.Fprintf(c.Stderr, "twostage: %s: stored, but not yet as safely as the broker is set up to do it\n", id)
	}
	return c.did(c.Process, "resent", "id", id, "topic", s.Topic, "broker", s.Broker, "queue", s.Queue, "offset", s.Offset, "offset-id", s.OffsetID)
}

func messageConsume(p Process) *cobra.Command {
	c := &cluster{Process: p}
	topic, group, id := "", "", ""
	cmd := &cobra.Command{
		Use: "consume ID --group GROUP", Short: "Have a client of a consumer group consume a message now", Args: args(1, 1),
		Long: `Give a message directly to a client of a consumer group, whatever the offsets of the group are, and tell what the
client made of it. The offsets stay as they are.`,
		RunE: func(cmd *cobra.Command, given []string) error {
			if group == "" {
				return usagef("say which group with --group")
			}
			return c.admin(func(a *admin.Admin) error {
				m, err := a.Message(cmd.Context(), topic, given[0])
				if err != nil {
					return err
				}
				res, err := a.ConsumeDirectly(cmd.Context(), group, id, m)
				if err != nil {
					return err
				}
				if err := c.did(p, "consumed", "id", m.ID(), "group", group, "client", res.Client, "result", res.ConsumeResult, "took", fmt.Sprintf("%dms", res.SpentTimeMills)); err != nil {
					return err
				}
				if res.ConsumeResult != "CR_SUCCESS" && res.ConsumeResult != "CR_COMMIT" {
					return fmt.Errorf("%s did not consume it: %s %s", res.Client, res.ConsumeResult, output.Printable(res.Remark))
				}
				return nil
			})
		},
	}
	c.flags(cmd)
	c.topicFlag(cmd, &topic, "the `topic`; needed for the id of a producer")
	cmd.Flags().StringVar(&group, "group", "", "the consumer `group`; required")
	cmd.Flags().StringVar(&id, "client", "", "`id` of the client; the first one when not given")
	c.completeFlag(cmd, "group", groupNames)
	return cmd
}

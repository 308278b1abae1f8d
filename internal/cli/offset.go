// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/twostage/twostage/internal/admin"
	"github.com/twostage/twostage/internal/cli/output"
	"github.com/twostage/twostage/message"
)

func offsetCommand(p Process) *cobra.Command {
	return group("offset", "Show and move the places of consumer groups", offsetShow(p), offsetReset(p), offsetSkip(p), offsetClone(p))
}

func offsetShow(p Process) *cobra.Command {
	c := &cluster{Process: p}
	name, topic := "", ""
	cmd := &cobra.Command{
		Use: "show GROUP", Short: "Show the offset that a consumer group consumes next in each queue", Args: args(1, 1),
		RunE: func(cmd *cobra.Command, given []string) error {
			return c.look(cmd.Context(), func(ctx context.Context, a *admin.Admin) (*output.View, error) {
				return offsetsView(ctx, a, name, given[0], topic)
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

func offsetsView(ctx context.Context, a *admin.Admin, cluster, group, topic string) (*output.View, error) {
	p, err := a.Progress(ctx, cluster, group, topic, false)
	if p == nil || len(p.Queues) == 0 {
		return nil, err
	}
	t := output.NewTable(output.Text("TOPIC").Cut(1), output.Text("BROKER"), output.Num("QUEUE"), output.Num("NEXT"), output.Num("END"), output.Text("CONSUMED"))
	for _, q := range p.Queues {
		t.Row(q.Topic, q.Broker, q.ID, offsetText(q.Next), q.End, output.Time(q.Consumed))
	}
	return output.Of(p.Queues, t), err
}

// offsetText is an offset, nothing where there is none.
func offsetText(offset int64) any {
	if offset < 0 {
		return nil
	}
	return offset
}

// positionHelp says what parsePosition reads.
const positionHelp = "earliest, latest, offset:N, or a time: " + output.TimeHelp

// parsePosition reads where to go to.
func parsePosition(text string, now time.Time) (admin.Position, error) {
	switch text {
	case "earliest":
		return admin.Earliest(), nil
	case "latest":
		return admin.Latest(), nil
	}
	if number, ok := strings.CutPrefix(text, "offset:"); ok {
		n, err := strconv.ParseInt(number, 10, 64)
		if err != nil || n < 0 {
			return admin.Position{}, fmt.Errorf("%q is no offset: it is a number, at least 0", number)
		}
		return admin.AtOffset(n), nil
	}
	if _, err := strconv.ParseInt(text, 10, 64); err == nil && len(text) < 12 {
		return admin.Position{}, fmt.Errorf("%s may be an offset or a time: for an offset say offset:%s", text, text)
	}
	t, err := output.ParseTime(text, now)
	if err != nil {
		return admin.Position{}, fmt.Errorf("%q is no place in a queue: accepted is %s", text, positionHelp)
	}
	return admin.AtTime(t), nil
}

// rewind is a reset as flags describe it.
type rewind struct {
	admin.Reset
	consent
	*cluster
	to, queue string
	dry       bool
}

func (r *rewind) flags(cmd *cobra.Command) {
	r.cluster.flags(cmd)
	r.oneClusterFlag(cmd, &r.Cluster)
	r.topicFlag(cmd, &r.Topic, "the `topic`; required")
	cmd.Flags().StringVar(&r.queue, "queue", "", "only the queue `BROKER/ID`")
	cmd.Flags().BoolVar(&r.dry, "dry-run", false, "show what would happen, and change nothing")
	r.consent.flag(cmd)
}

// check reads what needs reading.
func (r *rewind) check(group string) (err error) {
	if r.Topic == "" {
		return usagef("say which topic with --topic")
	}
	if r.To, err = parsePosition(r.to, time.Now()); err != nil {
		return usagef("--to: %w", err)
	}
	if r.queue != "" {
		q, err := parseQueue(r.Topic, r.queue)
		if err != nil {
			return err
		}
		r.Broker, r.Queue = q.Broker, q.ID
	}
	r.Group = group
	return nil
}

func offsetReset(p Process) *cobra.Command {
	r := &rewind{cluster: &cluster{Process: p}}
	cmd := &cobra.Command{
		Use: "reset GROUP --topic TOPIC --to PLACE", Short: "Send a consumer group back or forward in a topic", Args: args(1, 1),
		Long: `Send a consumer group back or forward in a topic, in all queues or in one. --to is earliest, latest, offset:N,
or a time: the first message that was stored then or later. What would happen is shown first, and you are asked,
unless --yes says it: who goes back consumes messages again, who goes forward never sees those between.

The group may be online; its consumers go on from there by themselves, mostly within seconds.`,
		Example: `  twostage offset reset billing --topic orders --to earliest --dry-run
  twostage offset reset billing --topic orders --to "2h ago"
  twostage offset reset billing --topic orders --to offset:4711 --queue broker-a/3 --yes`,
		RunE: func(cmd *cobra.Command, given []string) error {
			if err := r.check(given[0]); err != nil {
				return err
			}
			return r.run(cmd.Context())
		},
	}
	r.flags(cmd)
	cmd.Flags().StringVar(&r.to, "to", "", "`place` to go to: "+positionHelp)
	cmd.Flags().BoolVar(&r.RewindOnly, "rewind-only", false, "leave queues alone that would pass over messages")
	r.completeArgs(cmd, groupNames)
	return cmd
}

func offsetSkip(p Process) *cobra.Command {
	r := &rewind{cluster: &cluster{Process: p}, to: "latest"}
	cmd := &cobra.Command{
		Use: "skip GROUP --topic TOPIC", Short: "Have a consumer group pass over all messages that are there", Args: args(1, 1),
		Long: "Have a consumer group pass over all messages of a topic that are there and that it has not consumed: it never sees\nthem. The same as `twostage offset reset GROUP --topic TOPIC --to latest`.",
		RunE: func(cmd *cobra.Command, given []string) error {
			if err := r.check(given[0]); err != nil {
				return err
			}
			return r.run(cmd.Context())
		},
	}
	r.flags(cmd)
	r.completeArgs(cmd, groupNames)
	return cmd
}

// run shows what would happen, asks, and does it.
func (r *rewind) run(ctx context.Context) error {
	return r.admin(func(a *admin.Admin) error {
		planned, err := a.Moves(ctx, r.Reset)
		if err != nil {
			return err
		}
		again, skipped := sums(planned)
		if r.dry {
			return r.write(r.Process, movesView(planned, "nothing was changed: --dry-run"))
		}
		if !r.yes {
			if err := r.possible(r.Process, fmt.Sprintf("%d messages would be consumed again and %d never", again, skipped)); err != nil {
				return err
			}
			question := fmt.Sprintf("group %s in topic %s: %d messages would be consumed again, %d never.\nType yes to do it: ", r.Group, r.Topic, again, skipped)
			if err := movesView(planned, "").Write(r.Stderr, output.FormatTable, terminalWidth(r.Stderr)); err != nil {
				return err
			}
			if err := confirm(ctx, r.Process, question, "not reset"); err != nil {
				return err
			}
		}
		done, err := a.Reset(ctx, r.Reset)
		if len(done) > 0 {
			err = errors.Join(r.write(r.Process, movesView(done, "")), err)
		}
		return err
	})
}

func sums(moves []admin.Move) (again, skipped int64) {
	for _, m := range moves {
		again, skipped = again+m.Again(), skipped+m.Skipped()
	}
	return again, skipped
}

// shownMove is a move as JSON.
type shownMove struct {
	admin.Move
	Again   int64 `json:"again"`
	Skipped int64 `json:"skipped"`
}

func movesView(moves []admin.Move, note string) *output.View {
	t := output.NewTable(output.Text("TOPIC").Cut(1), output.Text("BROKER"), output.Num("QUEUE"), output.Num("FROM"), output.Num("TO"), output.Num("AGAIN"), output.Num("SKIPPED"),
		output.Num("FIRST").Wide(), output.Num("END").Wide())
	shown := []shownMove{}
	for _, m := range moves {
		shown = append(shown, shownMove{m, m.Again(), m.Skipped()})
		t.Row(m.Topic, m.Broker, m.ID, offsetText(m.From), m.To, m.Again(), m.Skipped(), m.First, m.End)
	}
	v := output.Of(shown, t)
	if note != "" {
		v.Note("%s", note)
	}
	return v
}

func offsetClone(p Process) *cobra.Command {
	c, sure := &cluster{Process: p}, &consent{}
	name, topic := "", ""
	cmd := &cobra.Command{
		Use: "clone FROM TO", Short: "Give a consumer group the offsets that another one has", Args: args(2, 2),
		Long: "Give the consumer group TO the offsets that FROM has, in all its topics or in one: TO goes on where FROM is. The\noffsets that TO had there are lost. TO must be there: see `twostage group create`.",
		RunE: func(cmd *cobra.Command, given []string) error {
			if given[0] == given[1] {
				return usagef("%s is both groups", given[0])
			}
			if err := message.CheckGroup(given[1]); err != nil {
				return usagef("%w", err)
			}
			why := fmt.Sprintf("the offsets that %s has would be replaced by those of %s", given[1], given[0])
			if err := sure.ask(cmd.Context(), p, why, why+".\nType yes to do it: ", "not cloned"); err != nil {
				return err
			}
			return c.admin(func(a *admin.Admin) error {
				topics, err := a.CloneOffsets(cmd.Context(), name, given[0], given[1], topic)
				for _, t := range topics {
					if err := c.did(p, "cloned", "from", given[0], "to", given[1], "topic", t); err != nil {
						return err
					}
				}
				return err
			})
		},
	}
	c.flags(cmd)
	c.oneClusterFlag(cmd, &name)
	c.topicFlag(cmd, &topic, "only this `topic`")
	sure.flag(cmd)
	c.completeArgs(cmd, groupNames, groupNames)
	return cmd
}

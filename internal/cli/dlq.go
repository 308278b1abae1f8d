// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/twostage/twostage/internal/admin"
	"github.com/twostage/twostage/internal/cli/output"
	"github.com/twostage/twostage/message"
)

func dlqCommand(p Process) *cobra.Command {
	return group("dlq", "Look at dead letters, send them again, export them", dlqList(p), dlqResend(p), dlqExport(p))
}

// timesFlag adds --time.
func timesFlag(cmd *cobra.Command, span *string) {
	cmd.Flags().StringVar(span, "time", "", "given up between two `times`, FROM..UNTIL, or since FROM: "+output.TimeHelp)
}

func dlqList(p Process) *cobra.Command {
	c := &cluster{Process: p}
	span, limit := "", 32
	cmd := &cobra.Command{
		Use: "list [GROUP]", Short: "List the groups that have dead letters, or the dead letters of one", Args: args(0, 1),
		Long: "List the groups that have dead letters: messages that were tried as often as the group is set up for, and given up.\nWith GROUP list those of the group, the oldest first.",
		RunE: func(cmd *cobra.Command, given []string) error {
			begin, end, err := parseTimes(span, time.Now())
			if err != nil {
				return err
			}
			if limit < 1 {
				return usagef("--limit %d: at least 1", limit)
			}
			return c.look(cmd.Context(), func(ctx context.Context, a *admin.Admin) (*output.View, error) {
				if len(given) == 0 {
					return deadGroupsView(ctx, a)
				}
				return deadLettersView(ctx, c, a, given[0], admin.Span{Begin: begin, End: end}, limit)
			})
		},
	}
	c.flags(cmd)
	c.watchFlag(cmd)
	timesFlag(cmd, &span)
	cmd.Flags().IntVar(&limit, "limit", limit, "so many messages at most")
	c.completeArgs(cmd, groupNames)
	return cmd
}

func deadGroupsView(ctx context.Context, a *admin.Admin) (*output.View, error) {
	list, err := a.DeadLetters(ctx)
	if len(list) == 0 && err != nil {
		return nil, err
	}
	t := output.NewTable(output.Text("GROUP"), output.Num("MESSAGES"), output.Num("OLDEST")).IfEmpty("there are no dead letters")
	now := time.Now()
	for _, d := range list {
		t.Row(d.Group, d.Messages, output.Ago(d.Oldest, now))
	}
	return output.Of(list, t), err
}

// deadLetter is a dead letter as JSON.
type deadLetter struct {
	Group  string `json:"group"`
	Origin string `json:"originTopic"`
	shown
}

func deadLettersView(ctx context.Context, c *cluster, a *admin.Admin, group string, s admin.Span, limit int) (*output.View, error) {
	list, err := collect(ctx, limit+1, func(fn func(*message.Received) (bool, error)) error { return a.ScanDeadLetters(ctx, group, s, fn) })
	if len(list) == 0 && err != nil {
		return nil, err
	}
	more := len(list) > limit
	t := output.NewTable(output.Text("GIVEN UP"), output.Text("ID"), output.Text("TOPIC").Drop(4), output.Num("TRIES").Drop(3), output.Text("TAG").Cut(3).Drop(1), output.Text("KEYS").Cut(2).Drop(2), output.Text("BODY").Cut(1).Drop(5),
		output.Text("OFFSET ID").Wide()).IfEmpty("the group has no dead letters of that time")
	all := []deadLetter{}
	for _, m := range list[:min(len(list), limit)] {
		unpack(c, m)
		all = append(all, deadLetter{group, admin.OriginTopic(m), show(m)})
		t.Row(output.Time(m.StoreTime), m.ID(), admin.OriginTopic(m), m.ReconsumeTimes, m.Tags(), strings.Join(m.Keys(), ","), c.bodyText(m.Body), m.OffsetID())
	}
	view := output.Of(all, t)
	if more {
		view.Note("there are more than these %d: see --limit", limit)
	}
	return view, err
}

// revival is what `dlq resend` is to send.
type revival struct {
	*cluster
	consent
	group, to, span string
	ids             []string
	all             bool

	sent   int
	failed []error   // of single letters
	last   time.Time // store time of the last one that was tried
}

func dlqResend(p Process) *cobra.Command {
	r := &revival{cluster: &cluster{Process: p}}
	cmd := &cobra.Command{
		Use: "resend GROUP", Short: "Give dead letters to their group again", Args: args(1, 1),
		Long: `Give dead letters to their group again: those of --id, or all of --time or --all. They reach this group and no other,
through its retry topic, under the topic that they were sent to, and are tried anew as often as the group is set up
for. With --to they go to a topic instead, for all groups that read it: messages of groups that pop can only do that.

The dead letters stay where they are: what was resent is listed again, and resending it twice gives it twice. Those
that can't be sent are named at the end, the others are sent. When a broker stops answering, the time to go on from is
told; what was stored in that very millisecond may be sent twice.`,
		Example: `  twostage dlq resend billing --id 7F000001000012345678ABCDEF010000
  twostage dlq resend billing --time "2h ago.." --yes`,
		RunE: func(cmd *cobra.Command, given []string) error {
			r.group = given[0]
			ways := 0
			for _, yes := range []bool{len(r.ids) > 0, r.all, r.span != ""} {
				if yes {
					ways++
				}
			}
			if ways != 1 {
				return usagef("say which: --id ID, --time FROM..UNTIL or --all")
			}
			return r.run(cmd.Context())
		},
	}
	r.flags(cmd)
	cmd.Flags().StringArrayVar(&r.ids, "id", nil, "message `id`; may be repeated")
	cmd.Flags().BoolVar(&r.all, "all", false, "all that are there")
	timesFlag(cmd, &r.span)
	cmd.Flags().StringVar(&r.to, "to", "", "`topic` that gets them, in place of the group")
	r.consent.flag(cmd)
	r.completeArgs(cmd, groupNames)
	return cmd
}

func (r *revival) run(ctx context.Context) error {
	begin, end, err := parseTimes(r.span, time.Now())
	if err != nil {
		return err
	}
	return r.admin(func(a *admin.Admin) error {
		if len(r.ids) > 0 {
			return r.named(ctx, a)
		}
		span := admin.Span{Begin: begin, End: end}
		if !r.yes {
			count := 0
			err := a.ScanDeadLetters(ctx, r.group, span, func(*message.Received) (bool, error) { count++; return false, ctx.Err() })
			if err != nil {
				return err
			}
			to := "given to it again"
			if r.to != "" {
				to = "sent to topic " + r.to
			}
			why := fmt.Sprintf("%d dead letters of group %s would be %s", count, r.group, to)
			if err := r.ask(ctx, r.Process, why, why+".\nType yes to send them: ", "not resent"); err != nil {
				return err
			}
		}
		err := a.ScanDeadLetters(ctx, r.group, span, func(m *message.Received) (bool, error) { return false, r.send(ctx, a, m) })
		if err == nil && r.sent+len(r.failed) == 0 {
			fmt.Fprintln(r.Stderr, "the group has no such dead letters")
		}
		return r.end(r.stopped(err))
	})
}

// stopped adds to an error where to go on from.
func (r *revival) stopped(err error) error {
	if err == nil || r.sent == 0 {
		return err
	}
	_, until, _ := strings.Cut(r.span, "..")
	return fmt.Errorf("stopped after %d messages, go on with --time \"%s..%s\": %w", r.sent, output.Time(r.last), until, err)
}

// named sends those of --id. All are looked for first: none is sent when one is not
// there.
func (r *revival) named(ctx context.Context, a *admin.Admin) error {
	var all []*message.Received
	for _, id := range r.ids {
		m, err := a.Message(ctx, message.DLQTopic(r.group), id)
		if errors.Is(err, admin.ErrNoTopic) {
			return fmt.Errorf("%w: %s", admin.ErrNoDeadLetters, r.group)
		}
		if err != nil {
			return err
		}
		all = append(all, m)
	}
	for _, m := range all {
		if err := r.send(ctx, a, m); err != nil {
			return r.end(err)
		}
	}
	return r.end(nil)
}

// send sends a dead letter again. One that can't be sent is kept for end: the others
// go on.
func (r *revival) send(ctx context.Context, a *admin.Admin, m *message.Received) error {
	err := r.one(ctx, a, m)
	switch {
	case err == nil:
		r.sent++
	case admin.OfOneMessage(err):
		r.failed = append(r.failed, err)
	default:
		return err
	}
	r.last = m.StoreTime
	return nil
}

// end is the error of the whole: what stopped it, and which letters could not be sent.
func (r *revival) end(stopped error) error {
	if len(r.failed) == 0 {
		return stopped
	}
	err := errors.Join(r.failed...)
	if len(r.failed)+r.sent > 1 {
		err = fmt.Errorf("%d dead letters were resent, %d can't be:\n%w", r.sent, len(r.failed), err)
	}
	return errors.Join(stopped, err)
}

// one sends a dead letter again.
func (r *revival) one(ctx context.Context, a *admin.Admin, m *message.Received) error {
	var stored *admin.Stored
	var err error
	if r.to != "" {
		stored, err = a.Resend(ctx, m, r.to)
	} else {
		stored, err = a.ResendDeadLetter(ctx, r.group, m)
	}
	if err != nil {
		return fmt.Errorf("message %s: %w", m.ID(), err)
	}
	return resent(r.cluster, m.ID(), stored)
}

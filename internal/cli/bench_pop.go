// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/twostage/twostage/internal/bench"
)

// The subjects of `bench pop`.
const (
	popPull  = "pull"
	popAck   = "pop+ack"
	popBatch = "pop+batchack"
)

// benchPopFlags are the flags of `bench pop`.
type benchPopFlags struct {
	benchFlags
	subjects          []string
	invisible, settle time.Duration
}

func benchPop(p Process) *cobra.Command {
	f := &benchPopFlags{benchFlags: benchFlags{cluster: cluster{Process: p}}}
	cmd := &cobra.Command{
		Use: "pop", Short: "Pop and ack what a topic holds, beside a pull consumer", Args: args(0, 0),
		Long: `Measure in turn, round by round, how fast a topic is consumed: "` + popPull + `" pulls its queues over and over without acks,
"` + popAck + `" pops as a new group from the first message on and acks each message with a request of its own, "` + popBatch + `"
acks all that a pop gave with one request. A popped message counts when its ack was answered. Each connection has
--inflight pops or pulls in flight; a pop's place is free again when its acks are answered. Latencies are those of
pops or pulls; acks have their own. Send to the topic first, more than is popped in a round: a round ends early
when there is nothing left, and its warm-up counts too.

A broker has work left with what was popped: a checkpoint comes back when --invisible is over. With --settle it is
watched for so long after each round, and its CPU time for a message is told with that work and without it.

The exit code is 1 when a message was given twice.`,
		Example: `  twostage bench send --duration 5s --size 1024
  twostage bench pop --conns 8 --inflight 4 --pid $(pgrep -of "twostage server") --invisible 5s --settle 8s`,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.measure(cmd.Context()) },
	}
	f.flags(cmd)
	fl := cmd.Flags()
	fl.IntVar(&f.load.Inflight, "inflight", 4, "pops or pulls in flight on each connection")
	fl.IntVar(&f.load.Pull.Count, "count", f.load.Pull.Count, "messages that a pop or pull asks for, at most 32")
	fl.StringSliceVar(&f.subjects, "subjects", []string{popPull, popAck, popBatch}, "what to measure: "+popPull+", "+popAck+", "+popBatch)
	spanFlag(fl, &f.invisible, "invisible", time.Minute, "how long popped messages are invisible to others, whole milliseconds")
	spanFlag(fl, &f.settle, "settle", 0, "after each round of pops: how long the broker's CPU time is counted on")
	return cmd
}

// check refuses flags that make no sense.
func (f *benchPopFlags) check() error {
	f.load.Size = 1
	if err := f.benchFlags.check(); err != nil {
		return err
	}
	if f.load.Pull.Count > maxPop {
		return usagef("--count %d: a pop gives at most %d messages", f.load.Pull.Count, maxPop)
	}
	if len(f.subjects) == 0 {
		return usagef("--subjects: at least one")
	}
	for _, s := range f.subjects {
		if !slices.Contains([]string{popPull, popAck, popBatch}, s) {
			return usagef("--subjects %q: accepted are %s, %s, %s", s, popPull, popAck, popBatch)
		}
	}
	if f.invisible < time.Millisecond || f.invisible%time.Millisecond != 0 || f.settle < 0 {
		return usagef("--invisible %v, --settle %v: whole milliseconds, at least 1ms, and not under 0", f.invisible, f.settle)
	}
	return nil
}

const maxPop = 32 // a broker gives no more at once

func (f *benchPopFlags) measure(ctx context.Context) error {
	if err := f.check(); err != nil {
		return err
	}
	var err error
	if f.load.Targets, err = f.targets(ctx); err != nil {
		return err
	}
	for i := range f.load.Targets {
		if f.load.Targets[i].Broker == "" {
			return usagef("--addr does not say the broker's name, which acks carry: use --namesrv")
		}
	}
	r := newReport("pop", &f.benchFlags)
	var wrong error
	for round := 1; round <= f.rounds; round++ {
		for _, subject := range f.subjects {
			l := f.load
			l.Progress = progress(f.Stderr, subject, round, f.rounds)
			if subject == popPull {
				res, err := bench.Consume(ctx, l)
				if err != nil {
					return err
				}
				r.add(subject, round, res)
				continue
			}
			res, err := bench.Pop(ctx, bench.PopLoad{Load: l, Batch: subject == popBatch, Invisible: f.invisible, Settle: f.settle})
			if err != nil {
				return err
			}
			r.addPop(subject, round, res)
			if err := res.Err(); err != nil {
				wrong = errors.Join(wrong, fmt.Errorf("%s, round %d: %w", subject, round, err))
			}
		}
	}
	r.finish()
	err = f.result(f.Stdout, r, func(w io.Writer) error {
		err := r.print(w)
		_, err2 := io.WriteString(w, r.pops())
		return errors.Join(err, err2)
	})
	return errors.Join(err, wrong)
}

func (r *report) addPop(subject string, round int, res *bench.PopResult) {
	r.add(subject, round, &res.Result)
	g := &r.Rounds[len(r.Rounds)-1]
	g.WholeMicros = res.WholeMicros()
	g.AckP50, g.AckP99 = micros(time.Duration(res.Acks.ValueAtQuantile(50))), micros(time.Duration(res.Acks.ValueAtQuantile(99)))
}

// pops is what there is to say of the medians of pops beside the table.
func (r *report) pops() string {
	var s strings.Builder
	for _, g := range r.Medians {
		if g.AckP99 == 0 {
			continue
		}
		fmt.Fprintf(&s, "\n%s: acks p50 %.0f us, p99 %.0f us", g.Subject, g.AckP50, g.AckP99)
		if g.WholeMicros > 0 {
			fmt.Fprintf(&s, "; %.2f us of server CPU a message with what followed until it had settled", g.WholeMicros)
		}
		s.WriteString("\n")
	}
	return s.String()
}

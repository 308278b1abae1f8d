// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/twostage/twostage/internal/bench"
)

// benchTxFlags are the flags of `bench tx`.
type benchTxFlags struct {
	benchFlags
	tx               bench.TxLoad
	pending          int
	deadline, spread time.Duration
}

func benchTx(p Process) *cobra.Command {
	f := &benchTxFlags{benchFlags: benchFlags{cluster: cluster{Process: p}}}
	cmd := &cobra.Command{
		Use: "tx", Short: "Send transactions, or measure how exact check deadlines are", Args: args(0, 0),
		Long: `Send half messages with a fixed number of transactions in flight on each connection, tell their outcomes, and
answer checks, as producer group ` + bench.TxGroup + `: one load at a time on a broker. Rates are 0 to 1; an outcome is
first drawn as a rollback, and if it is none, as unknown (the options -sr, -su, -cr and -cu of the
TransactionProducer benchmark of Apache RocketMQ). Figures are those of the --duration, counts those of the whole
round; a transaction that was left unknown is in the rates when a check decided it, and in no latency.

With --pending the load stores so many half messages and decides none of them. Their deadlines are --deadline and,
in turn, up to --spread more. It reports by how much the first check of each came after its deadline, counted from
when the half message was sent. The checks are answered with a rollback.

The exit code is 1 when the broker asked about a transaction whose outcome it had answered (unexpectedCheck,
duplicatedCheck), refused an outcome, left one unanswered, or with --pending asked too early or not at all.`,
		Example: `  twostage bench tx --conns 8 --inflight 64 --size 1024 --pid $(pgrep -of "twostage server")
  twostage bench tx --rollback-rate 0.1 --unknown-rate 0.05 --check-unknown-rate 0.1 --duration 2m
  twostage bench tx --pending 100000 --deadline 10s --spread 20s`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.pending > 0 || cmd.Flags().Changed("pending") {
				return f.deadlines(cmd)
			}
			for _, only := range []string{"deadline", "spread"} {
				if cmd.Flags().Changed(only) {
					return usagef("--%s goes with --pending", only)
				}
			}
			return f.transactions(cmd.Context())
		},
	}
	f.flags(cmd)
	fl := cmd.Flags()
	fl.IntVar(&f.load.Inflight, "inflight", 64, "transactions in flight on each connection")
	sizeFlag(fl, &f.load.Size, "size", 1024, "size of a body")
	fl.Float64Var(&f.tx.RollbackRate, "rollback-rate", 0, "`share` rolled back at once")
	fl.Float64Var(&f.tx.UnknownRate, "unknown-rate", 0, "`share` of the others that is left undecided at first")
	fl.Float64Var(&f.tx.CheckRollbackRate, "check-rollback-rate", 0, "`share` of checks that is answered with a rollback")
	fl.Float64Var(&f.tx.CheckUnknownRate, "check-unknown-rate", 0, "`share` of the other checks that is answered with unknown")
	fl.BoolVar(&f.tx.Keys, "keys", false, "give messages KEYS, too")
	fl.BoolVar(&f.tx.OneWay, "oneway", false, "ask for no answer to outcomes, as Java's clients; a transaction then counts when its outcome was sent")
	spanFlag(fl, &f.tx.Linger, "linger", 10*time.Second, "how long checks are taken after the last outcome, with --pending after the last deadline")
	fl.IntVar(&f.pending, "pending", 0, "measure check deadlines with so many undecided half messages")
	spanFlag(fl, &f.deadline, "deadline", 10*time.Second, "with --pending: age of the first messages when they are to be checked, whole seconds")
	spanFlag(fl, &f.spread, "spread", 10*time.Second, "with --pending: by how much deadlines differ at most, whole seconds")
	return cmd
}

// check refuses flags that make no sense.
func (f *benchTxFlags) check() error {
	if err := f.benchFlags.check(); err != nil {
		return err
	}
	for _, r := range []struct {
		flag  string
		value float64
	}{
		{"--rollback-rate", f.tx.RollbackRate}, {"--unknown-rate", f.tx.UnknownRate},
		{"--check-rollback-rate", f.tx.CheckRollbackRate}, {"--check-unknown-rate", f.tx.CheckUnknownRate},
	} {
		if !(r.value >= 0 && r.value <= 1) {
			return usagef("%s %g: 0 to 1", r.flag, r.value)
		}
	}
	for _, n := range []struct {
		flag  string
		value int
	}{{"--conns", f.load.Conns}, {"--inflight", f.load.Inflight}} {
		if n.value > 1<<16-1 {
			return usagef("%s %d: at most 65535", n.flag, n.value)
		}
	}
	if f.tx.Linger < 0 {
		return usagef("--linger %v: not under 0", f.tx.Linger)
	}
	return nil
}

// transactions measures round by round.
func (f *benchTxFlags) transactions(ctx context.Context) error {
	if err := f.check(); err != nil {
		return err
	}
	var err error
	if f.load.Targets, err = f.targets(ctx); err != nil {
		return err
	}
	r := newTxReport(f)
	var wrong error
	for round := 1; round <= f.rounds; round++ {
		l := f.tx
		l.Load = f.load
		l.Progress = txProgress(f.Stderr, round, f.rounds)
		res, err := bench.Tx(ctx, l)
		if err != nil {
			return err
		}
		r.add(round, res)
		if err := res.Err(); err != nil {
			wrong = errors.Join(wrong, fmt.Errorf("round %d: %w", round, err))
		}
	}
	r.finish()
	return f.report(r, wrong)
}

func txProgress(w io.Writer, round, rounds int) func(time.Duration, float64) {
	return func(elapsed time.Duration, perSecond float64) {
		fmt.Fprintf(w, "round %d/%d %3.0fs %9.0f tx/s\n", round, rounds, elapsed.Seconds(), perSecond)
	}
}

// deadlines measures check deadlines, once.
func (f *benchTxFlags) deadlines(cmd *cobra.Command) error {
	if err := f.check(); err != nil {
		return err
	}
	for _, not := range []string{"rollback-rate", "unknown-rate", "check-rollback-rate", "check-unknown-rate", "keys", "oneway", "duration", "warmup", "rounds"} {
		if cmd.Flags().Changed(not) {
			return usagef("--%s does not go with --pending", not)
		}
	}
	if f.pending < 1 || f.pending > bench.MaxPending {
		return usagef("--pending %d: 1 to %d", f.pending, bench.MaxPending)
	}
	for _, d := range []struct {
		flag         string
		value, least time.Duration
	}{{"--deadline", f.deadline, time.Second}, {"--spread", f.spread, 0}} {
		if d.value < d.least || d.value%time.Second != 0 || d.value > maxDeadline {
			return usagef("%s %v: whole seconds, at least %v and at most %v", d.flag, d.value, d.least, maxDeadline)
		}
	}
	var err error
	if f.load.Targets, err = f.targets(cmd.Context()); err != nil {
		return err
	}
	res, err := bench.Deadlines(cmd.Context(), bench.DeadlineLoad{
		Load: f.load, Pending: f.pending, Deadline: f.deadline, Spread: f.spread, Linger: f.tx.Linger,
		Report: func(elapsed time.Duration, stored, checked int64) {
			fmt.Fprintf(f.Stderr, "%3.0fs %d stored, %d checked\n", elapsed.Seconds(), stored, checked)
		},
	})
	if err != nil {
		return err
	}
	return f.report(newDeadlineReport(f, res), res.Err())
}

// maxDeadline bounds --deadline and --spread.
const maxDeadline = 24 * time.Hour

// report prints a report, whatever the broker did wrong.
func (f *benchTxFlags) report(r interface{ print(io.Writer) error }, wrong error) error {
	return errors.Join(f.result(f.Stdout, r, r.print), wrong)
}

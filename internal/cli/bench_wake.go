// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/twostage/twostage/internal/bench"
)

func benchWake(p Process) *cobra.Command {
	f := &benchFlags{cluster: cluster{Process: p}}
	cmd := &cobra.Command{
		Use: "wake", Short: "Send at a rate to a consumer that waits, and time both", Args: args(0, 0),
		Long: `Send messages at fixed times, one by one, to the queues of a topic in turn, while a consumer holds a pull at each
of them. The line "sent" has the times from when messages were due to the answers, "delivered" those to their
arrival at the consumer.`,
		Example: `  twostage bench wake --rate 1000 --pid $(pgrep -of "twostage server")`,
		RunE:    func(cmd *cobra.Command, _ []string) error { return f.wake(cmd.Context()) },
	}
	f.flags(cmd)
	for _, name := range []string{"conns", "encoding"} { // one of each side, JSON
		_ = cmd.Flags().MarkHidden(name) // it is there
	}
	fl := cmd.Flags()
	sizeFlag(fl, &f.load.Size, "size", 1024, "size of a body, at least 8")
	fl.Float64Var(&f.load.Rate, "rate", 1000, "messages a second")
	return cmd
}

func (f *benchFlags) wake(ctx context.Context) error {
	f.load.Conns, f.load.Inflight = 1, 1
	if err := f.check(); err != nil {
		return err
	}
	if f.load.Rate == 0 {
		return usagef("--rate 0: above 0 messages a second")
	}
	var err error
	if f.load.Targets, err = f.targets(ctx); err != nil {
		return err
	}
	f.load.Targets = f.load.Targets[:1] // one consumer
	r := newReport("wake", f)
	for round := 1; round <= f.rounds; round++ {
		res, err := bench.Wake(ctx, f.load)
		if err != nil {
			return err
		}
		r.add("sent", round, res.Sent)
		r.add("delivered", round, res.Delivered)
	}
	r.finish()
	return f.result(f.Stdout, r, r.print)
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/twostage/twostage/client"
	"github.com/twostage/twostage/message"
)

func txCommand(p Process) *cobra.Command {
	return group("tx", "Send messages in transactions, look into transactions, decide them",
		txSend(p), txList(p), txShow(p), txDecide(p, true), txDecide(p, false), txRecheck(p), txResume(p))
}

// txFlags are the flags of `tx send`.
type txFlags struct {
	letter
	outcome, answer string
	wait            time.Duration
}

func txSend(p Process) *cobra.Command {
	c, f := &cluster{Process: p}, &txFlags{}
	cmd := &cobra.Command{
		Use: "send TOPIC [BODY]", Short: "Send a half message, then commit it, roll it back, or let the broker ask", Args: args(1, 2),
		Long: `Send a half message, which nobody can consume, show its ids, and tell the broker the outcome of the local
transaction. With --outcome unknown the broker is told nothing: after transactionTimeOut it asks the producer
group (check-back), which --check-answer answers. Check-backs for other messages are left open.`,
		Example: `  twostage tx send orders "order 17"
  twostage tx send orders "order 18" --outcome rollback
  twostage tx send orders "order 19" --outcome unknown --check-answer commit`,
		RunE: func(cmd *cobra.Command, given []string) error { return f.run(cmd.Context(), c, given) },
	}
	c.flags(cmd)
	c.completeArgs(cmd, topicNames)
	f.flags(cmd)
	cmd.Flags().StringVar(&f.group, "group", "twostage_cli_tx", "producer `group`")
	cmd.Flags().StringVar(&f.outcome, "outcome", "commit", "commit, rollback or unknown")
	cmd.Flags().StringVar(&f.answer, "check-answer", "commit", "what a check-back is answered: commit, rollback or unknown")
	spanFlag(cmd.Flags(), &f.wait, "wait", 5*time.Minute, "how long to wait for the check-back after an unknown outcome; 0: not at all")
	return cmd
}

func parseOutcome(flag, text string) (client.Outcome, error) {
	for _, o := range []client.Outcome{client.Unknown, client.Commit, client.Rollback} {
		if o.String() == text {
			return o, nil
		}
	}
	return 0, usagef("%s %q: accepted are commit, rollback, unknown", flag, text)
}

// asked is a check-back and what it was answered.
type asked struct {
	id     string
	answer client.Outcome
}

func (f *txFlags) run(ctx context.Context, c *cluster, given []string) (err error) {
	outcome, err := parseOutcome("--outcome", f.outcome)
	if err != nil {
		return err
	}
	answer, err := parseOutcome("--check-answer", f.answer)
	if err != nil {
		return err
	}
	m, err := f.message(c.Process, given)
	if err != nil {
		return err
	}
	opts, err := c.client()
	if err != nil {
		return err
	}
	var own atomic.Value // id of the half message: the group may have left others open
	questions := make(chan asked)
	check := func(ctx context.Context, m *message.Received) client.Outcome {
		q := asked{m.UniqueKey(), answer}
		if own.Load() != q.id {
			return client.Unknown
		}
		select {
		case questions <- q:
		case <-ctx.Done():
			return client.Unknown
		}
		return answer
	}
	p, err := client.NewTransactionProducer(f.group, check, opts...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	sent, err := p.SendInTransaction(ctx, m, func(_ context.Context, h *client.Half) client.Outcome {
		own.Store(h.MessageID)
		_ = c.did(c.Process, "half", append(place(&h.SendResult), "transaction-id", h.TransactionID, "commit-log-offset", h.CommitLogOffset)...)
		return outcome
	})
	if err != nil {
		return err
	}
	if sent.Status != client.Stored {
		return fmt.Errorf("rolled back: the half message was %s", sent.Status)
	}
	if sent.EndError != nil {
		return fmt.Errorf("the broker will ask for the outcome: %w", sent.EndError)
	}
	if err := c.did(c.Process, "ended", "outcome", sent.Outcome.String()); err != nil {
		return err
	}
	if sent.Outcome != client.Unknown || f.wait <= 0 {
		return nil
	}
	return f.await(ctx, c, questions)
}

// await waits until a check-back of the message was answered for good.
func (f *txFlags) await(ctx context.Context, c *cluster, questions <-chan asked) error {
	fmt.Fprintln(c.Stderr, "waiting for the check-back; interrupt to leave it open")
	ctx, cancel := context.WithTimeoutCause(ctx, f.wait, fmt.Errorf("no check-back came within %v", f.wait))
	defer cancel()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case q := <-questions:
			if err := c.did(c.Process, "check-back", "id", q.id, "answer", q.answer.String()); err != nil {
				return err
			}
			if q.answer != client.Unknown {
				return nil
			}
		}
	}
}

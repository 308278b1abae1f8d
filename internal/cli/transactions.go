// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/twostage/twostage/internal/admin"
	"github.com/twostage/twostage/internal/cli/output"
	"github.com/twostage/twostage/internal/wire/body"
)

// transactionID says what an ID argument is.
const transactionID = `ID is the queue offset that ` + "`twostage tx list`" + ` shows, an offset message id, or a message's unique key.
A broker without access control answers this on its own machine only: run the command there.`

// everyState is --state for transactions of any.
const everyState = "all"

// final is why outcomes are asked for twice.
const final = "an outcome is final"

func txList(p Process) *cobra.Command {
	c, f := &cluster{Process: p}, body.TransactionFilter{}
	state, limit := string(body.Undecided), 100
	cmd := &cobra.Command{
		Use: "list", Short: "List transactions of all brokers, oldest first", Args: args(0, 0),
		Long: `List transactions of all brokers, oldest first: the undecided ones, or those in another state.
A broker without access control answers this on its own machine only: run the command there.`,
		Example: `  twostage tx list --older-than 10m
  twostage tx list --state discarded --topic orders -o json`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if state != everyState {
				f.State = body.TransactionState(state)
			}
			if limit < 0 {
				return usagef("--limit %d: at least 0", limit)
			}
			checked := f
			if err := checked.Check(); err != nil {
				return usagef("%w", err)
			}
			return c.look(cmd.Context(), func(ctx context.Context, a *admin.Admin) (*output.View, error) {
				return listTransactions(ctx, c, a, f, limit)
			})
		},
	}
	c.flags(cmd)
	c.watchFlag(cmd)
	c.brokerFlag(cmd)
	cmd.Flags().StringVar(&f.Topic, "topic", "", "`topic` of the message")
	cmd.Flags().StringVar(&f.Group, "group", "", "producer `group`")
	cmd.Flags().StringVar(&state, "state", state, "undecided, committed, rolled-back, discarded, resumed, decided (nobody knows how) or all")
	spanFlag(cmd.Flags(), &f.MinAge, "older-than", 0, "stored at least so long ago, such as 10m")
	spanFlag(cmd.Flags(), &f.MaxAge, "newer-than", 0, "stored at most so long ago; 0: whenever")
	cmd.Flags().IntVar(&limit, "limit", limit, "so many at most; 0: all")
	return cmd
}

func listTransactions(ctx context.Context, c *cluster, a *admin.Admin, f body.TransactionFilter, limit int) (*output.View, error) {
	list, more, err := a.Transactions(ctx, c.broker, f, limit)
	if err != nil && len(list) == 0 {
		return nil, err
	}
	view := output.Of(struct {
		Transactions []admin.Transaction `json:"transactions"`
		More         bool                `json:"more"`
	}{append([]admin.Transaction{}, list...), more}, transactionTable(list))
	if more {
		view.Note("there are more than these %d: see --limit and the filters", len(list))
	}
	return view, err
}

func txShow(p Process) *cobra.Command {
	c := &cluster{Process: p}
	cmd := &cobra.Command{
		Use: "show ID", Short: "Tell the whole story of a transaction", Args: args(1, 1),
		Long: "Tell the whole story of a transaction: when it was stored, each check and to whom, answers, refused answers,\nthe outcome.\n\n" + transactionID,
		RunE: func(cmd *cobra.Command, given []string) error {
			return c.look(cmd.Context(), func(ctx context.Context, a *admin.Admin) (*output.View, error) {
				s, err := a.Transaction(ctx, c.broker, given[0])
				if err != nil {
					return nil, err
				}
				return storyView(s), nil
			})
		},
	}
	c.flags(cmd)
	c.watchFlag(cmd)
	c.brokerFlag(cmd)
	return cmd
}

// txDecide is `tx commit` or `tx rollback`.
func txDecide(p Process, commit bool) *cobra.Command {
	c, sure := &cluster{Process: p}, &consent{}
	verb, done := "rollback", "rolled-back"
	short := "Roll a transaction back on behalf of its producer"
	if commit {
		verb, done, short = "commit", "committed", "Commit a transaction on behalf of its producer"
	}
	cmd := &cobra.Command{
		Use: verb + " ID", Short: short, Args: args(1, 1),
		Long: short + ", who is not asked any more.\nThe outcome is final: if the producer's local transaction ended the other way, the two disagree for good.\nSo you are asked first, unless --yes says it.\n\n" + transactionID,
		RunE: func(cmd *cobra.Command, given []string) error {
			if err := sure.possible(p, final); err != nil {
				return err
			}
			return c.admin(func(a *admin.Admin) error {
				s, err := a.Transaction(cmd.Context(), c.broker, given[0])
				if err != nil {
					return err
				}
				if err := sure.ask(cmd.Context(), p, final, question(verb, s), "not "+done); err != nil {
					return err
				}
				if err := a.DecideTransaction(cmd.Context(), s.Place, s.Transaction.QueueOffset, commit); err != nil {
					return err
				}
				return c.did(p, done, "transaction", s.Transaction.QueueOffset, "broker", s.Broker)
			})
		},
	}
	c.flags(cmd)
	c.brokerFlag(cmd)
	sure.flag(cmd)
	return cmd
}

// question is what is asked before somebody else's transaction is decided.
func question(verb string, s *admin.Story) string {
	t := &s.Transaction
	return fmt.Sprintf("transaction %d of broker %s: topic %s, group %s, key %s\n%s, stored %s ago, %d checks\n"+
		"If the producer's local transaction ended the other way, the two disagree for good.\nType yes to %s it: ",
		t.QueueOffset, output.Printable(s.Broker), output.Printable(t.Topic), output.Printable(t.Group), output.Printable(t.Key),
		stateText(t), output.Span(time.Duration(t.Age)*time.Millisecond), t.Checks, verb)
}

func txRecheck(p Process) *cobra.Command {
	c := &cluster{Process: p}
	cmd := &cobra.Command{
		Use: "recheck ID", Short: "Have the producer asked about a transaction at once", Args: args(1, 1),
		Long: "Have the producer group asked about an undecided transaction at once, whatever its next check's time is and\nalso when its checks are used up. `twostage tx show ID` tells what came of it.\n\n" + transactionID,
		RunE: func(cmd *cobra.Command, given []string) error {
			return c.admin(func(a *admin.Admin) error {
				s, err := a.Transaction(cmd.Context(), c.broker, given[0])
				if err != nil {
					return err
				}
				if err := a.RecheckTransaction(cmd.Context(), s.Place, s.Transaction.QueueOffset); err != nil {
					return err
				}
				return c.did(p, "rechecked", "transaction", s.Transaction.QueueOffset, "broker", s.Broker)
			})
		},
	}
	c.flags(cmd)
	c.brokerFlag(cmd)
	return cmd
}

func txResume(p Process) *cobra.Command {
	c := &cluster{Process: p}
	cmd := &cobra.Command{
		Use: "resume ID", Short: "Take a discarded transaction up again", Args: args(1, 1),
		Long: "Take a transaction up again that was discarded because nobody decided it: it is undecided again and its\nproducer group is asked. Prints the queue offset of the half message that stands for it now.\n\n" + transactionID,
		RunE: func(cmd *cobra.Command, given []string) error {
			return c.admin(func(a *admin.Admin) error {
				at, offset, err := a.ResumeTransaction(cmd.Context(), c.broker, given[0])
				if err != nil {
					return err
				}
				return c.did(p, "resumed", "transaction", offset, "broker", cmp.Or(at.Broker, at.Addr))
			})
		},
	}
	c.flags(cmd)
	c.brokerFlag(cmd)
	return cmd
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/twostage/twostage/internal/admin"
	"github.com/twostage/twostage/internal/wire/body"
)

// transactionID says what an ID argument is.
const transactionID = `ID is the queue offset that ` + "`twostage tx list`" + ` shows, an offset message id, or a message's unique key.
Brokers answer about transactions on the loopback only: run the command on the broker's machine.`

// everyState is --state for transactions of any.
const everyState = "all"

// outputFlag adds -o.
func outputFlag(cmd *cobra.Command, format *string) {
	cmd.Flags().StringVarP(format, "output", "o", "table", "table or json")
}

func checkOutput(format string) error {
	if format != "table" && format != "json" {
		return usagef("--output %q: accepted are table, json", format)
	}
	return nil
}

func txList(p Process) *cobra.Command {
	c, f := &cluster{Process: p}, body.TransactionFilter{}
	state, format, limit := string(body.Undecided), "", 100
	cmd := &cobra.Command{
		Use: "list", Short: "List transactions of all brokers, oldest first", Args: args(0, 0),
		Long: `List transactions of all brokers, oldest first: the undecided ones, or those in another state.
Brokers answer about transactions on the loopback only: run the command on the broker's machine.`,
		Example: `  twostage tx list --older-than 10m
  twostage tx list --state discarded --topic orders -o json`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(format); err != nil {
				return err
			}
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
			return c.admin(func(a *admin.Admin) error { return listTransactions(cmd.Context(), c, a, f, limit, format) })
		},
	}
	c.flag(cmd)
	c.brokerFlag(cmd)
	outputFlag(cmd, &format)
	cmd.Flags().StringVar(&f.Topic, "topic", "", "`topic` of the message")
	cmd.Flags().StringVar(&f.Group, "group", "", "producer `group`")
	cmd.Flags().StringVar(&state, "state", state, "undecided, committed, rolled-back, discarded, resumed, decided (nobody knows how) or all")
	cmd.Flags().DurationVar(&f.MinAge, "older-than", 0, "stored at least so long ago, such as 10m")
	cmd.Flags().DurationVar(&f.MaxAge, "newer-than", 0, "stored at most so long ago; 0: whenever")
	cmd.Flags().IntVar(&limit, "limit", limit, "so many at most; 0: all")
	return cmd
}

func listTransactions(ctx context.Context, c *cluster, a *admin.Admin, f body.TransactionFilter, limit int, format string) error {
	list, more, err := a.Transactions(ctx, c.broker, f, limit)
	if err != nil && len(list) == 0 {
		return err
	}
	if format == "json" {
		if list == nil {
			list = []admin.Transaction{}
		}
		if failed := printJSON(c.Stdout, struct {
			Transactions []admin.Transaction `json:"transactions"`
			More         bool                `json:"more"`
		}{list, more}); failed != nil {
			return failed
		}
		return err
	}
	if len(list) == 0 {
		fmt.Fprintln(c.Stderr, "no such transactions")
		return nil
	}
	if failed := printTransactions(c.Stdout, list, terminalWidth(c.Stdout)); failed != nil {
		return failed
	}
	if more {
		fmt.Fprintf(c.Stderr, "there are more than these %d: see --limit and the filters\n", len(list))
	}
	return err
}

func txShow(p Process) *cobra.Command {
	c, format := &cluster{Process: p}, ""
	cmd := &cobra.Command{
		Use: "show ID", Short: "Tell the whole story of a transaction", Args: args(1, 1),
		Long: "Tell the whole story of a transaction: when it was stored, each check and to whom, answers, refused answers,\nthe outcome.\n\n" + transactionID,
		RunE: func(cmd *cobra.Command, given []string) error {
			if err := checkOutput(format); err != nil {
				return err
			}
			return c.admin(func(a *admin.Admin) error {
				s, err := a.Transaction(cmd.Context(), c.broker, given[0])
				if err != nil {
					return err
				}
				if format == "json" {
					return printJSON(c.Stdout, s)
				}
				return printStory(c.Stdout, s)
			})
		},
	}
	c.flag(cmd)
	c.brokerFlag(cmd)
	outputFlag(cmd, &format)
	return cmd
}

// txDecide is `tx commit` or `tx rollback`.
func txDecide(p Process, commit bool) *cobra.Command {
	c, yes := &cluster{Process: p}, false
	verb, done := "rollback", "rolled-back"
	short := "Roll a transaction back on behalf of its producer"
	if commit {
		verb, done, short = "commit", "committed", "Commit a transaction on behalf of its producer"
	}
	cmd := &cobra.Command{
		Use: verb + " ID", Short: short, Args: args(1, 1),
		Long: short + ", who is not asked any more.\nThe outcome is final: if the producer's local transaction ended the other way, the two disagree for good.\nSo you are asked first, unless --yes says it.\n\n" + transactionID,
		RunE: func(cmd *cobra.Command, given []string) error {
			asks := isTerminal(c.Stdin)
			if !yes && !asks {
				return usagef("an outcome is final, and there is no terminal to ask on: say that you mean it with --yes")
			}
			return c.admin(func(a *admin.Admin) error {
				s, err := a.Transaction(cmd.Context(), c.broker, given[0])
				if err != nil {
					return err
				}
				if !yes {
					if err := confirm(cmd.Context(), p, question(verb, s), "not "+done); err != nil {
						return err
					}
				}
				if err := a.DecideTransaction(cmd.Context(), s.Place, s.Transaction.QueueOffset, commit); err != nil {
					return err
				}
				_, err = fmt.Fprintf(c.Stdout, "%s transaction=%d broker=%s\n", done, s.Transaction.QueueOffset, s.Broker)
				return err
			})
		},
	}
	c.flag(cmd)
	c.brokerFlag(cmd)
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

// question is what is asked before somebody else's transaction is decided.
func question(verb string, s *admin.Story) string {
	t := &s.Transaction
	return fmt.Sprintf("transaction %d of broker %s: topic %s, group %s, key %s\n%s, stored %s ago, %d checks\n"+
		"If the producer's local transaction ended the other way, the two disagree for good.\nType yes to %s it: ",
		t.QueueOffset, printable([]byte(s.Broker)), printable([]byte(t.Topic)), printable([]byte(t.Group)), printable([]byte(t.Key)),
		stateText(t), ageText(time.Duration(t.Age)*time.Millisecond), t.Checks, verb)
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
				_, err = fmt.Fprintf(c.Stdout, "rechecked transaction=%d broker=%s\n", s.Transaction.QueueOffset, s.Broker)
				return err
			})
		},
	}
	c.flag(cmd)
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
				p, offset, err := a.ResumeTransaction(cmd.Context(), c.broker, given[0])
				if err != nil {
					return err
				}
				name := p.Broker
				if name == "" {
					name = p.Addr
				}
				_, err = fmt.Fprintf(c.Stdout, "resumed transaction=%d broker=%s\n", offset, name)
				return err
			})
		},
	}
	c.flag(cmd)
	c.brokerFlag(cmd)
	return cmd
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

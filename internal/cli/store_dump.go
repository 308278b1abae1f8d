// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bufio"
	"context"
	"errors"
	"io"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/twostage/twostage/internal/cli/output"
	"github.com/twostage/twostage/internal/fsck"
)

// dumpFlags are the flags of `store dump`.
type dumpFlags struct {
	storePlace
	filter fsck.Filter
	queue  int32
	body   bool
}

func storeDump(p Process) *cobra.Command {
	f := &dumpFlags{}
	cmd := &cobra.Command{
		Use: "dump WHAT [DIR]", Short: "Print records, queues, index, checkpoint, transactions for people", Args: args(1, 2),
		Long: `Print what is in a store directory. WHAT is

  log           records, with all fields; blank markers; damaged bytes   --from and --to are log offsets
  ops           the op records of transactions                           log offsets
  queue         entries of queues                                        queue offsets
  index         headers and entries of the index                         log offsets
  checkpoint    what the checkpoint claims
  transactions  states of half messages                                  half queue offsets
  deleted       topics whose old records have no queue

It changes nothing, and may run beside the broker. With --json each line is an object.

` + storePlaceHelp,
		Example: `  twostage store dump log --from 637531 --limit 1 --body
  twostage store dump log --topic orders --key order-17
  twostage store dump queue /var/lib/twostage/store --topic orders --queue 3 --from 1000 --to 1010 --json`,
		RunE: func(cmd *cobra.Command, given []string) error {
			if cmd.Flags().Changed("queue") {
				f.filter.Queue = &f.queue
			}
			if err := f.check(given[0]); err != nil {
				return err
			}
			return f.look(p, given[1:], func(d *fsck.Dir) error { return f.run(cmd.Context(), p, d, given[0]) })
		},
	}
	f.flags(p, cmd)
	fl := cmd.Flags()
	fl.Int64Var(&f.filter.From, "from", 0, "the first `offset`")
	fl.Int64Var(&f.filter.To, "to", 0, "the `offset` behind the last one; 0: to the end")
	fl.IntVar(&f.filter.Limit, "limit", 0, "so many at most; 0: all")
	fl.StringVar(&f.filter.Topic, "topic", "", "only of the `topic`")
	fl.Int32Var(&f.queue, "queue", 0, "only of the `queue` with this number")
	fl.StringVar(&f.filter.Key, "key", "", "only what has the `key`: a unique key or one of KEYS")
	fl.BoolVar(&f.body, "body", false, "with the bodies, as they are stored")
	return cmd
}

func (f *dumpFlags) check(what string) error {
	known := map[string]bool{"log": true, "ops": true, "queue": true, "index": true, "checkpoint": true, "transactions": true, "deleted": true}
	switch {
	case !known[what]:
		return usagef("there is no dump of %q: accepted are log, ops, queue, index, checkpoint, transactions, deleted", what)
	case f.filter.From < 0 || f.filter.To < 0 || f.filter.Limit < 0:
		return usagef("--from, --to and --limit are not negative")
	case f.filter.To != 0 && f.filter.To <= f.filter.From:
		return usagef("--to %d is not behind --from %d", f.filter.To, f.filter.From)
	case f.filter.Key != "" && what == "index" && f.filter.Topic == "":
		return usagef("--key needs --topic: the index has both in one number")
	}
	return nil
}

func (f *dumpFlags) run(ctx context.Context, p Process, d *fsck.Dir, what string) (err error) {
	w := bufio.NewWriterSize(p.Stdout, 64<<10)
	defer func() { err = errors.Join(err, w.Flush()) }()
	switch what {
	case "log":
		return d.DumpLog(ctx, f.filter, func(r *fsck.Record) error { return f.record(w, r) })
	case "ops":
		return d.DumpOps(ctx, f.filter, func(r *fsck.Record) error { return f.record(w, r) })
	case "queue":
		return d.DumpQueues(ctx, f.filter, func(e *fsck.QueueEntry) error { return item(w, f.format, e, printQueueEntry) })
	case "index":
		return d.DumpIndex(ctx, f.filter, func(h *fsck.IndexFile) error { return item(w, f.format, h, printIndexFile) },
			func(e *fsck.IndexEntry) error { return item(w, f.format, e, printIndexEntry) })
	case "checkpoint":
		return item(w, f.format, d.Checkpoint(), printCheckpoint)
	case "transactions":
		return d.DumpTransactions(ctx, f.filter, func(m *fsck.TransactionMark) error { return item(w, f.format, m, printMark) },
			func(t *fsck.TransactionWord) error { return item(w, f.format, t, printWord) })
	}
	for _, t := range d.DeletedTopics() {
		if err := item(w, f.format, t, printDeleted); err != nil {
			return err
		}
	}
	return nil
}

// item prints one thing of several.
func item[T any](w io.Writer, f output.Format, v T, text func(io.Writer, T) error) error {
	if f.ForPeople() {
		return text(w, v)
	}
	return output.WriteItem(w, f, v)
}

// recordJSON is a record with its body.
type recordJSON struct {
	*fsck.Record
	Body      *string `json:"body,omitempty"`       // when it is UTF-8
	BodyBytes []byte  `json:"bodyBase64,omitempty"` // when it is not
}

func (f *dumpFlags) record(w io.Writer, r *fsck.Record) error {
	if f.format.ForPeople() {
		return printRecord(w, r, f.body)
	}
	j := recordJSON{Record: r}
	if f.body && r.Fields != nil {
		if text := string(r.Fields.Body); utf8.ValidString(text) {
			j.Body = &text
		} else {
			j.BodyBytes = r.Fields.Body
		}
	}
	return output.WriteItem(w, f.format, j)
}

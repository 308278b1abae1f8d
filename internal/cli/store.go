// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/twostage/twostage/internal/config"
	"github.com/twostage/twostage/internal/fsck"
	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/vfs"
)

// errDamage is what `store verify` ends with when it has found damage.
var errDamage = errors.New("the store is damaged")

func storeCommand(p Process) *cobra.Command {
	return group("store", "Look into a store directory, verify it, rebuild its views", storeStat(p), storeDump(p), storeVerify(p), storeRebuild(p))
}

// storePlace says which store a command is about, as the server's flags do.
type storePlace struct {
	serverFlags
	display
	dir string // the store directory, instead of what the configuration says
}

const storePlaceHelp = `The store is that of a server with the same --data, -c and --set, or the store directory DIR. File sizes are
found from the files. Of an index with other numbers of slots and entries than RocketMQ's, say them:
--set maxHashSlotNum=N --set maxIndexNum=N, or -c with the broker's file.`

func (f *storePlace) flags(p Process, cmd *cobra.Command) {
	f.role = "all"
	fl := cmd.Flags()
	fl.StringVar(&f.data, "data", p.variable(variableData, "twostage-data"), "data `directory` of the server")
	fl.StringVarP(&f.brokerFile, "config", "c", "", "properties `file` of the broker")
	fl.StringArrayVar(&f.brokerKeys, "set", nil, "`key=value` of the broker; may be repeated")
	f.formatFlag(cmd)
	jsonFlag(cmd, &f.format)
}

// take sets the directory from the arguments.
func (f *storePlace) take(given []string) {
	if len(given) > 0 {
		f.dir = given[0]
	}
}

// load reads the configuration.
func (f *storePlace) load(p Process) (*config.Config, error) {
	if f.dir != "" {
		dir, err := filepath.Abs(f.dir)
		if err != nil {
			return nil, err
		}
		f.brokerKeys = append(f.brokerKeys, "storePathRootDir="+dir)
	}
	return f.serverFlags.load(p, config.RoleAll)
}

// set is the value of a key that somebody has set, 0 otherwise.
func set(c *config.Config, key string) int64 {
	v, ok := c.BrokerValues.Lookup(key)
	if !ok || v.Source.Origin == config.FromDefault {
		return 0
	}
	n, err := strconv.ParseInt(v.Text, 10, 64)
	if err != nil {
		return 0 // config has refused what is no number
	}
	return n
}

func (f *storePlace) options(p Process) (fsck.Options, *config.Config, error) {
	c, err := f.load(p)
	if err != nil {
		return fsck.Options{}, nil, err
	}
	s := &c.Broker.Store
	o := fsck.Options{
		FS: vfs.OS(), Dir: s.Dir, CommitLog: s.CommitLogDir, LogFileSize: set(c, "mappedFileSizeCommitLog"),
		IndexSlots: int(set(c, "maxHashSlotNum")), IndexEntries: int(set(c, "maxIndexNum")),
		Now: time.Now().UnixMilli(), Allocated: allocated, Locked: lockHeld,
	}
	if set(c, "mappedFileSizeConsumeQueue") != 0 {
		o.QueueFileSize = s.ConsumeQueueFileSize // rounded
	}
	for _, d := range c.Broker.Delays.Levels {
		o.DelayLevels = append(o.DelayLevels, d.Milliseconds())
	}
	return o, c, nil
}

// look calls fn with the store.
func (f *storePlace) look(p Process, given []string, fn func(d *fsck.Dir) error) (err error) {
	f.take(given)
	o, _, err := f.options(p)
	if err != nil {
		return err
	}
	d, err := fsck.Open(o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	return fn(d)
}

func storeStat(p Process) *cobra.Command {
	f := &storePlace{}
	topics := false
	cmd := &cobra.Command{
		Use: "stat [DIR]", Short: "Say what is in a store directory", Args: args(0, 1),
		Long: "Say what is in a store directory: the range of the log, files, counts, what they take of the disk. It reads\nlittle, changes nothing, and may run beside the broker.\n\n" + storePlaceHelp,
		RunE: func(cmd *cobra.Command, given []string) error {
			return f.look(p, given, func(d *fsck.Dir) error {
				s, err := d.Stat(cmd.Context())
				if err != nil {
					return err
				}
				return f.result(p.Stdout, s, func(w io.Writer) error { return printStat(w, s, topics) })
			})
		},
	}
	f.flags(p, cmd)
	cmd.Flags().BoolVar(&topics, "topics", false, "a line for each queue too")
	return cmd
}

func storeVerify(p Process) *cobra.Command {
	f := &storePlace{}
	cmd := &cobra.Command{
		Use: "verify [DIR]", Short: "Compare the log with queues, index, checkpoint and transactions", Args: args(0, 1),
		Long: `Read all of a store and say what is damaged or disagrees, with file and offset, one line each:

  damage: bytes are not what was written, or parts disagree
  behind: the next start completes or removes it, as after a kill
  note:   does no harm

It changes nothing. The broker must not run. The exit code is 1 when there is damage. Views that disagree can
be built again with ` + "`twostage store rebuild`" + `; what is damaged in the log is lost.

` + storePlaceHelp,
		RunE: func(cmd *cobra.Command, given []string) error {
			f.take(given)
			o, _, err := f.options(p)
			if err != nil {
				return err
			}
			r, err := fsck.Verify(cmd.Context(), o)
			if err != nil {
				return err
			}
			r.Findings = append([]fsck.Finding{}, r.Findings...) // as JSON a list, not null
			if err := f.result(p.Stdout, r, func(w io.Writer) error { return printReport(w, r) }); err != nil {
				return err
			}
			if !r.Clean {
				return fmt.Errorf("%w: %d findings", errDamage, r.Damage)
			}
			return nil
		},
	}
	f.flags(p, cmd)
	return cmd
}

func storeRebuild(p Process) *cobra.Command {
	f := &storePlace{}
	cmd := &cobra.Command{
		Use: "rebuild [DIR]", Short: "Build queues, index and the states of transactions from the log", Args: args(0, 1),
		Long: `Build queues and index from the log, whatever they hold, and have the next start build the states of
transactions. The log is not changed. Queues keep their next offset even where the log has lost their records.
The broker must not run. When it is interrupted, the next start, or rebuild, goes on.

` + storePlaceHelp,
		RunE: func(cmd *cobra.Command, given []string) error {
			f.take(given)
			return f.rebuild(cmd.Context(), p)
		},
	}
	f.flags(p, cmd)
	return cmd
}

func (f *storePlace) rebuild(ctx context.Context, p Process) error {
	o, c, err := f.options(p)
	if err != nil {
		return err
	}
	d, err := fsck.Open(o)
	if err != nil {
		return err
	}
	sizes := d.Sizes()
	if err := errors.Join(d.CheckIndex(), d.Close()); err != nil {
		return err
	}
	s := &c.Broker.Store
	cfg := store.Config{
		Dir: s.Dir, CommitLog: s.CommitLogDir, FS: o.FS, CommitLogFileSize: sizes.Log, ConsumeQueueFileSize: sizes.Queue,
		IndexSlots: s.IndexSlots, IndexEntries: s.IndexEntries, DelayLevels: o.DelayLevels, Logger: p.logger(),
	}
	if cfg.CommitLogFileSize == 0 {
		cfg.CommitLogFileSize = s.CommitLogFileSize
	}
	if cfg.ConsumeQueueFileSize == 0 {
		cfg.ConsumeQueueFileSize = s.ConsumeQueueFileSize
	}
	r, err := fsck.Rebuild(ctx, cfg)
	if err != nil {
		return err
	}
	return f.result(p.Stdout, rebuiltJSON(s.Dir, r), func(w io.Writer) error { return printRebuilt(w, s.Dir, r) })
}

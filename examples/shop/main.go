// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/twostage/twostage/examples/shop/service"
)

// flags are those of the shop.
type flags struct {
	duration, patience, payWithin time.Duration
	buyers                        int
	think                         time.Duration
	seed                          uint64
	chaos                         bool
	db, dir, broken               string
	keep                          bool
}

// errBooks: the books were printed, and do not balance.
var errBooks = errors.New("the books do not balance")

func main() {
	if err := command(os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "shop:", err)
		os.Exit(1)
	}
}

// command is the shop, or the process of it that the first argument names.
func command(args []string) error {
	if len(args) > 0 && (args[0] == "broker" || args[0] == "service") {
		return child(args[0], args[1:])
	}
	f, err := parse(args)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return run(ctx, f, os.Stdout)
}

func parse(args []string) (*flags, error) {
	f := &flags{}
	set := flag.NewFlagSet("shop", flag.ContinueOnError)
	set.DurationVar(&f.duration, "duration", 20*time.Second, "how long buyers buy")
	set.IntVar(&f.buyers, "buyers", 8, "how many of them")
	set.DurationVar(&f.think, "think", 50*time.Millisecond, "how long a buyer thinks between two steps")
	set.Uint64Var(&f.seed, "seed", 1, "of what buyers do and which processes chaos kills")
	set.BoolVar(&f.chaos, "chaos", false, "kill services and the broker, fail transactions, deliver messages twice")
	set.StringVar(&f.db, "db", "", "`server` for the databases, postgres://… or mysql://…, instead of SQLite files; they are made, and dropped at the end unless --keep or --dir keeps them")
	set.StringVar(&f.dir, "dir", "", "`directory` for data and logs, which is kept; default a temporary one")
	set.DurationVar(&f.payWithin, "pay-within", 5*time.Second, "orders that are not paid by then expire")
	set.DurationVar(&f.patience, "patience", 2*time.Minute, "how long what is under way may take at the end")
	set.BoolVar(&f.keep, "keep", false, "keep databases, data and logs")
	set.StringVar(&f.broken, "break", "", "with --chaos, see the books fail: once, transaction or check, without which the services then are")
	if err := set.Parse(args); err != nil {
		return nil, err
	}
	switch {
	case set.NArg() > 0:
		return nil, fmt.Errorf("unknown argument %q", set.Arg(0))
	case f.duration <= 0 || f.patience <= 0 || f.payWithin <= 0 || f.think < 0:
		return nil, errors.New("--duration, --patience and --pay-within are above 0, --think is not below")
	case f.buyers < 1:
		return nil, fmt.Errorf("--buyers %d: at least 1", f.buyers)
	}
	if strings.HasPrefix(f.db, "sqlite:") {
		return nil, errors.New("--db is for database servers: without it databases are SQLite files, in --dir")
	}
	if f.db != "" {
		db, _, err := service.Database(f.db).Open() // it does not connect yet
		if err != nil {
			return nil, err
		}
		_ = db.Close()
	}
	return f, service.Faults{Break: f.broken}.Check()
}

// run opens the shop, has buyers buy and prints the books.
func run(ctx context.Context, f *flags, out io.Writer) (failed error) {
	w, err := open(ctx, f, out)
	if err != nil {
		return err
	}
	if failed = w.load(ctx); failed == nil {
		failed = w.settle(ctx)
	}
	if ctx.Err() != nil {
		failed = errors.New("interrupted")
	}
	return errors.Join(failed, w.close(failed == nil || ctx.Err() != nil))
}

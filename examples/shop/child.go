// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"time"

	"github.com/twostage/twostage/examples/shop/accounts"
	"github.com/twostage/twostage/examples/shop/coupons"
	"github.com/twostage/twostage/examples/shop/notifications"
	"github.com/twostage/twostage/examples/shop/orders"
	"github.com/twostage/twostage/examples/shop/payments"
	"github.com/twostage/twostage/examples/shop/service"
	"github.com/twostage/twostage/examples/shop/stock"
	"github.com/twostage/twostage/internal/cli"
)

// databaseVariable tells a service where its database is: it may hold a password,
// and arguments are for everybody to see.
const databaseVariable = "SHOP_DATABASE"

// child is the broker or a service, in a process of its own, until the parent
// closes its standard input.
func child(role string, args []string) error {
	signal.Ignore(os.Interrupt) // the terminal's is for the parent
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	if role == "service" {
		return serve(ctx, args)
	}
	// The broker is that of the command twostage server, with nothing added.
	code := cli.Run(ctx, cli.Process{Args: append([]string{"server"}, args...), Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr})
	if code != 0 {
		return fmt.Errorf("the broker ended with code %d", code)
	}
	return nil
}

func serve(ctx context.Context, args []string) error {
	set := flag.NewFlagSet("shop service", flag.ContinueOnError)
	c := service.Config{Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelInfo}))}
	payWithin := set.Duration("pay-within", time.Minute, "")
	set.StringVar(&c.Name, "name", "", "")
	set.IntVar(&c.Replica, "replica", 1, "")
	set.StringVar(&c.NameServer, "namesrv", "", "")
	set.StringVar(&c.Listen, "listen", "127.0.0.1:0", "")
	set.BoolVar(&c.Faults.Chaos, "chaos", false, "")
	set.StringVar(&c.Faults.Break, "break", "", "")
	if err := set.Parse(args); err != nil {
		return err
	}
	c.Database = service.Database(os.Getenv(databaseVariable))
	if err := c.Faults.Check(); err != nil {
		return err
	}
	run, known := map[string]func(context.Context, service.Config, io.Writer) error{
		"orders": func(ctx context.Context, c service.Config, ready io.Writer) error {
			return orders.Run(ctx, c, *payWithin, ready)
		},
		"stock": stock.Run, "coupons": coupons.Run, "accounts": accounts.Run, "payments": payments.Run, "notifications": notifications.Run,
	}[c.Name]
	if !known {
		return errors.New("shop service: --name is orders, stock, coupons, accounts, payments or notifications")
	}
	return run(ctx, c, os.Stdout)
}

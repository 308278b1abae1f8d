// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"

	"github.com/twostage/twostage/client"
	"github.com/twostage/twostage/message"
)

// Faults are what --chaos does inside of a service, beside killing it, and what
// --break takes away. The zero value does nothing.
type Faults struct {
	Chaos bool
	Break string // one of the Break constants, or ""
}

// What can be broken, to see that the books notice.
const (
	BreakOnce        = "once"        // consumers without sqltx.Once
	BreakTransaction = "transaction" // the message is sent before the transaction, without sqltx.Run
	BreakCheck       = "check"       // check-backs are answered by a guess: committed
)

// Check refuses what can't be broken.
func (f Faults) Check() error {
	switch f.Break {
	case "", BreakOnce, BreakTransaction, BreakCheck:
		return nil
	}
	return fmt.Errorf("--break %s: accepted are %s, %s and %s", f.Break, BreakOnce, BreakTransaction, BreakCheck)
}

// again says that a consumed message is to be consumed once more: one in ten.
func (f Faults) again() bool { return f.Chaos && rand.IntN(10) == 0 }

// errLocal fails a local transaction that has done its work.
var errLocal = errors.New("chaos: the local transaction fails at its end")

// local fails one transaction in ten, and has the process die in one of sixty, when
// all is done but the commit. Where check-backs are broken there have to be some: one
// of six.
func (f Faults) local() error {
	deadly := 60
	if f.Break == BreakCheck {
		deadly = 6
	}
	switch {
	case !f.Chaos:
		return nil
	case rand.IntN(deadly) == 0:
		os.Exit(ExitChaos)
	case rand.IntN(10) == 0:
		return errLocal
	}
	return nil
}

// ExitChaos is the code of a process that has died by chaos.
const ExitChaos = 3

func (f Faults) checker(check client.Checker) client.Checker {
	if f.Break != BreakCheck {
		return check
	}
	return func(context.Context, *message.Received) client.Outcome { return client.Commit }
}

// sendFirst is what services do that know nothing of sqltx.Run: a message, then a
// transaction.
func (s *Service) sendFirst(ctx context.Context, m *message.Message, fn func(ctx context.Context, tx Tx) error) error {
	if _, err := s.producer.Send(ctx, m); err != nil {
		return err
	}
	return s.Locally(ctx, func(ctx context.Context, tx Tx) error {
		if err := fn(ctx, tx); err != nil {
			return err
		}
		return s.Faults.local()
	})
}

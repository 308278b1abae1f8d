// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"time"
)

// openLoop calls fn when something is due, Rate times a second from epoch on until
// to has passed, or ctx ends. It takes the goroutine's thread for itself, see
// [exactly].
func openLoop(ctx context.Context, epoch time.Time, rate float64, to time.Duration, fn func(i int, due time.Duration)) error {
	until, err := exactly()
	if err != nil {
		return err
	}
	interval := float64(time.Second) / rate
	for i := 0; ; i++ {
		due := time.Duration(float64(i) * interval)
		if due >= to {
			return nil
		}
		if until(ctx, epoch.Add(due)); ctx.Err() != nil {
			return nil
		}
		fn(i, due)
	}
}

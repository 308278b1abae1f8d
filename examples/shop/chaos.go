// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"math/rand/v2"
	"time"
)

// disturb kills a process, has it away for a while and starts it again, one after
// the other; every fifth time it is the broker, one time in six it is two at once.
// Services die by themselves meanwhile, in the middle of a transaction.
func (w *world) disturb(ctx context.Context, r *rand.Rand) {
	for n := 1; ; n++ {
		sleep(ctx, time.Duration(200+r.IntN(1300))*time.Millisecond)
		if ctx.Err() != nil {
			return
		}
		all := w.all()
		victims := []*process{all[1+r.IntN(len(all)-1)]}
		switch {
		case n%5 == 0:
			victims[0] = w.broker
		case r.IntN(6) == 0:
			victims = append(victims, all[r.IntN(len(all))])
		}
		for _, p := range victims {
			p.kill()
			if p == w.broker {
				w.crashes.Add(1)
			} else {
				w.kills.Add(1)
			}
		}
		sleep(ctx, time.Duration(r.IntN(1000))*time.Millisecond)
		w.back()
	}
}

// back starts what does not run, also when the load is over meanwhile.
func (w *world) back() {
	for _, p := range w.all() {
		if err := p.start(context.Background()); err != nil {
			p.giveUp(err)
		}
	}
}

// died is how many services have died by themselves.
func (w *world) died() (n int64) {
	for _, p := range w.all() {
		n += p.died.Load()
	}
	return n
}

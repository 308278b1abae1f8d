// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// patience is how long a part may take to stop before the log names it.
const patience = 10 * time.Second

// Group is a list of parts that stop in reverse order. NewGroup makes one. All
// methods may be called from several goroutines.
type Group struct {
	log     *slog.Logger
	base    context.Context // the values of the group's context, without its end
	unwatch func() bool     // ends the watch on the group's context
	stopped chan struct{}

	mu       sync.Mutex
	parts    []part
	stopping bool
	errs     []error
}

type part struct {
	name string
	stop func() error // returns when the part has ended
}

// NewGroup returns an empty group that stops when ctx ends. The goroutines of
// the group see the values of ctx, but not its end.
func NewGroup(ctx context.Context, logger *slog.Logger) *Group {
	g := &Group{log: logger, base: context.WithoutCancel(ctx), stopped: make(chan struct{})}
	g.mu.Lock() // AfterFunc may call beginStop before unwatch is set
	defer g.mu.Unlock()
	g.unwatch = context.AfterFunc(ctx, g.beginStop)
	return g
}

// Go runs run on a goroutine of its own. ctx ends when it is the goroutine's
// turn to stop; run returns then. When run returns an error, the group stops
// and Stop and Wait return that error with the name in front; the error of a
// ctx that has ended is not one. When run returns nil, the others go on. Once
// the group is stopping, Go does nothing.
func (g *Group) Go(name string, run func(ctx context.Context) error) {
	ctx, cancel := context.WithCancel(g.base)
	ended := make(chan struct{})
	stop := func() error {
		cancel()
		<-ended
		return nil
	}
	if !g.add(part{name, stop}) {
		cancel()
		return
	}
	go func() {
		defer close(ended)
		defer cancel()
		err := run(ctx)
		if err == nil || ctx.Err() != nil && errors.Is(err, ctx.Err()) {
			return
		}
		g.record(name, err)
		g.beginStop()
	}()
}

// Defer has stop called when it is its turn. Its error is part of what Stop
// and Wait return. Once the group is stopping, stop is called at once.
func (g *Group) Defer(name string, stop func() error) {
	p := part{name, stop}
	if !g.add(p) {
		g.end(p)
	}
}

// Stop stops the group, waits until every part has ended, and returns what Wait
// does. It may be called again. A goroutine of the group returns an error
// instead: Stop would wait for the goroutine itself.
func (g *Group) Stop() error {
	g.beginStop()
	return g.Wait()
}

// Wait waits until the group has stopped, for whatever reason, and every part
// has ended. It returns the errors of the goroutines and of the deferred
// functions, the first one first. That the context of the group ended is no
// error.
func (g *Group) Wait() error {
	<-g.stopped
	g.mu.Lock()
	defer g.mu.Unlock()
	return errors.Join(g.errs...)
}

// add reports false when the group is stopping.
func (g *Group) add(p part) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stopping {
		return false
	}
	g.parts = append(g.parts, p)
	return true
}

func (g *Group) record(name string, err error) {
	g.log.Error("part failed", "part", name, "err", err)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.errs = append(g.errs, fmt.Errorf("%s: %w", name, err))
}

func (g *Group) beginStop() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stopping {
		return
	}
	g.stopping = true
	g.unwatch()
	go g.unwind(g.parts)
}

func (g *Group) unwind(parts []part) {
	defer close(g.stopped)
	for i := len(parts) - 1; i >= 0; i-- {
		g.end(parts[i])
	}
}

func (g *Group) end(p part) {
	g.log.Debug("stopping", "part", p.name)
	ended := make(chan error, 1)
	go func() { ended <- p.stop() }()
	slow := time.NewTimer(patience)
	defer slow.Stop()
	var err error
	select {
	case err = <-ended:
	case <-slow.C:
		g.log.Warn("still waiting for a part to stop", "part", p.name, "after", patience)
		err = <-ended
	}
	if err != nil {
		g.record(p.name, err)
	}
}

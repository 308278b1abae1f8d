// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package commit

import (
	"errors"
	"sync"
)

// Group gives changes to what stores them, all that wait at a time. T is a draft
// of the next content, to which changes are applied. Safe for concurrent use.
type Group[T any] struct {
	begin func() T
	end   func(T) error

	turn chan struct{} // holds one while nobody is between begin and end

	mu      sync.Mutex
	waiting []*change[T]
}

// change is a call of Do. Its fields belong to whose turn it is once it waits.
type change[T any] struct {
	apply func(T) error
	taken bool
	err   error
}

// New makes a group: begin gives a draft of what is stored, and end stores the
// draft and publishes it, or does neither and gives an error. They are not called
// concurrently.
func New[T any](begin func() T, end func(T) error) *Group[T] {
	g := &Group[T]{begin: begin, end: end, turn: make(chan struct{}, 1)}
	g.turn <- struct{}{}
	return g
}

var errAborted = errors.New("a change that was to be stored with this one panicked")

// Do has apply change the next draft, and returns once that is stored. Changes are
// applied in the order of their calls, each to what those before it have left. An
// error of apply, which then must have changed nothing, is for its caller alone;
// one of end for all whose change was in the draft.
func (g *Group[T]) Do(apply func(T) error) error {
	c := &change[T]{apply: apply}
	g.mu.Lock()
	g.waiting = append(g.waiting, c)
	g.mu.Unlock()
	defer g.take()()
	if !c.taken {
		g.store()
	}
	return c.err
}

// take waits for the turn, and gives what ends it.
func (g *Group[T]) take() (end func()) {
	<-g.turn
	return func() { g.turn <- struct{}{} }
}

// store does what waits; it is the caller's turn.
func (g *Group[T]) store() {
	g.mu.Lock()
	changes := g.waiting
	g.waiting = nil
	g.mu.Unlock()
	for _, c := range changes {
		c.taken, c.err = true, errAborted // unless the end is reached
	}
	next := g.begin()
	errs := make([]error, len(changes))
	for i, c := range changes {
		errs[i] = c.apply(next)
	}
	err := g.end(next)
	for i, c := range changes {
		if c.err = errs[i]; c.err == nil {
			c.err = err
		}
	}
}

// Alone calls fn while nothing is being stored.
func (g *Group[T]) Alone(fn func()) {
	defer g.take()()
	fn()
}

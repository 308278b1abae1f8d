// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package mqtest

import (
	"sync"
	"time"

	"github.com/twostage/twostage/internal/wire"
)

// Way is a direction between clients and a broker.
type Way uint8

// The two ways.
const (
	FromClients Way = iota // requests, and answers to what the broker asks
	ToClients              // answers, messages, check-backs
)

// Partition holds back what goes one way between the broker and all clients, or
// both ways when none is named, until Heal or until the broker ends. Nobody closes
// connections for it but clients: those of package client do after about two of their
// timeouts (client.WithTimeout) without an answer. New ones can be made, as nobody
// refuses them. Heal lets what was held back arrive, as TCP would: a request that its
// client has given up may still be carried out then. The name server keeps the broker in
// the routes. Later calls add to what is held back.
func (b *Broker) Partition(ways ...Way) {
	if len(ways) == 0 {
		ways = []Way{FromClients, ToClients}
	}
	b.port.faults.hold(ways)
}

// Heal ends Partition and Slow. What was held back arrives.
func (b *Broker) Heal() { b.port.faults.heal() }

// Slow has what clients send arrive d later, however much it is. Answers take no
// longer. 0 ends it, and so do Heal, Stop, Kill and Crash.
func (b *Broker) Slow(d time.Duration) {
	b.port.faults.slow(d)
}

// faults are those of a port.
type faults struct {
	mu    sync.Mutex
	held  [2]chan struct{} // by Way; closed when it ends, nil: nothing is held back
	delay time.Duration    // of FromClients
	hurry chan struct{}    // closed when the delay ends; nil: there is none
}

func (f *faults) hold(ways []Way) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, w := range ways {
		if f.held[w] == nil {
			f.held[w] = make(chan struct{})
		}
	}
}

// slow ends the delay that there is, also for what waits, and begins another.
func (f *faults) slow(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.delay > 0 {
		close(f.hurry)
	}
	if f.delay = max(d, 0); f.delay > 0 {
		f.hurry = make(chan struct{})
	}
}

func (f *faults) heal() {
	f.slow(0)
	f.mu.Lock()
	defer f.mu.Unlock()
	for w, held := range f.held {
		if held != nil {
			close(held)
			f.held[w] = nil
		}
	}
}

// pass waits until something that came at a time may go on its way; false: done came
// first.
func (f *faults) pass(w Way, came time.Time, done <-chan struct{}) bool {
	f.mu.Lock()
	delay, hurry := f.delay, f.hurry
	f.mu.Unlock()
	if w == FromClients && delay > 0 {
		t := time.NewTimer(delay - time.Since(came))
		defer t.Stop()
		select {
		case <-t.C:
		case <-hurry:
		case <-done:
			return false
		}
	}
	for {
		f.mu.Lock()
		held := f.held[w]
		f.mu.Unlock()
		if held == nil {
			return true
		}
		select {
		case <-held:
		case <-done:
			return false
		}
	}
}

// DropCheckBacks has the next n check-backs of all brokers get lost; what is left of
// earlier calls does not count any more. The brokers ask again after
// transactionCheckInterval.
func (c *Cluster) DropCheckBacks(n int) {
	c.checks.mu.Lock()
	defer c.checks.mu.Unlock()
	c.checks.drop = max(n, 0)
}

// RepeatCheckBacks has each check-back that is not dropped arrive n times more, until
// RepeatCheckBacks(0).
func (c *Cluster) RepeatCheckBacks(n int) {
	c.checks.mu.Lock()
	defer c.checks.mu.Unlock()
	c.checks.repeat = max(n, 0)
}

// checkBacks says what becomes of the check-backs of a cluster.
type checkBacks struct {
	mu      sync.Mutex
	drop    int // so many of the next
	repeat  int
	decoder wire.Decoder
	command wire.Command
}

// times is how often a frame is to arrive.
func (c *checkBacks) times(frame []byte) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.drop == 0 && c.repeat == 0 {
		return 1
	}
	err := c.decoder.Decode(frame, &c.command)
	if err != nil || c.command.IsResponse() || c.command.Code != wire.ReqCheckTransactionState {
		return 1
	}
	if c.drop > 0 {
		c.drop--
		return 0
	}
	return 1 + c.repeat
}

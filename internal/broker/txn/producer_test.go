// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package txn

import (
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/twostage/twostage/internal/wire"
)

// producer is a live connection.
type producer struct {
	mu     sync.Mutex
	checks []*wire.Request
	at     []time.Time
	refuse bool
	queues bool // what is pushed waits for drain
	queued []queuedCheck
	answer func(*wire.Request)
}

type queuedCheck struct {
	req   *wire.Request
	valid func() bool
}

// drain is the connection's writer: it sends what was queued.
func (p *producer) drain() (sent []*wire.Request) {
	p.mu.Lock()
	queued := p.queued
	p.queued = nil
	p.mu.Unlock()
	for _, q := range queued {
		if q.valid() {
			sent = append(sent, q.req)
		}
	}
	return sent
}

func (p *producer) PushIf(r *wire.Request, valid func() bool) error {
	if p.queues {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.queued = append(p.queued, queuedCheck{r, valid})
		return nil
	}
	p.mu.Lock()
	refuse := p.refuse
	p.mu.Unlock()
	if refuse {
		return errors.New("backlog")
	}
	if !valid() {
		return nil
	}
	p.mu.Lock()
	p.checks, p.at = append(p.checks, r), append(p.at, time.Now())
	answer := p.answer
	p.mu.Unlock()
	if answer != nil {
		answer(r)
	}
	return nil
}

// sent are the checks that it got, times when.
func (p *producer) sent() []*wire.Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.checks)
}

func (p *producer) times() []time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.at)
}

func (p *producer) RemoteAddr() netip.AddrPort { return testHost }

func (p *producer) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.checks)
}

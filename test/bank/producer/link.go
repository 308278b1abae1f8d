// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"time"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/test/bank/teller"
)

const (
	// width is how many connections a producer has, all of its group.
	width = 2
	// beat is the pause between heartbeats, redial the one between dials.
	beat   = 400 * time.Millisecond
	redial = 30 * time.Millisecond
)

// link keeps connections to the broker, whatever becomes of it.
type link struct {
	work   teller.Work
	ledger *teller.Ledger
	asked  func(*conn, *wire.Command)
	all    sync.WaitGroup

	mu      sync.Mutex
	last    int // id of a connection: unique in the ledger
	up      [width]*conn
	changed chan struct{} // closed and replaced when up changes
}

func newLink(work teller.Work, l *teller.Ledger, asked func(*conn, *wire.Command)) *link {
	// Each connection has a line of its own, so former ids are below this one.
	return &link{work: work, ledger: l, asked: asked, last: l.Line(), changed: make(chan struct{})}
}

// start keeps the connections until ctx ends.
func (l *link) start(ctx context.Context) {
	for i := range width {
		l.all.Go(func() { l.keep(ctx, i) })
	}
}

func (l *link) wait() { l.all.Wait() }

func (l *link) keep(ctx context.Context, i int) {
	for first := true; ; first = false {
		if !first && !teller.Sleep(ctx, redial) || ctx.Err() != nil {
			return
		}
		l.mu.Lock()
		l.last++
		id := l.last
		l.mu.Unlock()
		l.ledger.Note(teller.Event{Kind: teller.Dialled, Conn: id})
		d := net.Dialer{Timeout: 5 * time.Second}
		nc, err := d.DialContext(ctx, "tcp", l.work.Broker)
		if err != nil {
			continue
		}
		c := newConn(id, nc, l.ledger, l.asked)
		l.all.Go(c.read)
		if l.greet(c, i) {
			l.set(i, c)
			l.serve(ctx, c, i)
			l.set(i, nil)
		}
		_ = nc.Close()
		<-c.dead
	}
}

// serve sends heartbeats until the connection ends.
func (l *link) serve(ctx context.Context, c *conn, i int) {
	tick := time.NewTicker(beat)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.dead:
			return
		case <-tick.C:
		}
		if !l.greet(c, i) {
			return
		}
	}
}

// greet sends a heartbeat and waits for its answer.
func (l *link) greet(c *conn, i int) bool {
	req := &wire.Request{Code: wire.ReqHeartBeat, Body: body.Marshal(&body.HeartbeatData{
		ClientID:        fmt.Sprintf("bank@%d#%d", os.Getpid(), i),
		ProducerDataSet: []body.ProducerData{{GroupName: l.work.Group}},
	})}
	return wait("heartbeat", c.start(req, func(answer *wire.Command, sent int) {
		if answer.Code != wire.Success {
			die("a heartbeat is answered %d: %s", answer.Code, answer.Remark)
		}
		l.ledger.Note(teller.Event{Kind: teller.Heartbeat, Conn: c.id, Sent: sent})
	}))
}

func (l *link) set(i int, c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.up[i] = c
	close(l.changed)
	l.changed = make(chan struct{})
}

// pick gives a connection that is up, and waits for one; nil when ctx ended.
func (l *link) pick(ctx context.Context, rng *rand.Rand) *conn {
	i := rng.IntN(width)
	for {
		l.mu.Lock()
		changed := l.changed
		c := l.up[i]
		if c == nil {
			c = l.up[(i+1)%width]
		}
		l.mu.Unlock()
		if c != nil {
			return c
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
	}
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package teller

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"sync"
	"time"
)

// inflight is how many transactions of a process run at a time. A run of those
// with the fault Died does; MaxDoomed is its longest.
const (
	inflight  = 256
	MaxDoomed = 200
)

// Work is what a producer process is told by its flags.
type Work struct {
	Plan
	Broker, Namesrv string // addresses
	Topic, Group    string
	Ledger          string  // path
	Rate            float64 // transactions a second
	Limit           int     // number of transactions to begin at most; 0: begin none
}

// Flags reads the flags of a process.
func Flags(args []string) (Work, error) {
	var w Work
	fs := flag.NewFlagSet("producer", flag.ContinueOnError)
	fs.Uint64Var(&w.Seed, "seed", 0, "of the plan")
	fs.IntVar(&w.Producer, "producer", 0, "number of the producer")
	client := fs.String("client", string(Raw), "raw, official or abandoned")
	fs.IntVar(&w.Deaths, "deaths", 0, "of so many transactions, some kill the process; 0: none")
	fs.IntVar(&w.Doomed, "doomed", 1, "how many those are")
	fs.StringVar(&w.Broker, "broker", "", "address")
	fs.StringVar(&w.Namesrv, "namesrv", "", "address")
	fs.StringVar(&w.Topic, "topic", "", "of the messages")
	fs.StringVar(&w.Group, "group", "", "producer group")
	fs.StringVar(&w.Ledger, "ledger", "", "file")
	fs.Float64Var(&w.Rate, "rate", 10, "transactions a second")
	fs.IntVar(&w.Limit, "limit", math.MaxInt32, "transactions of all lives")
	err := fs.Parse(args)
	w.Client = Client(*client)
	if err == nil && (w.Ledger == "" || w.Topic == "" || w.Group == "" || w.Rate <= 0 || weights[w.Client] == nil) {
		err = errors.New("flags -ledger, -topic, -group, -rate and -client are needed")
	}
	if err == nil && w.Deaths != 0 && (w.Doomed < 1 || w.Doomed > MaxDoomed || w.Deaths < 2*w.Doomed) {
		err = fmt.Errorf("-deaths=%d -doomed=%d: accepted are 1 to %d doomed, and at least twice as many deaths", w.Deaths, w.Doomed, MaxDoomed)
	}
	return w, err
}

// Args are the flags that Flags reads.
func (w Work) Args() []string {
	return []string{
		fmt.Sprintf("-seed=%d", w.Seed), fmt.Sprintf("-producer=%d", w.Producer), "-client=" + string(w.Client),
		fmt.Sprintf("-deaths=%d", w.Deaths), fmt.Sprintf("-doomed=%d", w.Doomed), "-broker=" + w.Broker, "-namesrv=" + w.Namesrv, "-topic=" + w.Topic, "-group=" + w.Group,
		"-ledger=" + w.Ledger, fmt.Sprintf("-rate=%g", w.Rate), fmt.Sprintf("-limit=%d", w.Limit),
	}
}

// Run begins transactions at the rate, those of a run of Died as fast as it can,
// and plays each on a goroutine, until in
// has the line "finish" or the limit is reached; then, when all have ended, it
// notes Idle. It returns when in ends, after those that play: ctx of play ends
// then.
func (w Work) Run(l *Ledger, in io.Reader, play func(context.Context, Transaction)) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	finish := make(chan struct{})
	quit := make(chan struct{})
	go func() { // ends with the input, which ends the process
		defer close(quit)
		lines := bufio.NewScanner(in)
		for once := false; lines.Scan(); {
			if lines.Text() == "finish" && !once {
				close(finish)
				once = true
			}
		}
	}()
	var all sync.WaitGroup
	free := make(chan struct{}, inflight)
	pace := time.Duration(float64(time.Second) / w.Rate)
	tick := time.NewTimer(0)
	defer tick.Stop()
	due := time.Now()
begin:
	for n := l.Begun(); n < w.Limit && l.Err() == nil; n++ {
		select {
		case <-finish:
			break begin
		case <-quit:
			break begin
		case <-tick.C:
		}
		select {
		case <-finish:
			break begin
		case <-quit:
			break begin
		case free <- struct{}{}:
		}
		t := w.Transaction(n)
		l.Note(Event{Kind: Begun, Key: t.Key, CRC: crc32.ChecksumIEEE(t.Body)})
		all.Go(func() {
			play(ctx, t)
			<-free
		})
		// What the broker's absence held up is caught up with, but not all at once.
		due = due.Add(pace)
		if now := time.Now(); due.Before(now.Add(-time.Second)) {
			due = now.Add(-time.Second)
		}
		next := max(time.Until(due), pace/8)
		if t.Fault == Died && !t.Last {
			next = 0 // the run is together before the broker asks about its first
		}
		tick.Reset(next)
	}
	go func() {
		<-quit
		cancel()
	}()
	all.Wait()
	l.Note(Event{Kind: Idle})
	<-quit
	return l.Err()
}

// Sleep waits, or returns false when ctx ended first.
func Sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

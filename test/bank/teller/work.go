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
	"os"
	"sync"
	"syscall"
	"time"
)

// inflight is how many transactions of a process run at a time.
const inflight = 256

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
	fs.IntVar(&w.Deaths, "deaths", 0, "one transaction of so many kills the process")
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
	return w, err
}

// Args are the flags that Flags reads.
func (w Work) Args() []string {
	return []string{
		fmt.Sprintf("-seed=%d", w.Seed), fmt.Sprintf("-producer=%d", w.Producer), "-client=" + string(w.Client),
		fmt.Sprintf("-deaths=%d", w.Deaths), "-broker=" + w.Broker, "-namesrv=" + w.Namesrv, "-topic=" + w.Topic, "-group=" + w.Group,
		"-ledger=" + w.Ledger, fmt.Sprintf("-rate=%g", w.Rate), fmt.Sprintf("-limit=%d", w.Limit),
	}
}

// Run begins transactions at the rate and plays each on a goroutine, until in
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
		tick.Reset(max(time.Until(due), pace/8))
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

// Die ends the process as kill -9 does.
func Die() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {} // until the signal takes effect
}

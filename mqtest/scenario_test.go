// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package mqtest_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/twostage/twostage/client"
	"github.com/twostage/twostage/message"
	"github.com/twostage/twostage/mqtest"
)

// ledger is what a client knows: which messages were acknowledged, in their order.
type ledger struct {
	acked  []string
	enough int
	full   chan struct{} // closed when there are enough
}

func newLedger(enough int) *ledger { return &ledger{enough: enough, full: make(chan struct{})} }

func (l *ledger) add(body string) {
	if l.acked = append(l.acked, body); len(l.acked) == l.enough {
		close(l.full)
	}
}

// live has a client of its own send plain messages, and one begin transactions that
// their check-backs decide, those with an even number as commits. It goes on until the
// broker no longer answers, and gives what was acknowledged and what was decided.
func live(t *testing.T, c *mqtest.Cluster, life int, end func(*mqtest.Broker)) (plain, halves []string) {
	t.Helper()
	sent, begun := newLedger(30), newLedger(10)
	ctx, stop := context.WithCancel(within(t))
	defer stop()
	p := producer(t, c)
	tx, err := client.NewTransactionProducer("payments", evens, client.WithNameServers(c.NameServer()))
	must(t, err)
	var senders sync.WaitGroup
	senders.Go(func() {
		for i := 0; ; i++ {
			body := fmt.Sprintf("plain %d %03d", life, i)
			if _, err := p.Send(ctx, message.New("orders", []byte(body))); err != nil {
				return
			}
			sent.add(body)
		}
	})
	senders.Go(func() {
		for i := 0; ; i++ {
			body := fmt.Sprintf("half %d %03d", life, i)
			_, err := tx.SendInTransaction(ctx, message.New("orders", []byte(body)), func(context.Context, *client.Half) client.Outcome {
				begun.add(body) // the half message was acknowledged
				return client.Unknown
			})
			if err != nil {
				return
			}
		}
	})
	for _, l := range []*ledger{sent, begun} {
		select {
		case <-l.full:
		case <-ctx.Done():
			t.Error("messages don't get through")
		}
	}
	end(c.Broker(0))
	stop()
	senders.Wait()
	must(t, tx.Close())
	return sent.acked, begun.acked
}

// evens commits what ends in an even digit.
func evens(_ context.Context, m *message.Received) client.Outcome {
	if isEven(string(m.Body)) {
		return client.Commit
	}
	return client.Rollback
}

func isEven(body string) bool { return strings.ContainsAny(body[len(body)-1:], "02468") }

// Whatever happens to the broker, no message that was acknowledged under SYNC_FLUSH
// is lost, and every transaction ends as its producer's books say, once.
func TestNothingIsLostUnderSyncFlush(t *testing.T) {
	t.Parallel()
	c := withTopic(t, append(fast(), mqtest.Set("flushDiskType", "SYNC_FLUSH"))...)
	var plain, halves []string
	for life, end := range []func(*mqtest.Broker){(*mqtest.Broker).Crash, (*mqtest.Broker).Stop, (*mqtest.Broker).Kill, (*mqtest.Broker).Crash} {
		c.DropCheckBacks(5 * life)
		c.RepeatCheckBacks(life)
		a, b := live(t, c, life, end)
		plain, halves = append(plain, a...), append(halves, b...)
		c.Broker(0).Start()
	}
	tx, err := client.NewTransactionProducer("payments", evens, client.WithNameServers(c.NameServer()))
	must(t, err)
	defer tx.Close()
	// The group is known from its first half message on.
	_, err = tx.SendInTransaction(within(t), message.New("orders", []byte("half 9 1")), func(context.Context, *client.Half) client.Outcome { return client.Unknown })
	must(t, err)
	committed := slices.DeleteFunc(halves, func(body string) bool { return !isEven(body) })
	counts := map[string]int{}
	for ctx := within(t); ctx.Err() == nil; {
		clear(counts)
		for _, body := range bodies(t, c) {
			counts[body]++
		}
		if !slices.ContainsFunc(committed, func(body string) bool { return counts[body] == 0 }) {
			break
		}
	}
	for _, body := range append(plain, committed...) {
		if counts[body] == 0 {
			t.Errorf("%q was acknowledged and is lost", body)
		}
	}
	for body, n := range counts {
		if strings.HasPrefix(body, "half") && (n > 1 || !isEven(body)) {
			t.Errorf("%q is there %d times", body, n)
		}
	}
}

// What a crash under ASYNC_FLUSH takes is the end of what was acknowledged since the
// last time that everything was synced, and nothing before.
func TestOnlyTheEndIsLostUnderAsyncFlush(t *testing.T) {
	t.Parallel()
	c := withTopic(t, mqtest.Set("transactionFlushDiskType", "ASYNC_FLUSH"), mqtest.Set("flushIntervalCommitLog", "10"), mqtest.Set("flushCommitLogLeastPages", "1"))
	var lives [][]string
	for life, end := range []func(*mqtest.Broker){(*mqtest.Broker).Stop, (*mqtest.Broker).Crash, (*mqtest.Broker).Kill, (*mqtest.Broker).Crash} {
		acked, _ := live(t, c, life, end)
		lives = append(lives, acked)
		c.Broker(0).Start()
	}
	there := bodies(t, c)
	for life, acked := range lives {
		kept := 0
		for i, body := range acked {
			if !slices.Contains(there, body) {
				continue
			}
			if kept++; kept != i+1 {
				t.Errorf("life %d: %q is there, but not all before it", life, body)
			}
		}
		if life%2 == 0 && kept != len(acked) {
			t.Errorf("life %d ended without a crash and lost %d of %d", life, len(acked)-kept, len(acked))
		}
		t.Logf("life %d: %d of %d acknowledged messages are there", life, kept, len(acked))
	}
}

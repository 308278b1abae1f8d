// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Bankproducer is a producer process of the bank (test/bank of the main module)
// with the official Go client, unmodified: see package teller for its flags, its
// ledger and its plan. The test bank builds and starts it.
//
// The client tells the broker of its group every 30 seconds only, first a second
// after its start. A broker that was restarted would not ask it for as long, so
// every few seconds a new instance of the client takes over the answering.
package main

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	rocketmq "github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
	"github.com/apache/rocketmq-client-go/v2/rlog"

	"github.com/twostage/twostage/test/bank/teller"
)

const (
	// greeting is the body of the message that makes a new instance look up the
	// broker. It is rolled back.
	greeting = "greeting"
	// renewal is how long an instance answers before the next one comes, overlap
	// how long both do: the client's first heartbeat comes after a second.
	renewal = 2 * time.Second
	overlap = 2 * time.Second
)

func main() {
	rlog.SetLogLevel("fatal")
	work, err := teller.Flags(os.Args[1:])
	if err == nil {
		err = run(work)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "bankproducer: %v\n", err)
		os.Exit(1)
	}
}

func run(work teller.Work) error {
	l, err := teller.Open(work.Ledger)
	if err != nil {
		return err
	}
	b := &bank{Work: work, ledger: l, doom: teller.NewDoom(work.Plan, l), unsure: make(map[string]int)}
	sender, err := b.connect("sender")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var renewing sync.WaitGroup
	renewing.Go(func() { b.renew(ctx) })
	err = work.Run(l, os.Stdin, func(ctx context.Context, t teller.Transaction) { b.play(ctx, sender, t) })
	cancel()
	renewing.Wait()
	_ = sender.Shutdown()
	// The ledger stays open: the client may still have a check-back in its hands.
	return err
}

// bank is the local side of the transactions.
type bank struct {
	teller.Work
	ledger *teller.Ledger
	doom   *teller.Doom

	mu     sync.Mutex
	unsure map[string]int // how often unknown is still to be said, by key
}

// connect starts an instance of the client.
func (b *bank) connect(name string) (rocketmq.TransactionProducer, error) {
	p, err := rocketmq.NewTransactionProducer(b, producer.WithNsResolver(primitive.NewPassthroughResolver([]string{b.Namesrv})),
		producer.WithInstanceName(fmt.Sprintf("bank-%d-%d-%s", b.Producer, os.Getpid(), name)), producer.WithGroupName(b.Group),
		producer.WithRetry(0))
	if err != nil {
		return nil, err
	}
	return p, p.Start()
}

// renew has one instance follow the other.
func (b *bank) renew(ctx context.Context) {
	var old rocketmq.TransactionProducer
	for n := 0; ; n++ {
		p, err := b.connect(fmt.Sprint(n))
		if err != nil {
			b.fail(err)
		}
		m := primitive.NewMessage(b.Topic+"Greeting", []byte(greeting))
		_, err = p.SendMessageInTransaction(ctx, m)
		more := teller.Sleep(ctx, overlap)
		if err != nil && more { // the broker is away
			_ = p.Shutdown()
			continue
		}
		if old != nil {
			_ = old.Shutdown()
		}
		if old = p; !more || !teller.Sleep(ctx, renewal) {
			_ = p.Shutdown()
			return
		}
	}
}

// play sends the message of a transaction. When that fails, the half message may
// be stored all the same: then the broker asks.
func (b *bank) play(ctx context.Context, p rocketmq.TransactionProducer, t teller.Transaction) {
	if t.Fault == teller.Died {
		b.doom.Begin(t)
		defer b.doom.Missed(t) // where the send comes back, it was not decided
	}
	if _, err := p.SendMessageInTransaction(ctx, primitive.NewMessage(b.Topic, t.Body)); err != nil {
		b.note(t.Key, teller.HalfLost)
		// The broker is away, or this client has not heard that it came back.
		teller.Sleep(ctx, 200*time.Millisecond)
	}
}

func (b *bank) note(key string, f teller.Fault) {
	b.ledger.Note(teller.Event{Kind: teller.Faulted, Key: key, Fault: f})
}

// ExecuteLocalTransaction is called when the half message is stored.
func (b *bank) ExecuteLocalTransaction(m *primitive.Message) primitive.LocalTransactionState {
	if string(m.Body) == greeting {
		return primitive.RollbackMessageState
	}
	t := b.of(m.Body)
	b.ledger.Note(teller.Event{Kind: teller.Stored, Key: t.Key, Offset: -1})
	if t.Fault == teller.Unsure {
		b.mu.Lock()
		b.unsure[t.Key] = t.Times
		b.mu.Unlock()
		b.note(t.Key, t.Fault)
		return primitive.UnknowState
	}
	o := b.decide(t.Key, t.Want)
	switch {
	case t.Fault == teller.Died && b.doom.Decided(t):
		select {} // until the process dies: what is returned, the broker is told
	case t.Fault == teller.Late:
		teller.Sleep(context.Background(), t.Delay)
		b.note(t.Key, t.Fault)
	case o == teller.Rollback:
		b.note(t.Key, teller.RolledBack)
	}
	return state(o)
}

// CheckLocalTransaction is called when the broker asks.
func (b *bank) CheckLocalTransaction(m *primitive.MessageExt) primitive.LocalTransactionState {
	if string(m.Body) == greeting {
		return primitive.RollbackMessageState
	}
	t := b.of(m.Body)
	b.ledger.Note(teller.Event{Kind: teller.Checked, Key: t.Key, Offset: -1})
	b.doom.Asked(t)
	want := teller.Rollback
	b.mu.Lock()
	left, unsure := b.unsure[t.Key]
	if unsure {
		want = t.Want
		b.unsure[t.Key] = max(left-1, 0)
	}
	b.mu.Unlock()
	if left > 0 {
		return primitive.UnknowState
	}
	o := b.decide(t.Key, want)
	b.mu.Lock()
	delete(b.unsure, t.Key)
	b.mu.Unlock()
	return state(o)
}

// of gives the transaction that a body belongs to.
func (b *bank) of(body []byte) teller.Transaction {
	key := teller.KeyOf(body)
	n := b.Number(key)
	if n < 0 {
		b.fail(fmt.Errorf("a message of %q, which is not this producer's", key))
	}
	return b.Transaction(n)
}

func (b *bank) decide(key string, want teller.Outcome) teller.Outcome {
	o, err := b.ledger.Decide(key, want)
	if err != nil {
		b.fail(err)
	}
	return o
}

// fail ends the process: the bank fails then.
func (b *bank) fail(err error) {
	fmt.Fprintf(os.Stderr, "bankproducer: %v\n", err)
	os.Exit(1)
}

func state(o teller.Outcome) primitive.LocalTransactionState {
	if o == teller.Commit {
		return primitive.CommitMessageState
	}
	return primitive.RollbackMessageState
}

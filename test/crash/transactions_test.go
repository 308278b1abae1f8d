// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package crash

import (
	"context"
	"fmt"
	"hash/crc32"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
	"github.com/twostage/twostage/test/rig"
)

// producers is how many transactions run at a time.
const producers = 3

// producerGroup is the group of the transactions. It has no live producer
// during the load, so nobody is asked before the kill.
const producerGroup = "crash_tx"

// txLoad begins and ends transactions until its calls fail.
type txLoad struct {
	client *remoting.Client
	addr   string
	topic  string
	prefix string       // of the keys; 8 bytes
	ended  atomic.Int64 // that were acknowledged

	*shared
	wg     sync.WaitGroup
	halves [producers][]half
}

func (l *txLoad) start(ctx context.Context, seed uint64) {
	for i := range producers {
		rng := rand.New(rand.NewPCG(seed, 1000+uint64(i)))
		l.wg.Go(func() { l.call("transactions", l.run(ctx, i, rng)) })
	}
}

// wait waits until the broker is gone, and gives the transactions.
func (l *txLoad) wait() []half {
	l.wg.Wait()
	return slices.Concat(l.halves[:]...)
}

func (l *txLoad) run(ctx context.Context, id int, rng *rand.Rand) error {
	for n := 0; ; n++ {
		want := commit
		if rng.IntN(3) == 0 {
			want = rollback
		}
		key := fmt.Sprintf("%s-%c-%d-%06d", l.prefix, want, id, n)
		text := text(rng, key, true)
		h := half{want: want, sent: sent{key: key, topic: l.topic, queue: int32(rng.IntN(queues)), crc: crc32.ChecksumIEEE(text), begun: l.clock.Add(1)}}
		at, err := l.prepare(ctx, &h, text)
		if err != nil {
			l.halves[id] = append(l.halves[id], h)
			return err
		}
		if rng.IntN(20) != 0 { // else it stays open
			at.CommitOrRollback = endFlag(want)
			h.tried = true
			if err = rpc.EndTransaction(ctx, l.client, l.addr, at); err == nil {
				h.ended, h.settled = true, true
				l.ended.Add(1)
			}
		}
		l.halves[id] = append(l.halves[id], h)
		if err != nil {
			return err
		}
	}
}

// prepare sends the half message and gives the header of its end.
func (l *txLoad) prepare(ctx context.Context, h *half, text []byte) (*header.EndTransactionRequest, error) {
	req := rig.SendHeader(l.topic, h.queue, h.key)
	req.ProducerGroup = []byte(producerGroup)
	req.SysFlag = int32(message.TransactionPrepared)
	req.Properties = message.AppendProperty(req.Properties, message.PropertyTransactionPrepared, "true")
	req.Properties = message.AppendProperty(req.Properties, message.PropertyProducerGroup, producerGroup)
	answer, err := rpc.Send(ctx, l.client, l.addr, req, text)
	for busy(err) {
		answer, err = rpc.Send(ctx, l.client, l.addr, req, text)
	}
	if err != nil {
		return nil, err
	}
	_, position, err := message.ParseOffsetID(string(answer.Header.MsgID))
	if err != nil {
		return nil, err
	}
	h.answered, h.offset = l.clock.Add(1), answer.Header.QueueOffset
	return &header.EndTransactionRequest{
		ProducerGroup: producerGroup, TranStateTableOffset: answer.Header.QueueOffset, CommitLogOffset: position,
		MsgID: h.key, TransactionID: h.key,
	}, nil
}

func endFlag(want decision) int32 {
	if want == rollback {
		return int32(message.TransactionRollback)
	}
	return int32(message.TransactionCommit)
}

// checker is a live producer of the group: it is asked, and says what the key of
// a message decides.
type checker struct {
	client *remoting.Client
	group  string

	mu     sync.Mutex
	closed bool
	busy   sync.WaitGroup // questions that are being answered
	asked  map[string]int
	ended  map[string]bool // whose end was acknowledged, in all rounds
	err    error           // the first fault
}

// newChecker connects to the broker and announces the group.
func newChecker(ctx context.Context, addr, group string, ended map[string]bool) (*checker, error) {
	k := &checker{group: group, asked: make(map[string]int), ended: ended}
	lane := remoting.NewLane("checks", 4, 1<<16)
	k.client = remoting.NewClient(remoting.ClientConfig{
		Language: wire.LanguageJava, Version: wire.Version,
		Routes: func(code int32) (remoting.Route, bool) {
			if code != wire.ReqCheckTransactionState {
				return remoting.Route{}, false
			}
			return remoting.Route{Lane: lane, Handler: func(r *remoting.Request) {
				if !k.enter() {
					return
				}
				defer k.busy.Done()
				if err := k.check(ctx, addr, r); err != nil {
					k.mu.Lock()
					if k.err == nil {
						k.err = err
					}
					k.mu.Unlock()
				}
			}}, true
		},
	})
	err := rpc.Heartbeat(ctx, k.client, addr, &body.HeartbeatData{
		ClientID: "checker@" + group, ProducerDataSet: []body.ProducerData{{GroupName: group}},
	})
	if err != nil {
		_ = k.client.Close()
		return nil, err
	}
	return k, nil
}

// enter lets a question in unless close was called.
func (k *checker) enter() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.closed {
		k.busy.Add(1)
	}
	return !k.closed
}

// close lets no more questions in, waits for those that are being answered, and
// disconnects.
func (k *checker) close() error {
	k.mu.Lock()
	k.closed = true
	k.mu.Unlock()
	k.busy.Wait()
	return k.client.Close()
}

// check answers one question.
func (k *checker) check(ctx context.Context, addr string, r *remoting.Request) error {
	var h header.CheckTransactionRequest
	if err := h.DecodeExt(r.Ext); err != nil {
		return err
	}
	var rec message.Record
	if _, err := message.DecodeRecord(r.Body, &rec, true); err != nil {
		return fmt.Errorf("the half message in a check-back: %w", err)
	}
	v, _ := rec.Property(message.PropertyUniqueKey)
	key := string(v)
	if len(key) < 10 {
		return fmt.Errorf("asked about %q, which is none of ours", key)
	}
	want := decision(key[9])
	k.mu.Lock()
	k.asked[key]++
	again := k.ended[key]
	k.mu.Unlock()
	if again {
		return fmt.Errorf("asked about %s again after its end was acknowledged", key)
	}
	err := rpc.EndTransaction(ctx, k.client, addr, &header.EndTransactionRequest{
		ProducerGroup: k.group, TranStateTableOffset: h.TranStateTableOffset, CommitLogOffset: h.CommitLogOffset,
		CommitOrRollback: endFlag(want), FromTransactionCheck: true, MsgID: key, TransactionID: h.TransactionID,
	})
	if err != nil {
		return err
	}
	k.mu.Lock()
	k.ended[key] = true
	k.mu.Unlock()
	return nil
}

// seen gives how often was asked about what, and the first fault.
func (k *checker) seen() (map[string]int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return maps.Clone(k.asked), k.err
}

// took says whether the end of a transaction was acknowledged.
func (k *checker) took(key string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.ended[key]
}

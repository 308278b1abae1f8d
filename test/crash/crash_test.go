// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package crash

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twostage/twostage/internal/proctest"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/test/rig"
)

var (
	rounds = flag.Int("rounds", 3, "how often the broker is killed under each flush policy")
	seed   = flag.Uint64("seed", 0, "of everything random; 0 draws one")
)

// A fresh directory is begun after this many rounds, so that a long run tests
// young and old stores and needs no more disk than one of them.
const roundsPerStore = 40

// stopEvery: after so many kills comes a round that ends with SIGTERM.
const stopEvery = 3

func TestKill(t *testing.T) {
	first := *seed
	if first == 0 {
		first = rand.Uint64N(1 << 32)
	}
	for _, policy := range []string{"ASYNC_FLUSH", "SYNC_FLUSH"} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			t.Logf("seed: run again with -rounds %d -seed %d", *rounds, first)
			for left, n := *rounds, uint64(0); left > 0; left, n = left-roundsPerStore, n+1 {
				t.Run(fmt.Sprintf("store%d", n), func(t *testing.T) { runStore(t, policy, min(left, roundsPerStore), first+n) })
			}
		})
	}
}

// runStore runs rounds on one store directory.
func runStore(t *testing.T, policy string, kills int, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 1))
	e := newStore(t, policy)
	for n := range kills {
		e.round(t, rng, true)
		if n%stopEvery == stopEvery-1 || n == kills-1 {
			e.round(t, rng, false)
		}
	}
	t.Logf("%s: %d kills, %d messages and %d transactions acknowledged, %d topic and group changes, asked about %d transactions",
		policy, kills, e.messages, e.transactions, e.changes, e.asked)
}

// store is a server over its rounds.
type store struct {
	data    string
	server  *proctest.Server
	n       int // the round
	topics  *ledger
	groups  *ledger
	offsets *offsets
	ended   map[string]bool // transactions whose end was acknowledged
	past    []reading       // of topics that still exist, oldest first

	messages, transactions, changes int64
	asked                           int
}

// reading is what was read of a topic, and what had been sent to it.
type reading struct {
	topic  string
	log    []sent // nil for transactions
	queues map[int32][]stored
}

func newStore(t *testing.T, policy string) *store {
	data := t.TempDir()
	args := smallArgs(data, policy, "transactionTimeOut=500", "transactionCheckInterval=200", "transactionCheckMax=100000")
	e := &store{
		data: data, server: proctest.Start(t, args...), topics: newLedger(), groups: newLedger(),
		offsets: newOffsets(data, "Offsets"), ended: make(map[string]bool),
	}
	return e
}

// round loads the server, ends it, starts it again and checks everything.
func (e *store) round(t *testing.T, rng *rand.Rand, kill bool) {
	t.Helper()
	e.n++
	ctx, cancel := context.WithTimeout(context.Background(), 3*rig.Patience)
	defer cancel()
	c := rig.Client(t)
	defer c.Close()
	messages, auto, tx := fmt.Sprintf("Round%04d", e.n), fmt.Sprintf("Auto%04d", e.n), fmt.Sprintf("Tx%04d", e.n)
	for _, topic := range []string{messages, tx, "Offsets"} {
		e.topics.begin(topic, topicState(queues, 6))
		if err := rpc.CreateTopic(ctx, c, e.server.Broker, rig.TopicHeader(topic, queues)); err != nil {
			t.Fatal(err)
		}
		e.topics.done()
	}
	logs, halves := e.load(ctx, t, c, rng, kill, messages, auto, tx)
	if t.Failed() {
		t.FailNow()
	}
	if len(logs[auto]) > 0 && acknowledged(logs[auto]) {
		e.topics.state[auto] = topicState(queues, 6)
	}

	_, err := os.Stat(filepath.Join(e.data, "store", "abort"))
	if kill && err != nil {
		t.Errorf("round %d: after a kill: %v", e.n, err)
	}
	if !kill && !errors.Is(err, os.ErrNotExist) {
		t.Errorf("round %d: after SIGTERM the abort file is there (%v)", e.n, err)
	}
	e.restart(t, !kill)
	if kill && rng.IntN(4) == 0 { // what recovery did must withstand a kill as well
		if err := e.server.Kill(); err != nil {
			t.Fatal(err)
		}
		e.restart(t, false)
	}
	v := &verifier{store: e, ctx: ctx, c: rig.Client(t), addr: e.server.Broker, name: fmt.Sprintf("round %d (kill: %t)", e.n, kill)}
	defer v.c.Close()
	v.all(t, !kill, []reading{{topic: messages, log: logs[messages]}, {topic: auto, log: logs[auto]}}, tx, halves)
	if t.Failed() {
		t.FailNow()
	}
}

func acknowledged(log []sent) bool {
	for i := range log {
		if log[i].answered > 0 {
			return true
		}
	}
	return false
}

// load runs all loads until the server is ended, and gives what was sent.
func (e *store) load(ctx context.Context, t *testing.T, c *remoting.Client, rng *rand.Rand, kill bool, messages, auto, tx string) (map[string][]sent, []half) {
	t.Helper()
	addr := e.server.Broker
	round := &shared{}
	l := &load{shared: round, addr: addr, topic: messages, auto: auto, prefix: fmt.Sprintf("m%05d", e.n)}
	x := &txLoad{shared: round, client: c, addr: addr, topic: tx, prefix: fmt.Sprintf("t%07d", e.n)}
	m := &metadata{shared: round, client: c, addr: addr, topics: e.topics, groups: e.groups}
	before := e.offsets.known()
	if err := l.start(rng.Uint64()); err != nil {
		t.Fatal(err)
	}
	x.start(ctx, rng.Uint64())
	m.start(ctx, rng.Uint64())
	unwatch := e.offsets.start(ctx, c, addr, round)

	rig.Poll(t, "every load makes progress", func() error {
		acks, ended, changes, saved := l.acks.Load(), x.ended.Load(), m.answered.Load(), e.offsets.progress(before)
		if round.fault() == nil && (acks < 100 || ended < 5 || changes < 5 || saved == 0) {
			return fmt.Errorf("%d messages, %d transactions, %d changes, %d offsets on disk", acks, ended, changes, saved)
		}
		return nil
	})
	until := l.acks.Load() + 1 + rng.Int64N(3000)
	rig.Poll(t, "messages are acknowledged", func() error {
		if n := l.acks.Load(); round.fault() == nil && n < until {
			return fmt.Errorf("%d of %d", n, until)
		}
		return nil
	})
	var err error
	if kill {
		err = e.server.Kill()
	} else {
		round.ending.Store(true)
		err = e.server.Stop()
	}
	logs, halves := l.wait(), x.wait()
	m.wg.Wait()
	unwatch()
	if err != nil {
		t.Errorf("round %d: ending the server: %v", e.n, err)
	}
	if err := round.fault(); err != nil {
		t.Errorf("round %d: %v", e.n, err)
	}
	e.messages += l.acks.Load()
	e.transactions += x.ended.Load()
	e.changes += m.answered.Load()
	return logs, halves
}

// restart starts the server again and holds that its log says which recovery
// that was.
func (e *store) restart(t *testing.T, clean bool) {
	t.Helper()
	old := len(e.server.Log())
	e.server.Restart(t)
	var log string
	rig.Poll(t, "the log tells of the recovery", func() error { // it may come behind the ready line
		if log = e.server.Log()[old:]; !strings.Contains(log, "store recovered") {
			return errors.New("it does not")
		}
		return nil
	})
	if want := fmt.Sprintf("clean=%t", clean); !strings.Contains(log, want) {
		t.Errorf("round %d: the log of the start does not say %s:\n%s", e.n, want, log)
	}
	if strings.Contains(log, "panic") {
		t.Errorf("round %d: a panic:\n%s", e.n, log)
	}
}

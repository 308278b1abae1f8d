// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package bank

import (
	"context"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/proctest"
	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/message"
	"github.com/twostage/twostage/test/bank/teller"
	"github.com/twostage/twostage/test/rig"
)

const (
	topic          = "Bank"
	greetingTopic  = "BankGreeting" // of the official producers
	abandonedTopic = "BankAbandoned"
	discardTopic   = "TRANS_CHECK_MAX_TIME_TOPIC"

	expiry = 3 * time.Second // of a client that sends no heartbeat
)

// branch is a producer process.
type branch struct {
	process
	teller.Work
	watcher
	finished int // idle when it was told to finish
}

func (b *branch) name() string { return fmt.Sprintf("%s producer %d", b.Client, b.Producer) }

// world is a broker with its producers.
type world struct {
	t        *testing.T
	cfg      options
	dir      string
	broker   broker
	branches []*branch
	kills    int // of the broker
	deaths   int // of producers
}

// newWorld starts everything.
func newWorld(t *testing.T, cfg options) *world {
	t.Helper()
	w := &world{t: t, cfg: cfg, dir: t.TempDir()}
	// None begins before all can.
	programs := []func() (string, error){rawProducer}
	if cfg.official > 0 {
		programs = append(programs, officialProducer)
	}
	for _, program := range programs {
		if _, err := program(); err != nil {
			t.Fatal(err)
		}
	}
	ports := make(map[string]int)
	for _, role := range []string{"broker", "namesrv", "http"} {
		ports[role] = proctest.FreePort(t)
	}
	addr := func(role string) string { return "127.0.0.1:" + strconv.Itoa(ports[role]) }
	w.broker = broker{addr: addr("broker"), namesrv: addr("namesrv"), http: addr("http")}
	w.broker.bin, w.broker.env = cfg.bin, cfg.env
	w.broker.args = []string{"server", "--log-level", "error", "--data", filepath.Join(w.dir, "data")}
	for _, kv := range []string{"bindAddress=127.0.0.1", fmt.Sprint("listenPort=", ports["namesrv"])} {
		w.broker.args = append(w.broker.args, "--namesrv-set", kv)
	}
	for _, kv := range append([]string{
		"bindAddress=127.0.0.1", "brokerIP1=127.0.0.1", "brokerName=bank",
		fmt.Sprint("listenPort=", ports["broker"]), fmt.Sprint("httpListenPort=", ports["http"]),
		"transactionTimeOut=1000", "transactionCheckInterval=1000", fmt.Sprint("transactionCheckMax=", cfg.checks),
		fmt.Sprint("channelExpiredTimeout=", expiry.Milliseconds()),
		// Small files: the run crosses many of their ends.
		"mappedFileSizeCommitLog=4194304", "mappedFileSizeConsumeQueue=40000", "maxMessageSize=65536",
	}, cfg.keys...) {
		w.broker.args = append(w.broker.args, "--set", kv)
	}
	if err := w.broker.run(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.close)
	for _, name := range []string{topic, greetingTopic, abandonedTopic} {
		if err := rpc.CreateTopic(rig.Context(t), rig.Client(t), w.broker.addr, rig.TopicHeader(name, teller.Queues)); err != nil {
			t.Fatal(err)
		}
	}
	shares := 2*cfg.raw + cfg.official
	for n := range cfg.raw {
		w.add(t, teller.Raw, n, 2*cfg.rate/float64(shares))
	}
	for n := range cfg.official {
		w.add(t, teller.Official, 50+n, cfg.rate/float64(shares))
	}
	w.add(t, teller.Abandoned, 90, 50)
	return w
}

// add starts a producer.
func (w *world) add(t *testing.T, client teller.Client, n int, rate float64) {
	t.Helper()
	b := &branch{Work: teller.Work{
		Plan:   teller.Plan{Seed: w.cfg.seed, Producer: n, Client: client, Deaths: w.cfg.deaths, Doomed: w.cfg.doomed},
		Broker: w.broker.addr, Namesrv: w.broker.namesrv, Topic: topic, Group: fmt.Sprintf("bank_%s_%d", client, n),
		Ledger: filepath.Join(w.dir, fmt.Sprintf("ledger-%02d", n)), Rate: rate, Limit: 1 << 30,
	}}
	b.path = b.Ledger
	program := rawProducer
	switch client {
	case teller.Official:
		program = officialProducer
	case teller.Abandoned:
		b.Topic, b.Limit, b.Deaths = abandonedTopic, w.cfg.abandoned, 0
	}
	var err error
	if b.bin, err = program(); err != nil {
		t.Fatal(err)
	}
	w.branches = append(w.branches, b)
	b.args = b.Args()
	if err := b.start(nil); err != nil {
		t.Fatal(err)
	}
}

// close ends what still runs.
func (w *world) close() {
	for _, b := range w.branches {
		b.kill()
	}
	w.broker.kill()
	if w.t.Failed() {
		w.t.Logf("end of the broker's log:\n%s", w.broker.log.String())
	}
}

// look reads what the ledgers say meanwhile, and starts producers again that
// died as planned. Others that ended are faults.
func (w *world) look() error {
	for _, b := range w.branches {
		if b.ended() {
			if status, ok := b.cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
				return fmt.Errorf("%s ended: %v\n%s", b.name(), b.err, b.log.String())
			}
			if err := b.start(nil); err != nil {
				return err
			}
			w.deaths++
		}
		if err := b.look(); err != nil {
			return err
		}
	}
	if w.broker.ended() {
		return fmt.Errorf("the broker ended: %v", w.broker.err)
	}
	return nil
}

// begun counts the transactions of producers that decide.
func (w *world) begun() int {
	n := 0
	for _, b := range w.branches {
		if b.Client != teller.Abandoned {
			n += b.begun
		}
	}
	return n
}

// killBroker kills the broker and starts it again.
func (w *world) killBroker() error {
	w.broker.kill()
	w.kills++
	if strings.Contains(w.broker.log.String(), "panic:") {
		return fmt.Errorf("a panic:\n%s", w.broker.log.String())
	}
	return w.broker.run()
}

// finish has the producers begin nothing more, and waits until what they play
// has ended. Those that are stopped go on first.
func (w *world) finish() error {
	for _, b := range w.branches {
		b.signal(syscall.SIGCONT)
		b.finished = b.idle
		b.Limit = 0
		b.args = b.Args() // for those that die now
		_, _ = b.in.Write([]byte("finish\n"))
	}
	return w.until("the producers are idle", rig.Patience, func() error {
		if err := w.look(); err != nil {
			return fatal{err}
		}
		for _, b := range w.branches {
			if b.Client != teller.Abandoned && b.idle == b.finished {
				return fmt.Errorf("%s is not", b.name())
			}
		}
		return nil
	})
}

// fatal is an error that waiting does not mend.
type fatal struct{ error }

// until polls.
func (w *world) until(what string, limit time.Duration, probe func() error) error {
	end := time.NewTimer(limit)
	defer end.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := probe()
		if err == nil {
			return nil
		}
		if f, ok := err.(fatal); ok {
			return f.error
		}
		select {
		case <-tick.C:
		case <-end.C:
			return fmt.Errorf("%s: not after %v: %w", what, limit, err)
		}
	}
}

// drain waits until no transaction of the topics is open, and what is committed
// is in its queues.
func (w *world) drain(topics ...string) error { return w.drainWithin(3*rig.Patience, topics...) }

func (w *world) drainWithin(limit time.Duration, topics ...string) error {
	return w.until("the open transactions are asked about and end", limit, func() error {
		if err := w.look(); err != nil {
			return fatal{err}
		}
		metrics, err := w.metrics()
		if err != nil {
			return err
		}
		for _, name := range topics {
			if n := metrics[`rocketmq_half_messages:`+name]; n != 0 {
				return fmt.Errorf("%g transactions of %s are open", n, name)
			}
		}
		behind, ok := metrics["rocketmq_storage_dispatch_behind_bytes"]
		if !ok || behind != 0 {
			return fmt.Errorf("%g bytes are not in their queues yet (%t)", behind, ok)
		}
		return nil
	})
}

// metrics reads the broker's metrics, by name and, if it has one, topic.
func (w *world) metrics() (map[string]float64, error) {
	status, text, err := rig.Get(w.broker.http, "/metrics")
	if err != nil {
		return nil, err
	}
	if status != http.StatusOK {
		return nil, fmt.Errorf("/metrics: status %d: %s", status, text)
	}
	all := make(map[string]float64)
	for line := range strings.Lines(text) {
		i := strings.LastIndexByte(line, ' ')
		if i < 0 || line[0] == '#' {
			continue
		}
		name, labels, _ := strings.Cut(line[:i], "{")
		if _, rest, ok := strings.Cut(labels, `topic="`); ok {
			rest, _, _ = strings.Cut(rest, `"`)
			name += ":" + rest
		}
		if v, err := strconv.ParseFloat(strings.TrimSpace(line[i:]), 64); err == nil {
			all[name] += v
		}
	}
	return all, nil
}

// judge reads what is stored and compares it with the ledgers.
func (w *world) judge() (*verdict, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*rig.Patience)
	defer cancel()
	c := rig.Client(w.t)
	defer c.Close()
	read := func(name string, queues int32) (all []record, err error) {
		for q := range queues {
			_, err := rig.Drain(ctx, c, w.broker.addr, name, q, 0, func(r *message.Record) error {
				all = append(all, record{
					key: teller.KeyOf(r.Body), crc: crc32.ChecksumIEEE(r.Body),
					at: fmt.Sprintf("%s queue %d offset %d", name, r.QueueID, r.QueueOffset),
				})
				return nil
			})
			if code, answered := rpc.CodeOf(err); answered && rpc.Code(code) == rpc.TopicNotExist && name == discardTopic {
				break // nothing was discarded yet
			}
			if err != nil {
				return nil, err
			}
		}
		return all, nil
	}
	committed, err := read(topic, teller.Queues)
	if err != nil {
		return nil, err
	}
	abandoned, err := read(abandonedTopic, teller.Queues)
	if err != nil {
		return nil, err
	}
	parked, err := read(discardTopic, 1)
	if err != nil {
		return nil, err
	}
	// The greetings are no part of the bank.
	parked = slices.DeleteFunc(parked, func(r record) bool { return r.key == "greeting" })
	var books []book
	var faulty error
	for _, b := range w.branches {
		books = append(books, book{b.name(), b.Client, func(yield func(teller.Event) bool) {
			for e, err := range teller.Read(b.Ledger) {
				if err != nil {
					faulty = err
					return
				}
				if !yield(e) {
					return
				}
			}
		}})
	}
	v := judge(books, append(committed, abandoned...), parked)
	return v, faulty
}

// step is something that the schedule has at a number of transactions.
type step struct {
	at   int
	what string        // "kill", "kill twice", "stop", "kill producer"
	who  int           // index of the producer
	long time.Duration // of a stop
}

// schedule draws the steps of a run.
func schedule(cfg options) []step {
	rng := rand.New(rand.NewPCG(cfg.seed, 77))
	place := func(i, n int) int { // in the i-th of n equal parts
		part := float64(cfg.transactions) * 0.9 / float64(n)
		return cfg.transactions/20 + int(part*(float64(i)+rng.Float64()))
	}
	var steps []step
	for i := 0; i < cfg.kills; i++ {
		what := "kill"
		if i+1 < cfg.kills && rng.IntN(4) == 0 {
			what = "kill twice"
			i++
		}
		steps = append(steps, step{at: place(i, cfg.kills), what: what})
	}
	for i := range cfg.stops {
		steps = append(steps, step{
			at: place(i, cfg.stops), what: "stop", who: rng.IntN(cfg.raw + cfg.official),
			long: expiry + time.Second + time.Duration(rng.IntN(1500))*time.Millisecond,
		})
	}
	for i := range cfg.murders {
		steps = append(steps, step{at: place(i, cfg.murders), what: "kill producer", who: rng.IntN(cfg.raw + cfg.official)})
	}
	slices.SortStableFunc(steps, func(a, b step) int { return a.at - b.at })
	return steps
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/spf13/cobra"

	"github.com/twostage/twostage/internal/bench"
	"github.com/twostage/twostage/internal/wire"
)

// benchTopic is what loads use when they are not told otherwise.
const benchTopic = "twostage-bench"

func benchCommand(p Process) *cobra.Command {
	c := group("bench", "Measure a broker with raw frames", benchSend(p), benchConsume(p), benchPop(p), benchTimers(p), benchWake(p), benchClients(p), benchTx(p), benchFloor(p), benchDisk(p))
	c.Long = "Measure a broker with raw frames. The load goes in plaintext and unsigned, so the broker must take that; TLS and\n" +
		"credentials are only for what a measurement asks of name servers and makes before it begins."
	return c
}

// benchFlags are the flags of the loads.
type benchFlags struct {
	cluster
	load      bench.Load
	addr      string
	queues    int32
	rounds    int
	encoding  string
	floor     bool
	dropCache bool
	sql       bool
}

func (f *benchFlags) flags(cmd *cobra.Command) {
	f.flag(cmd)
	f.load.Topics, f.load.Pull.Count = 1, 32
	fl := cmd.Flags()
	fl.StringVar(&f.addr, "addr", "", "`HOST:PORT` of one broker, instead of asking a name server; the topic must exist there")
	fl.StringVar(&f.load.Topic, "topic", benchTopic, "`topic`; made where there is none")
	fl.Int32Var(&f.queues, "queues", 8, "queues of the topic, where it is made or --addr is given")
	fl.IntVar(&f.load.Conns, "conns", 8, "connections")
	spanFlag(fl, &f.load.Duration, "duration", 10*time.Second, "length of a round")
	spanFlag(fl, &f.load.Warmup, "warmup", 2*time.Second, "before each round, not counted")
	fl.IntVar(&f.rounds, "rounds", 1, "how many rounds; the result is their median")
	fl.IntVar(&f.load.PID, "pid", 0, "process `id` of the broker on this machine, for its CPU time and disk reads")
	fl.StringVar(&f.encoding, "encoding", "json", "of headers: json or binary")
	f.formatFlag(cmd)
	jsonFlag(cmd, &f.format)
}

// severalTopics adds --topics.
func (f *benchFlags) severalTopics(cmd *cobra.Command) {
	cmd.Flags().IntVar(&f.load.Topics, "topics", 1, "above 1: so many topics, TOPIC-0 and on; made where there are none")
}

func benchSend(p Process) *cobra.Command {
	f := &benchFlags{cluster: cluster{Process: p}}
	cmd := &cobra.Command{
		Use: "send", Short: "Send as fast as the broker answers, or at a rate", Args: args(0, 0),
		Long: `Send with a fixed number of requests in flight on each connection, to one queue and one topic after the other.
With --rate messages are due at fixed times instead, spread over the connections, and a latency counts from when
the message was due, not from when there was a place for it: a stall shows in every message that it held up. With
--floor a bare server that stores nothing, the limit of this socket path on this machine, is measured in turn with
the broker: ratios to it hold where absolute figures do not. Progress goes to standard error.`,
		Example: `  twostage bench send --conns 8 --inflight 64 --size 1024 --rounds 5 --floor --pid $(pgrep -of "twostage server")
  twostage bench send --conns 8 --inflight 16 --rate 20000 --duration 5m
  twostage bench send --topics 10000 --queues 8`,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd.Context(), "send", bench.Send) },
	}
	f.flags(cmd)
	f.severalTopics(cmd)
	fl := cmd.Flags()
	fl.IntVar(&f.load.Inflight, "inflight", 64, "requests in flight on each connection; with --rate at most")
	sizeFlag(fl, &f.load.Size, "size", 1024, "size of a body")
	fl.Float64Var(&f.load.Rate, "rate", 0, "messages a second of all connections together; 0: as fast as the broker answers")
	fl.IntVar(&f.load.Tags, "tags", 0, "give messages one of so many tags, t0000, t0001, ... in turn, and its number in the property n; 0: none, at most 10000")
	fl.BoolVar(&f.load.Fill, "fill", false, "warm up until every queue of every topic has got a message: the first one costs more")
	fl.BoolVar(&f.floor, "floor", false, "measure the floor too, round by round")
	return cmd
}

func benchConsume(p Process) *cobra.Command {
	f := &benchFlags{cluster: cluster{Process: p}}
	cmd := &cobra.Command{
		Use: "consume", Short: "Pull what topics hold, over and over or once", Args: args(0, 0),
		Long: `Pull all queues of the topics from their first message to their last, over and over, with --once a single time.
Queues take turns when there are more than pulls in flight. Latencies are those of pulls, rates those of messages
and of the bytes of their records; bodies are read and thrown away. Send to the topics first.

The broker's own limits of a pull come before --count and --bytes: maxTransferCountOnMessageInMemory,
maxTransferBytesOnMessageInMemory, and the same for ...InDisk.

With --drop-cache, which takes root, the page cache of the machine is dropped before each round, and each queue
is read once. What the broker has mapped and touched stays in memory: restart it first, or it is not cold. With
--pid the report says how much the broker had read from disks.`,
		Example: `  twostage bench consume --conns 1 --pid $(pgrep -of "twostage server") --floor
  twostage bench consume --drop-cache --duration 1m`,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd.Context(), "consume", bench.Consume) },
	}
	f.flags(cmd)
	f.severalTopics(cmd)
	fl := cmd.Flags()
	fl.IntVar(&f.load.Inflight, "inflight", 16, "pulls in flight on each connection, at most; one for each of its queues")
	fl.IntVar(&f.load.Pull.Count, "count", f.load.Pull.Count, "messages that a pull asks for")
	sizeFlag(fl, &f.load.Pull.Bytes, "bytes", 0, "bytes that a pull asks for (maxMsgBytes of 5.x); 0: not said")
	fl.StringVar(&f.load.Pull.Subscription, "subscription", "*", "`expression` of what to pull: tags, as \"t0000 || t0001\", or with --sql a SQL92 expression, as \"n < 1\"")
	fl.BoolVar(&f.sql, "sql", false, "--subscription is a SQL92 expression")
	sizeFlag(fl, &f.load.Size, "size", 1024, "with --floor: size of the bodies that are pulled")
	fl.BoolVar(&f.load.Pull.Once, "once", false, "read each queue once, without a warm-up; --duration is the longest it may take")
	fl.BoolVar(&f.dropCache, "drop-cache", false, "as --once, from the disk: drop the machine's page cache before each round")
	fl.BoolVar(&f.floor, "floor", false, "measure a bare server that answers pulls out of one buffer too, round by round")
	return cmd
}

// check refuses flags that make no sense.
func (f *benchFlags) check() error {
	switch f.encoding {
	case "json":
		f.load.Encoding = wire.JSON
	case "binary":
		f.load.Encoding = wire.Binary
	default:
		return usagef("--encoding %q: accepted are json, binary", f.encoding)
	}
	for _, n := range []struct {
		flag  string
		value int
	}{{"--conns", f.load.Conns}, {"--inflight", f.load.Inflight}, {"--size", f.load.Size}, {"--rounds", f.rounds}, {"--queues", int(f.queues)}} {
		if n.value < 1 {
			return usagef("%s %d: at least 1", n.flag, n.value)
		}
	}
	switch l := &f.load; {
	case l.Duration <= 0 || l.Warmup < 0 || l.PID < 0:
		return usagef("--duration must be over 0, --warmup and --pid not under it")
	case l.Topics < 1 || l.Topics > maxTopics:
		return usagef("--topics %d: 1 to %d", l.Topics, maxTopics)
	case !(l.Rate >= 0 && l.Rate <= maxRate):
		return usagef("--rate %g: 0 to %g messages a second", l.Rate, float64(maxRate))
	case l.Pull.Count < 1 || l.Pull.Count > math.MaxInt32 || l.Pull.Bytes < 0 || l.Pull.Bytes > math.MaxInt32:
		return usagef("--count %d, --bytes %d: a count of 1 to %d, bytes from 0 on", l.Pull.Count, l.Pull.Bytes, math.MaxInt32)
	case l.Tags < 0 || l.Tags > maxTags:
		return usagef("--tags %d: 0 to %d", l.Tags, maxTags)
	case l.Fill && l.Warmup == 0:
		return usagef("--fill is a part of the warm-up: --warmup must be over 0")
	case l.Rate > 0 && f.floor:
		return usagef("--floor does not go with --rate: at one rate both answer equally often")
	}
	if f.dropCache {
		f.load.Pull.Once = true
	}
	if f.sql {
		f.load.Pull.ExpressionType = "SQL92"
	}
	return nil
}

const (
	maxTopics = 1_000_000 // bounds --topics
	maxTags   = 10_000    // bounds --tags: they have four digits
	maxRate   = 1e8       // bounds --rate, messages a second
)

type loader func(ctx context.Context, l bench.Load) (*bench.Result, error)

// run measures round by round, the floor before the broker.
func (f *benchFlags) run(ctx context.Context, name string, load loader) error {
	if err := f.check(); err != nil {
		return err
	}
	var err error
	if f.load.Targets, err = f.targets(ctx); err != nil {
		return err
	}
	r := newReport(name, f)
	subjects := []subject{{name: "broker", load: f.load}}
	if f.floor {
		child, err := startFloor(f.Process)
		if err != nil {
			return err
		}
		defer child.stop()
		bare := f.load
		bare.PID = child.pid()
		bare.Targets = []bench.Target{{Addr: child.addr, Broker: "floor", Queues: f.queues}}
		if bare.Pull.Bytes == 0 {
			bare.Pull.Bytes = bare.Pull.Count * bench.RecordSize(f.load.TopicName(0), f.load.Size)
		}
		bare.Pull.Once, bare.Fill = false, false // its queues have no end, and no beginning
		subjects = append([]subject{{name: "floor", load: bare}}, subjects...)
	}
	for round := 1; round <= f.rounds; round++ {
		for _, s := range subjects {
			l := s.load
			l.Progress = progress(f.Stderr, s.name, round, f.rounds)
			if f.dropCache && s.name == "broker" {
				if err := bench.DropCaches(); err != nil {
					return err
				}
			}
			res, err := load(ctx, l)
			if err != nil {
				return err
			}
			r.add(s.name, round, res)
		}
	}
	r.finish()
	return f.result(f.Stdout, r, r.print)
}

// subject is what a round measures.
type subject struct {
	name string
	load bench.Load
}

func progress(w io.Writer, name string, round, rounds int) func(time.Duration, float64) {
	return func(elapsed time.Duration, perSecond float64) {
		fmt.Fprintf(w, "%s round %d/%d %3.0fs %9.0f msg/s\n", name, round, rounds, elapsed.Seconds(), perSecond)
	}
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/twostage/twostage/internal/admin"
	"github.com/twostage/twostage/internal/bench"
	"github.com/twostage/twostage/internal/wire"
)

// benchTopic is what loads use when they are not told otherwise.
const benchTopic = "twostage-bench"

func benchCommand(p Process) *cobra.Command {
	return group("bench", "Measure a broker with raw frames", benchSend(p), benchConsume(p), benchTx(p), benchFloor(p))
}

// benchFlags are the flags of the loads.
type benchFlags struct {
	cluster
	load     bench.Load
	addr     string
	queues   int32
	rounds   int
	encoding string
	floor    bool
	asJSON   bool
}

func (f *benchFlags) flags(cmd *cobra.Command) {
	f.flag(cmd)
	fl := cmd.Flags()
	fl.StringVar(&f.addr, "addr", "", "`HOST:PORT` of one broker, instead of asking a name server; the topic must exist there")
	fl.StringVar(&f.load.Topic, "topic", benchTopic, "`topic`; made where there is none")
	fl.Int32Var(&f.queues, "queues", 8, "queues of the topic, where it is made or --addr is given")
	fl.IntVar(&f.load.Conns, "conns", 8, "connections")
	fl.DurationVar(&f.load.Duration, "duration", 10*time.Second, "length of a round")
	fl.DurationVar(&f.load.Warmup, "warmup", 2*time.Second, "before each round, not counted")
	fl.IntVar(&f.rounds, "rounds", 1, "how many rounds; the result is their median")
	fl.IntVar(&f.load.PID, "pid", 0, "process `id` of the broker on this machine, for its CPU time")
	fl.StringVar(&f.encoding, "encoding", "json", "of headers: json or binary")
	fl.BoolVar(&f.asJSON, "json", false, "print the results as JSON")
}

func benchSend(p Process) *cobra.Command {
	f := &benchFlags{cluster: cluster{Process: p}}
	cmd := &cobra.Command{
		Use: "send", Short: "Send as fast as the broker answers", Args: args(0, 0),
		Long: `Send with a fixed number of requests in flight on each connection. With --floor a bare server that stores
nothing, the limit of this socket path on this machine, is measured in turn with the broker: ratios to it hold
where absolute figures do not. Progress goes to standard error.`,
		Example: `  twostage bench send --conns 8 --inflight 64 --size 1024 --rounds 5 --floor --pid $(pgrep -of "twostage server")`,
		RunE:    func(cmd *cobra.Command, _ []string) error { return f.run(cmd.Context(), "send", bench.Send) },
	}
	f.flags(cmd)
	cmd.Flags().IntVar(&f.load.Inflight, "inflight", 64, "requests in flight on each connection")
	cmd.Flags().IntVar(&f.load.Size, "size", 1024, "`bytes` of a body")
	cmd.Flags().BoolVar(&f.floor, "floor", false, "measure the floor too, round by round")
	return cmd
}

func benchConsume(p Process) *cobra.Command {
	f := &benchFlags{cluster: cluster{Process: p}}
	f.load.Inflight, f.load.Size = 1, 1
	cmd := &cobra.Command{
		Use: "consume", Short: "Pull what a topic holds, over and over", Args: args(0, 0),
		Long: `Pull all queues of a topic from their first message to their last, over and over, with one pull in flight for
each queue that holds messages. Latencies are those of pulls, rates those of messages. Send to the topic first.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd.Context(), "consume", bench.Consume) },
	}
	f.flags(cmd)
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
	if f.load.Duration <= 0 || f.load.Warmup < 0 || f.load.PID < 0 {
		return usagef("--duration must be over 0, --warmup and --pid not under it")
	}
	return nil
}

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
		subjects = append([]subject{{name: "floor", load: bare}}, subjects...)
	}
	for round := 1; round <= f.rounds; round++ {
		for _, s := range subjects {
			l := s.load
			l.Progress = progress(f.Stderr, s.name, round, f.rounds)
			res, err := load(ctx, l)
			if err != nil {
				return err
			}
			r.add(s.name, round, res)
		}
	}
	if f.asJSON {
		return r.printJSON(f.Stdout)
	}
	return r.print(f.Stdout)
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

// targets finds the brokers and queues to load.
func (f *benchFlags) targets(ctx context.Context) (targets []bench.Target, err error) {
	if f.addr != "" {
		return []bench.Target{{Addr: f.addr, Queues: f.queues}}, nil
	}
	err = f.admin(func(a *admin.Admin) error {
		data, err := a.Route(ctx, f.load.Topic)
		if errors.Is(err, admin.ErrNoTopic) {
			p := f.Process
			p.Stdout = p.Stderr // standard output is for the result
			if err := createTopic(ctx, p, a, admin.Topic{Name: f.load.Topic, Queues: f.queues}); err != nil {
				return err
			}
			data, err = a.Route(ctx, f.load.Topic)
		}
		if err != nil {
			return err
		}
		for _, q := range data.QueueDatas {
			for _, b := range data.BrokerDatas {
				if b.BrokerName == q.BrokerName && b.BrokerAddrs[0] != "" {
					targets = append(targets, bench.Target{Addr: b.BrokerAddrs[0], Broker: b.BrokerName, Queues: min(q.WriteQueueNums, q.ReadQueueNums)})
				}
			}
		}
		if len(targets) == 0 {
			return fmt.Errorf("topic %s has no broker that can be loaded", f.load.Topic)
		}
		return nil
	})
	return targets, err
}

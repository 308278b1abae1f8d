// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"text/tabwriter"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/spf13/cobra"

	"github.com/twostage/twostage/internal/bench"
)

// benchClientsFlags are the flags of `bench clients`.
type benchClientsFlags struct {
	benchFlags
	clients bench.ClientsLoad
}

func benchClients(p Process) *cobra.Command {
	f := &benchClientsFlags{benchFlags: benchFlags{cluster: cluster{Process: p}}}
	c := &f.clients
	cmd := &cobra.Command{
		Use: "clients", Short: "Send at a rate beside thousands of consumers and held pulls", Args: args(0, 0),
		Long: `An ordinary producer sends --rate messages a second to the topic TOPIC-0, for --duration ("alone"); then the clients
come, and it does so again ("loaded"). The clients share --links connections:

  --consumers   members of --groups groups, each of which sends a heartbeat with its subscriptions every --beat
  --groups      each pulls all queues of TOPIC-1, to which --hot-rate messages a second are sent
  --polls       pulls that are held at TOPIC-2, to which nothing is sent; each asks for --hold
  --stalled     connections of their own that ask for messages of TOPIC-0 and read no answer
  --scans       admins that read all topics and groups, over and over

The report has the producer's latencies from when a message was due to its answer; those of heartbeats, likewise; and
those of the messages of TOPIC-1 to their arrival at the groups. With --pid also CPU time, as a share of one core, and
memory of the broker. The exit code is 1 when a group did not get a message, or a pull was not held. Groups and their
retry topics are made by the broker and stay there: measure one that can be thrown away.`,
		Example: `  twostage bench clients --pid $(pgrep -of "twostage server")
  twostage bench clients --consumers 0 --groups 0 --polls 5000 --stalled 4 --scans 1 --pid $(pgrep -of "twostage server")`,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.measure(cmd.Context()) },
	}
	f.flags(cmd)
	fl := cmd.Flags()
	for _, name := range []string{"rounds"} {
		_ = fl.MarkHidden(name) // it is there
	}
	_ = fl.Set("conns", "1")
	_ = fl.Set("queues", "4")
	fl.Lookup("conns").Usage, fl.Lookup("conns").DefValue = "connections of the ordinary producer", "1"
	fl.Lookup("queues").DefValue = "4"
	fl.IntVar(&f.load.Inflight, "inflight", 64, "requests in flight on each connection of the producer, at most")
	sizeFlag(fl, &f.load.Size, "size", 1024, "size of a body, at least 8")
	fl.Float64Var(&f.load.Rate, "rate", 1000, "messages a second of the producer")
	fl.IntVar(&c.Links, "links", 100, "connections that the clients share")
	fl.IntVar(&c.Consumers, "consumers", 10000, "consumers that send heartbeats")
	spanFlag(fl, &c.Beat, "beat", 30*time.Second, "between two heartbeats of a consumer")
	fl.IntVar(&c.Groups, "groups", 1000, "groups of these consumers, each of which pulls all of TOPIC-1")
	fl.Float64Var(&c.HotRate, "hot-rate", 5, "messages a second that all groups get")
	fl.IntVar(&c.Polls, "polls", 5000, "pulls that are held at TOPIC-2")
	spanFlag(fl, &c.Hold, "hold", 15*time.Second, "for how long pulls ask to be held")
	fl.IntVar(&c.Stalled, "stalled", 0, "connections that read no answer")
	fl.IntVar(&c.Scans, "scans", 0, "admins that read all topics and groups")
	return cmd
}

const maxClients = 1_000_000 // bounds the numbers of clients

// check refuses flags that make no sense.
func (f *benchClientsFlags) check() error {
	f.load.Topics, f.rounds = 3, 1
	if err := f.benchFlags.check(); err != nil {
		return err
	}
	c := &f.clients
	for _, n := range []struct {
		flag         string
		value, least int
	}{
		{"--links", c.Links, 1}, {"--consumers", c.Consumers, 0}, {"--groups", c.Groups, 0}, {"--polls", c.Polls, 0}, {"--stalled", c.Stalled, 0}, {"--scans", c.Scans, 0},
	} {
		if n.value < n.least || n.value > maxClients {
			return usagef("%s %d: %d to %d", n.flag, n.value, n.least, maxClients)
		}
	}
	switch {
	case f.load.Rate == 0:
		return usagef("--rate 0: above 0 messages a second")
	case !(c.HotRate >= 0 && c.HotRate <= maxRate):
		return usagef("--hot-rate %g: 0 to %g messages a second", c.HotRate, float64(maxRate))
	case c.Beat <= 0 || c.Hold < time.Millisecond:
		return usagef("--beat %v, --hold %v: above 0, and at least 1ms", c.Beat, c.Hold)
	case c.Groups > c.Consumers || c.Groups == 0 && c.Consumers > 0:
		return usagef("--groups %d of %d --consumers: a group has at least one, and each consumer a group", c.Groups, c.Consumers)
	case c.Groups > 0 && (c.Consumers+c.Groups-1)/c.Groups > c.Links:
		return usagef("--links %d: a group has %d members, and a connection can be one of them", c.Links, (c.Consumers+c.Groups-1)/c.Groups)
	}
	return nil
}

func (f *benchClientsFlags) measure(ctx context.Context) error {
	if err := f.check(); err != nil {
		return err
	}
	var err error
	if f.load.Targets, err = f.targets(ctx); err != nil {
		return err
	}
	l := f.clients
	l.Load = f.load
	l.Targets = l.Targets[:1]
	l.Progress = progress(f.Stderr, "producer", 1, 1)
	res, err := bench.Clients(ctx, l)
	if err != nil {
		return err
	}
	r := newClientsReport(f, res)
	return errors.Join(f.result(f.Stdout, r, r.print), res.Err(l.Groups))
}

// clientsReport is the result of `bench clients`.
type clientsReport struct {
	Command     string         `json:"command"`
	Topic       string         `json:"topic"`
	Links       int            `json:"links"`
	Consumers   int            `json:"consumers"`
	BeatSeconds float64        `json:"heartbeatSeconds"`
	Groups      int            `json:"groups"`
	HotRate     float64        `json:"hotRate"`
	Polls       int            `json:"polls"`
	HoldSeconds float64        `json:"holdSeconds"`
	Stalled     int            `json:"stalled"`
	Scans       int            `json:"scans"`
	Rate        float64        `json:"rate"` // of the producer
	Size        int            `json:"size"`
	Seconds     float64        `json:"seconds"`
	CPUs        int            `json:"cpus"`
	Alone       clientsPhase   `json:"alone"`
	Loaded      clientsPhase   `json:"loaded"`
	Registering float64        `json:"registeringSeconds"`
	Heartbeats  clientsTimes   `json:"heartbeats"`
	Delivered   clientsTimes   `json:"delivered"`
	Sent        int64          `json:"hotSent"`
	Received    int64          `json:"hotReceived"`
	Unheld      int64          `json:"unheld"`
	Scanned     int64          `json:"scanned"`
	Ratios      clientsCompare `json:"loadedToAlone"`
	Warnings    []string       `json:"warnings,omitempty"`
}

// clientsPhase is the producer, and the broker as a whole.
type clientsPhase struct {
	PerSecond   float64 `json:"messagesPerSecond"`
	P50         float64 `json:"p50Micros"`
	P99         float64 `json:"p99Micros"`
	P999        float64 `json:"p999Micros"`
	Max         float64 `json:"maxMicros"`
	CPU         float64 `json:"serverCPUCores,omitempty"` // 1 is one core; 0: not measured
	Memory      float64 `json:"serverMemoryBytes,omitempty"`
	LoaderShare float64 `json:"loaderShareOfMachine"`
}

// clientsTimes are times of what took place while the producer was loaded.
type clientsTimes struct {
	PerSecond float64 `json:"perSecond"`
	P50       float64 `json:"p50Micros"`
	P99       float64 `json:"p99Micros"`
	Max       float64 `json:"maxMicros"`
}

type clientsCompare struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
}

func newClientsReport(f *benchClientsFlags, res *bench.ClientsResult) *clientsReport {
	c, l := &f.clients, &f.load
	phase := func(x *bench.Result, memory int64) clientsPhase {
		return clientsPhase{
			PerSecond: x.PerSecond(), P50: micros(x.Percentile(50)), P99: micros(x.Percentile(99)), P999: micros(x.Percentile(99.9)), Max: micros(x.Percentile(100)),
			CPU: x.ServerCPU.Seconds() / x.Elapsed.Seconds(), Memory: float64(memory), LoaderShare: x.LoaderShare(),
		}
	}
	times := func(h *hdrhistogram.Histogram) clientsTimes {
		at := func(q float64) float64 { return micros(time.Duration(h.ValueAtQuantile(q))) }
		return clientsTimes{PerSecond: float64(h.TotalCount()) / res.Loaded.Elapsed.Seconds(), P50: at(50), P99: at(99), Max: at(100)}
	}
	r := &clientsReport{
		Command: "bench clients", Topic: l.Topic, Links: c.Links, Consumers: c.Consumers, BeatSeconds: c.Beat.Seconds(), Groups: c.Groups, HotRate: c.HotRate,
		Polls: c.Polls, HoldSeconds: c.Hold.Seconds(), Stalled: c.Stalled, Scans: c.Scans, Rate: l.Rate, Size: l.Size, Seconds: l.Duration.Seconds(), CPUs: runtime.NumCPU(),
		Alone: phase(res.Alone, res.Memory[1]), Loaded: phase(res.Loaded, res.Memory[2]), Registering: res.Registering.Seconds(),
		Heartbeats: times(res.Heartbeats), Delivered: times(res.Delivered), Sent: res.Sent, Received: res.Received, Unheld: res.Unheld, Scanned: res.Scanned,
	}
	r.Ratios = clientsCompare{ratio(r.Loaded.P50, r.Alone.P50), ratio(r.Loaded.P99, r.Alone.P99)}
	if r.Loaded.LoaderShare > fairShare {
		r.Warnings = append(r.Warnings, tooMuch(r.Loaded.LoaderShare))
	}
	if r.Loaded.PerSecond < onTime*r.Rate {
		r.Warnings = append(r.Warnings, fmt.Sprintf("the broker took %.0f of the %.0f messages a second that were asked for", r.Loaded.PerSecond, r.Rate))
	}
	return r
}

func (r *clientsReport) print(out io.Writer) error {
	fmt.Fprintf(out, "%s: %d consumers in %d groups on %d connections, a heartbeat each %gs, %g messages/s to all groups, %d pulls held for %gs, %d stalled, %d scans; the producer sends %g messages/s of %d bytes for %gs, %d CPUs\n\n",
		r.Command, r.Consumers, r.Groups, r.Links, r.BeatSeconds, r.HotRate, r.Polls, r.HoldSeconds, r.Stalled, r.Scans, r.Rate, r.Size, r.Seconds, r.CPUs)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\t/s\tp50 us\tp99 us\tp99.9 us\tmax us\tserver CPU\tserver MB\tloader share\t")
	for _, p := range []struct {
		name string
		clientsPhase
	}{{"producer alone", r.Alone}, {"producer loaded", r.Loaded}} {
		fmt.Fprintf(w, "%s\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f%%\t%.0f\t%.0f%%\t\n", p.name, p.PerSecond, p.P50, p.P99, p.P999, p.Max, 100*p.CPU, p.Memory/1e6, 100*p.LoaderShare)
	}
	fmt.Fprintf(w, "loaded/alone\t\t%.2fx\t%.2fx\t\t\t\t\t\t\n", r.Ratios.P50, r.Ratios.P99)
	for _, t := range []struct {
		name string
		clientsTimes
	}{{"heartbeats", r.Heartbeats}, {"delivered", r.Delivered}} {
		fmt.Fprintf(w, "%s\t%.0f\t%.0f\t%.0f\t\t%.0f\t\t\t\t\n", t.name, t.PerSecond, t.P50, t.P99, t.Max)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "\nfirst heartbeats took %.1fs; %d messages to all groups, received %d; %d pulls not held; %d scans\n", r.Registering, r.Sent, r.Received, r.Unheld, r.Scanned)
	for _, warning := range r.Warnings {
		_, err = fmt.Fprintf(out, "\nwarning: %s\n", warning)
	}
	return err
}

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

	"github.com/spf13/cobra"

	"github.com/twostage/twostage/internal/bench"
)

// benchTimersFlags are the flags of `bench timers`.
type benchTimersFlags struct {
	benchFlags
	by            string
	delay, linger time.Duration
	level         int
	burst         bool
}

// The values of --by.
const (
	byDeliver = "deliver"
	byDelay   = "delay"
	byLevel   = "level"
)

// delayLevels are the delays of RocketMQ's levels, 1 first, where messageDelayLevel is
// not set.
var delayLevels = []time.Duration{
	time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 3 * time.Minute, 4 * time.Minute, 5 * time.Minute,
	6 * time.Minute, 7 * time.Minute, 8 * time.Minute, 9 * time.Minute, 10 * time.Minute, 20 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour,
}

func benchTimers(p Process) *cobra.Command {
	f := &benchTimersFlags{benchFlags: benchFlags{cluster: cluster{Process: p}}}
	cmd := &cobra.Command{
		Use: "timers", Short: "Send messages for later, consume them, and time both", Args: args(0, 0),
		Long: `Send for --duration messages that are to be delivered later, while a consumer waits at the queues of the topic, and
report the rate in, the rate out, and how late messages arrived at the consumer: after the time asked for, which
is TIMER_DELIVER_MS, or the millisecond of sending and the delay. Both are this machine's clock: a broker on
another one must have the same. Without --rate sends are as fast as the broker answers.

Delivery times are as evenly spread as the sends; with --burst all lie in one second, which begins --delay after
the last send. --by says how the time is asked for: "` + byDeliver + `" by TIMER_DELIVER_MS, "` + byDelay + `" by TIMER_DELAY_MS, "` + byLevel + `"
by the delay level --level, which is taken to mean what it does where messageDelayLevel is not set.

The exit code is 1 when a message came before its time, twice, or not until --linger after the last time.`,
		Example: `  twostage bench timers --rate 1000 --delay 5s --duration 30s --pid $(pgrep -of "twostage server")
  twostage bench timers --by level --level 2 --rate 1000 --duration 30s
  twostage bench timers --conns 8 --inflight 64 --rate 100000 --size 128 --burst`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case f.by == byLevel && cmd.Flags().Changed("delay"):
				return usagef("--delay does not go with --by %s: the level says it", byLevel)
			case f.by != byLevel && cmd.Flags().Changed("level"):
				return usagef("--level goes with --by %s only", byLevel)
			}
			return f.measure(cmd.Context())
		},
	}
	f.flags(cmd)
	for _, name := range []string{"warmup", "rounds"} { // what is sent is delivered, too; one round
		_ = cmd.Flags().MarkHidden(name) // it is there
	}
	fl := cmd.Flags()
	fl.IntVar(&f.load.Inflight, "inflight", 64, "requests in flight on each connection; with --rate at most")
	sizeFlag(fl, &f.load.Size, "size", 1024, "size of a body")
	fl.Float64Var(&f.load.Rate, "rate", 1000, "messages a second of all connections together; 0: as fast as the broker answers")
	fl.StringVar(&f.by, "by", byDeliver, "how the time is asked for: "+byDeliver+", "+byDelay+" or "+byLevel)
	spanFlag(fl, &f.delay, "delay", 5*time.Second, "from sending to delivery, whole milliseconds")
	fl.IntVar(&f.level, "level", 2, "with --by level: the delay level, 1 to 18")
	fl.BoolVar(&f.burst, "burst", false, "with --by deliver: all times lie in one second")
	spanFlag(fl, &f.linger, "linger", 10*time.Second, "how long messages are waited for after the last time")
	return cmd
}

// check refuses flags that make no sense.
func (f *benchTimersFlags) check() error {
	f.load.Warmup, f.rounds = 0, 1
	if err := f.benchFlags.check(); err != nil {
		return err
	}
	switch {
	case f.by != byDeliver && f.by != byDelay && f.by != byLevel:
		return usagef("--by %q: accepted are %s, %s, %s", f.by, byDeliver, byDelay, byLevel)
	case f.level < 1 || f.level > len(delayLevels):
		return usagef("--level %d: 1 to %d", f.level, len(delayLevels))
	case f.delay < time.Millisecond || f.delay%time.Millisecond != 0:
		return usagef("--delay %v: whole milliseconds, at least 1ms", f.delay)
	case f.burst && f.by != byDeliver:
		return usagef("--burst goes with --by %s only", byDeliver)
	case f.linger < 0:
		return usagef("--linger %v: not under 0", f.linger)
	}
	return nil
}

func (f *benchTimersFlags) measure(ctx context.Context) error {
	if err := f.check(); err != nil {
		return err
	}
	var err error
	if f.load.Targets, err = f.targets(ctx); err != nil {
		return err
	}
	l := bench.TimerLoad{Load: f.load, Delay: f.delay, Relative: f.by == byDelay, Burst: f.burst, Linger: f.linger}
	l.Targets = l.Targets[:1]
	l.Progress = progress(f.Stderr, "in", 1, 1)
	if f.by == byLevel {
		l.Level, l.Delay = f.level, delayLevels[f.level-1]
	}
	res, err := bench.Timers(ctx, l)
	if err != nil {
		return err
	}
	r := newTimersReport(f, &l, res)
	return errors.Join(f.result(f.Stdout, r, r.print), res.Err())
}

// timersReport is the result of `bench timers`.
type timersReport struct {
	Command      string   `json:"command"`
	Topic        string   `json:"topic"`
	Conns        int      `json:"conns"`
	Inflight     int      `json:"inflight"`
	Size         int      `json:"size"`
	Rate         float64  `json:"rate,omitempty"` // asked for
	By           string   `json:"by"`
	Level        int      `json:"level,omitempty"`
	DelaySeconds float64  `json:"delaySeconds"`
	Burst        bool     `json:"burst,omitempty"`
	Seconds      float64  `json:"secondsOfSending"`
	CPUs         int      `json:"cpus"`
	In           float64  `json:"inPerSecond"`
	SendP50      float64  `json:"sendP50Micros"`
	SendP99      float64  `json:"sendP99Micros"`
	Asked        int64    `json:"asked"`
	Received     int64    `json:"received"`
	Out          float64  `json:"outPerSecond"` // from the first to the last
	P50          float64  `json:"latenessP50Micros"`
	P99          float64  `json:"latenessP99Micros"`
	P999         float64  `json:"latenessP999Micros"`
	Max          float64  `json:"latenessMaxMicros"`
	Early        int64    `json:"early"`
	Earliest     float64  `json:"earliestMicros"`
	Duplicated   int64    `json:"duplicated"`
	ServerMicros float64  `json:"serverCPUMicrosPerMessage,omitempty"` // in and out; 0: not measured
	LoaderShare  float64  `json:"loaderShareOfMachine"`                // while it sent
	Warnings     []string `json:"warnings,omitempty"`
}

func newTimersReport(f *benchTimersFlags, l *bench.TimerLoad, res *bench.TimerResult) *timersReport {
	late := func(q float64) float64 { return micros(time.Duration(res.Lateness.ValueAtQuantile(q))) }
	r := &timersReport{
		Command: "bench timers", Topic: l.Topic, Conns: l.Conns, Inflight: l.Inflight, Size: l.Size, Rate: l.Rate, By: f.by, Level: l.Level,
		DelaySeconds: l.Delay.Seconds(), Burst: l.Burst, Seconds: l.Duration.Seconds(), CPUs: runtime.NumCPU(),
		In: res.Sent.PerSecond(), SendP50: micros(res.Sent.Percentile(50)), SendP99: micros(res.Sent.Percentile(99)),
		Asked: res.Asked, Received: res.Received, Out: res.OutPerSecond(), P50: late(50), P99: late(99), P999: late(99.9), Max: micros(res.Latest),
		Early: res.Early, Earliest: micros(res.Earliest), Duplicated: res.Duplicated, LoaderShare: res.Sent.LoaderShare(),
	}
	if res.ServerCPU > 0 {
		r.ServerMicros = res.ServerMicros()
	}
	if r.LoaderShare > fairShare {
		r.Warnings = append(r.Warnings, tooMuch(r.LoaderShare))
	}
	if r.Rate > 0 && r.In < onTime*r.Rate {
		r.Warnings = append(r.Warnings, fmt.Sprintf("the broker took %.0f of the %.0f messages a second that were asked for", r.In, r.Rate))
	}
	return r
}

func (r *timersReport) print(out io.Writer) error {
	how := r.By
	if r.Level > 0 {
		how += fmt.Sprintf(" %d", r.Level)
	}
	if r.Burst {
		how += ", all in one second"
	}
	rate := "as fast as answered"
	if r.Rate > 0 {
		rate = fmt.Sprintf("at %g messages/s", r.Rate)
	}
	fmt.Fprintf(out, "%s: topic %s, %d connections x %d in flight, %d byte bodies, %s, by %s, delay %gs, sends of %gs, %d CPUs\n\n",
		r.Command, r.Topic, r.Conns, r.Inflight, r.Size, rate, how, r.DelaySeconds, r.Seconds, r.CPUs)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	cpu := "-"
	if r.ServerMicros > 0 {
		cpu = fmt.Sprintf("%.2f", r.ServerMicros)
	}
	fmt.Fprintln(w, "in/s\tsend p50 us\tp99 us\tout/s\tlate p50 ms\tp99 ms\tp99.9 ms\tmax ms\tserver CPU us/msg\tloader share\t")
	fmt.Fprintf(w, "%.0f\t%.0f\t%.0f\t%.0f\t%.2f\t%.2f\t%.2f\t%.2f\t%s\t%.0f%%\t\n",
		r.In, r.SendP50, r.SendP99, r.Out, r.P50/1000, r.P99/1000, r.P999/1000, r.Max/1000, cpu, 100*r.LoaderShare)
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "\nsent %d, received %d, twice %d, early %d (by up to %.3f ms)\n", r.Asked, r.Received, r.Duplicated, r.Early, r.Earliest/1000)
	for _, warning := range r.Warnings {
		_, err = fmt.Fprintf(out, "\nwarning: %s\n", warning)
	}
	return err
}

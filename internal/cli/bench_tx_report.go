// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"io"
	"runtime"
	"text/tabwriter"

	"github.com/twostage/twostage/internal/bench"
)

// txFigures are those of one round of `bench tx`, or the median of several.
type txFigures struct {
	Round        int       `json:"round,omitempty"`
	Transactions int64     `json:"transactions,omitempty"` // committed or rolled back within the duration
	PerSecond    float64   `json:"transactionsPerSecond"`
	CommitsPer   float64   `json:"commitsPerSecond"`
	Half         latencies `json:"half"`
	Whole        latencies `json:"transaction"`
	CommitMicros float64   `json:"serverCPUMicrosPerCommit,omitempty"` // 0: not measured
	LoaderShare  float64   `json:"loaderShareOfMachine"`
	Counts       *txCounts `json:"counts,omitempty"` // not of medians
}

type latencies struct {
	P50  float64 `json:"p50Micros"`
	P99  float64 `json:"p99Micros"`
	P999 float64 `json:"p999Micros"`
}

// txCounts is bench.TxCounts.
type txCounts struct {
	Sent            int64  `json:"sent"`
	Committed       int64  `json:"committed"`
	RolledBack      int64  `json:"rolledBack"`
	Unknown         int64  `json:"unknown"`
	Refused         int64  `json:"refused"`
	Refusal         string `json:"refusal,omitempty"`
	Open            int64  `json:"open"`
	Unanswered      int64  `json:"unanswered"`
	Checks          int64  `json:"checks"`
	UnexpectedCheck int64  `json:"unexpectedCheck"`
	DuplicatedCheck int64  `json:"duplicatedCheck"`
	ForeignCheck    int64  `json:"foreignCheck"`
}

// txReport is the result of `bench tx`.
type txReport struct {
	Command           string      `json:"command"`
	Topic             string      `json:"topic"`
	Conns             int         `json:"conns"`
	Inflight          int         `json:"inflight"`
	Size              int         `json:"size"`
	Encoding          string      `json:"encoding"`
	Seconds           float64     `json:"secondsPerRound"`
	CPUs              int         `json:"cpus"`
	RollbackRate      float64     `json:"rollbackRate"`
	UnknownRate       float64     `json:"unknownRate"`
	CheckRollbackRate float64     `json:"checkRollbackRate"`
	CheckUnknownRate  float64     `json:"checkUnknownRate"`
	Keys              bool        `json:"keys"`
	OneWay            bool        `json:"oneway"`
	Rounds            []txFigures `json:"rounds"`
	Median            txFigures   `json:"median"`
	Warnings          []string    `json:"warnings,omitempty"`
}

func newTxReport(f *benchTxFlags) *txReport {
	return &txReport{
		Command: "bench tx", Topic: f.load.Topic, Conns: f.load.Conns, Inflight: f.load.Inflight, Size: f.load.Size, Encoding: f.encoding,
		Seconds: f.load.Duration.Seconds(), CPUs: runtime.NumCPU(),
		RollbackRate: f.tx.RollbackRate, UnknownRate: f.tx.UnknownRate, CheckRollbackRate: f.tx.CheckRollbackRate, CheckUnknownRate: f.tx.CheckUnknownRate,
		Keys: f.tx.Keys, OneWay: f.tx.OneWay,
	}
}

func (r *txReport) add(round int, res *bench.TxResult) {
	half := &bench.Result{Latency: res.Half}
	g := txFigures{
		Round: round, Transactions: res.Messages, PerSecond: res.PerSecond(), CommitsPer: float64(res.Committed) / res.Elapsed.Seconds(),
		Half: percentiles(half), Whole: percentiles(&res.Result), LoaderShare: res.LoaderShare(),
	}
	if res.ServerCPU > 0 && res.Committed > 0 {
		g.CommitMicros = res.MicrosPerCommit()
	}
	c := &res.Counts
	g.Counts = &txCounts{
		Sent: c.Sent, Committed: c.Committed, RolledBack: c.RolledBack, Unknown: c.Unknown, Refused: c.Refused, Refusal: res.Refusal, Open: c.Open,
		Unanswered: c.Unanswered, Checks: c.Checks, UnexpectedCheck: c.UnexpectedCheck, DuplicatedCheck: c.DuplicatedCheck, ForeignCheck: c.ForeignCheck,
	}
	r.Rounds = append(r.Rounds, g)
}

func percentiles(r *bench.Result) latencies {
	return latencies{micros(r.Percentile(50)), micros(r.Percentile(99)), micros(r.Percentile(99.9))}
}

// finish computes median and warnings.
func (r *txReport) finish() {
	pick := func(field func(*txFigures) float64) float64 {
		values := make([]float64, len(r.Rounds))
		for i := range r.Rounds {
			values[i] = field(&r.Rounds[i])
		}
		return middle(values)
	}
	spread := func(of func(*txFigures) *latencies) latencies {
		return latencies{
			pick(func(g *txFigures) float64 { return of(g).P50 }), pick(func(g *txFigures) float64 { return of(g).P99 }),
			pick(func(g *txFigures) float64 { return of(g).P999 }),
		}
	}
	r.Median = txFigures{
		PerSecond: pick(func(g *txFigures) float64 { return g.PerSecond }), CommitsPer: pick(func(g *txFigures) float64 { return g.CommitsPer }),
		Half: spread(func(g *txFigures) *latencies { return &g.Half }), Whole: spread(func(g *txFigures) *latencies { return &g.Whole }),
		CommitMicros: pick(func(g *txFigures) float64 { return g.CommitMicros }), LoaderShare: pick(func(g *txFigures) float64 { return g.LoaderShare }),
	}
	r.Warnings = nil
	if s := r.Median.LoaderShare; s > fairShare {
		r.Warnings = append(r.Warnings, tooMuch(s))
	}
}

func (r *txReport) print(out io.Writer) error {
	r.finish()
	ends := "answered outcomes"
	if r.OneWay {
		ends = "one-way outcomes"
	}
	fmt.Fprintf(out, "%s: topic %s, %d connections x %d in flight, %d byte bodies, %s headers, %s, rounds of %gs, %d CPUs\n\n",
		r.Command, r.Topic, r.Conns, r.Inflight, r.Size, r.Encoding, ends, r.Seconds, r.CPUs)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\ttx/s\tcommits/s\thalf p50 us\tp99 us\tp99.9 us\ttx p50 us\tp99 us\tp99.9 us\tserver CPU us/commit\tloader share\t")
	line := func(name string, g *txFigures) {
		cpu := "-"
		if g.CommitMicros > 0 {
			cpu = fmt.Sprintf("%.2f", g.CommitMicros)
		}
		fmt.Fprintf(w, "%s\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%s\t%.0f%%\t\n", name, g.PerSecond, g.CommitsPer,
			g.Half.P50, g.Half.P99, g.Half.P999, g.Whole.P50, g.Whole.P99, g.Whole.P999, cpu, 100*g.LoaderShare)
	}
	for i := range r.Rounds {
		line(fmt.Sprintf("round %d", i+1), &r.Rounds[i])
	}
	if len(r.Rounds) > 1 {
		line("median", &r.Median)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(out)
	w = tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\tsent\tcommitted\trolledBack\tunknown\topen\trefused\tunanswered\tchecks\tunexpectedCheck\tduplicatedCheck\tforeignCheck\t")
	for i := range r.Rounds {
		c := r.Rounds[i].Counts
		fmt.Fprintf(w, "round %d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t\n", i+1, c.Sent, c.Committed, c.RolledBack, c.Unknown, c.Open, c.Refused,
			c.Unanswered, c.Checks, c.UnexpectedCheck, c.DuplicatedCheck, c.ForeignCheck)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, warning := range r.Warnings {
		if _, err := fmt.Fprintf(out, "\nwarning: %s\n", warning); err != nil {
			return err
		}
	}
	return nil
}

// deadlineReport is the result of `bench tx --pending`.
type deadlineReport struct {
	Command    string    `json:"command"`
	Topic      string    `json:"topic"`
	Conns      int       `json:"conns"`
	Inflight   int       `json:"inflight"`
	Size       int       `json:"size"`
	Encoding   string    `json:"encoding"`
	CPUs       int       `json:"cpus"`
	Deadline   float64   `json:"deadlineSeconds"`
	Spread     float64   `json:"spreadSeconds"`
	Stored     int64     `json:"stored"`
	Checked    int64     `json:"checked"`
	Early      int64     `json:"early"`
	Earliest   float64   `json:"earliestMicros"` // by how much before the deadline, at most
	Duplicated int64     `json:"duplicatedCheck"`
	Refused    int64     `json:"refused"`
	Refusal    string    `json:"refusal,omitempty"`
	Lateness   latencies `json:"lateness"`
	Latest     float64   `json:"latestMicros"`
	Half       latencies `json:"half"`
	Storing    float64   `json:"storingSeconds"`
	Elapsed    float64   `json:"seconds"`
	ServerCPU  float64   `json:"serverCPUMicrosPerMessage,omitempty"`
}

func newDeadlineReport(f *benchTxFlags, res *bench.DeadlineResult) *deadlineReport {
	return &deadlineReport{
		Command: "bench tx --pending", Topic: f.load.Topic, Conns: f.load.Conns, Inflight: f.load.Inflight, Size: f.load.Size, Encoding: f.encoding,
		CPUs: runtime.NumCPU(), Deadline: f.deadline.Seconds(), Spread: f.spread.Seconds(),
		Stored: res.Stored, Checked: res.Checked, Early: res.Early, Earliest: micros(res.Earliest), Duplicated: res.Duplicated,
		Refused: res.Refused, Refusal: res.Refusal, Lateness: percentiles(&bench.Result{Latency: res.Lateness}), Latest: micros(res.Latest),
		Half: percentiles(&bench.Result{Latency: res.Half}), Storing: res.Storing.Seconds(), Elapsed: res.Elapsed.Seconds(),
		ServerCPU: micros(res.ServerCPU) / float64(max(res.Stored, 1)),
	}
}

func (r *deadlineReport) print(out io.Writer) error {
	fmt.Fprintf(out, "%s: topic %s, %d connections x %d in flight, %d byte bodies, %s headers, deadlines %gs to %gs, %d CPUs\n\n",
		r.Command, r.Topic, r.Conns, r.Inflight, r.Size, r.Encoding, r.Deadline, r.Deadline+r.Spread, r.CPUs)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "half messages stored\t%d in %.1f s\tp50 %.1f ms, p99 %.1f ms, p99.9 %.1f ms\n", r.Stored, r.Storing, r.Half.P50/1000, r.Half.P99/1000, r.Half.P999/1000)
	fmt.Fprintf(w, "checked\t%d\tdeadline to check: p50 %.1f ms, p99 %.1f ms, p99.9 %.1f ms, max %.1f ms\n", r.Checked,
		r.Lateness.P50/1000, r.Lateness.P99/1000, r.Lateness.P999/1000, r.Latest/1000)
	early := ""
	if r.Early > 0 {
		early = fmt.Sprintf("by up to %.3f ms", r.Earliest/1000)
	}
	fmt.Fprintf(w, "early\t%d\t%s\n", r.Early, early)
	fmt.Fprintf(w, "duplicatedCheck\t%d\t\n", r.Duplicated)
	fmt.Fprintf(w, "refused\t%d\t%s\n", r.Refused, r.Refusal)
	if r.ServerCPU > 0 {
		fmt.Fprintf(w, "server CPU\t%.1f us a message\tstored, checked, rolled back\n", r.ServerCPU)
	}
	return w.Flush()
}

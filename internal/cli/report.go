// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"cmp"
	"fmt"
	"io"
	"runtime"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/twostage/twostage/internal/bench"
)

// fairShare is the part of the machine that the loader may take: above it the
// figures are not the broker's.
const fairShare = 0.5

// figures are those of one round, or the median of several.
type figures struct {
	Subject      string  `json:"subject"` // broker or floor
	Round        int     `json:"round,omitempty"`
	Messages     int64   `json:"messages,omitempty"`
	PerSecond    float64 `json:"messagesPerSecond"`
	P50          float64 `json:"p50Micros"`
	P99          float64 `json:"p99Micros"`
	P999         float64 `json:"p999Micros"`
	ServerMicros float64 `json:"serverCPUMicrosPerMessage,omitempty"` // 0: not measured
	LoaderShare  float64 `json:"loaderShareOfMachine"`
}

// report is the result of a bench command.
type report struct {
	Command  string    `json:"command"`
	Topic    string    `json:"topic"`
	Conns    int       `json:"conns"`
	Inflight int       `json:"inflight,omitempty"`
	Size     int       `json:"size,omitempty"`
	Encoding string    `json:"encoding"`
	Seconds  float64   `json:"secondsPerRound"`
	CPUs     int       `json:"cpus"`
	Rounds   []figures `json:"rounds"`
	Medians  []figures `json:"medians"`
	Ratios   *ratios   `json:"brokerToFloor,omitempty"`
	Warnings []string  `json:"warnings,omitempty"`
}

// ratios compare the medians of the broker with those of the floor.
type ratios struct {
	Throughput float64 `json:"throughput"` // 1 is as fast as the floor
	P50        float64 `json:"p50"`        // 1 is as quick as the floor
	P99        float64 `json:"p99"`
}

func newReport(command string, f *benchFlags) *report {
	r := &report{
		Command: "bench " + command, Topic: f.load.Topic, Conns: f.load.Conns, Encoding: f.encoding,
		Seconds: f.load.Duration.Seconds(), CPUs: runtime.NumCPU(),
	}
	if command == "send" {
		r.Inflight, r.Size = f.load.Inflight, f.load.Size
	}
	return r
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

func (r *report) add(subject string, round int, res *bench.Result) {
	g := figures{
		Subject: subject, Round: round, Messages: res.Messages, PerSecond: res.PerSecond(), LoaderShare: res.LoaderShare(),
		P50: micros(res.Percentile(50)), P99: micros(res.Percentile(99)), P999: micros(res.Percentile(99.9)),
	}
	if res.ServerCPU > 0 {
		g.ServerMicros = res.ServerMicros()
	}
	r.Rounds = append(r.Rounds, g)
}

// finish computes medians, ratios and warnings.
func (r *report) finish() {
	r.Medians, r.Ratios, r.Warnings = nil, nil, nil
	for _, subject := range []string{"floor", "broker"} {
		of := slices.DeleteFunc(slices.Clone(r.Rounds), func(g figures) bool { return g.Subject != subject })
		if len(of) == 0 {
			continue
		}
		pick := func(field func(figures) float64) float64 { return median(of, field) }
		m := figures{
			Subject:   subject,
			PerSecond: pick(func(g figures) float64 { return g.PerSecond }), P50: pick(func(g figures) float64 { return g.P50 }),
			P99: pick(func(g figures) float64 { return g.P99 }), P999: pick(func(g figures) float64 { return g.P999 }),
			ServerMicros: pick(func(g figures) float64 { return g.ServerMicros }), LoaderShare: pick(func(g figures) float64 { return g.LoaderShare }),
		}
		r.Medians = append(r.Medians, m)
		if subject == "broker" && m.LoaderShare > fairShare {
			r.Warnings = append(r.Warnings, tooMuch(m.LoaderShare))
		}
	}
	if len(r.Medians) == 2 {
		floor, broker := r.Medians[0], r.Medians[1]
		r.Ratios = &ratios{ratio(broker.PerSecond, floor.PerSecond), ratio(broker.P50, floor.P50), ratio(broker.P99, floor.P99)}
	}
}

// tooMuch warns of a loader that took more than a fair share.
func tooMuch(share float64) string {
	return fmt.Sprintf("the loader took %.0f%% of the machine, more than half: the broker's throughput is not shown by this", 100*share)
}

// median is the middle one of a field, or the mean of the two in the middle.
func median(all []figures, field func(figures) float64) float64 {
	values := make([]float64, len(all))
	for i, g := range all {
		values[i] = field(g)
	}
	return middle(values)
}

// middle is the median of values, at least one, which it sorts.
func middle(values []float64) float64 {
	slices.SortFunc(values, cmp.Compare[float64])
	return (values[(len(values)-1)/2] + values[len(values)/2]) / 2
}

// ratio is 0 where there is none.
func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

func (r *report) printJSON(w io.Writer) error {
	r.finish()
	return indented(w, r)
}

func (r *report) print(out io.Writer) error {
	r.finish()
	load := ""
	if r.Inflight > 0 {
		load = fmt.Sprintf(" x %d in flight, %d byte bodies", r.Inflight, r.Size)
	}
	fmt.Fprintf(out, "%s: topic %s, %d connections%s, %s headers, rounds of %gs, %d CPUs\n\n", r.Command, r.Topic, r.Conns, load, r.Encoding, r.Seconds, r.CPUs)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\tmsg/s\tp50 us\tp99 us\tp99.9 us\tserver CPU us/msg\tloader share\t")
	for _, g := range r.Rounds {
		row(w, fmt.Sprintf("%s %d", g.Subject, g.Round), g)
	}
	if len(r.Rounds) > len(r.Medians) {
		for _, g := range r.Medians {
			row(w, g.Subject+" median", g)
		}
	}
	if q := r.Ratios; q != nil {
		fmt.Fprintf(w, "broker/floor\t%.1f%%\t%.2fx\t%.2fx\t\t\t\t\n", 100*q.Throughput, q.P50, q.P99)
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

func row(w io.Writer, name string, g figures) {
	cpu := "-"
	if g.ServerMicros > 0 {
		cpu = fmt.Sprintf("%.2f", g.ServerMicros)
	}
	fmt.Fprintf(w, "%s\t%.0f\t%.0f\t%.0f\t%.0f\t%s\t%.0f%%\t\n", name, g.PerSecond, g.P50, g.P99, g.P999, cpu, 100*g.LoaderShare)
}

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

// onTime is the part of an open loop's rate below which the broker did not keep
// up with it.
const onTime = 0.98

// figures are those of one round, or the median of several.
type figures struct {
	Subject      string  `json:"subject"` // broker or floor; of others what they say
	Round        int     `json:"round,omitempty"`
	Messages     int64   `json:"messages,omitempty"`
	PerSecond    float64 `json:"messagesPerSecond"`
	BytesPer     float64 `json:"bytesPerSecond"` // sent: of bodies; pulled: of records
	P50          float64 `json:"p50Micros"`
	P99          float64 `json:"p99Micros"`
	P999         float64 `json:"p999Micros"`
	Max          float64 `json:"maxMicros"`
	ServerMicros float64 `json:"serverCPUMicrosPerMessage,omitempty"` // 0: not measured
	DiskPer      float64 `json:"diskReadBytesPerSecond"`              // of the server; -1: not measured
	FillSeconds  float64 `json:"fillSeconds,omitempty"`               // what --fill took
	LoaderShare  float64 `json:"loaderShareOfMachine"`

	// Of pops only:
	WholeMicros float64 `json:"settledCPUMicrosPerMessage,omitempty"` // with what follows until they have settled; 0: not measured
	AckP50      float64 `json:"ackP50Micros,omitempty"`
	AckP99      float64 `json:"ackP99Micros,omitempty"`
}

// report is the result of a bench command.
type report struct {
	Command  string    `json:"command"`
	Topic    string    `json:"topic"`
	Topics   int       `json:"topics,omitempty"` // above 1
	Conns    int       `json:"conns"`
	Inflight int       `json:"inflight,omitempty"`
	Size     int       `json:"size,omitempty"`
	Rate     float64   `json:"rate,omitempty"` // asked for
	Count    int       `json:"pullCount,omitempty"`
	Bytes    int       `json:"pullBytes,omitempty"`
	Once     bool      `json:"once,omitempty"`
	Cold     bool      `json:"dropCache,omitempty"`
	Encoding string    `json:"encoding"`
	Seconds  float64   `json:"secondsPerRound"`
	CPUs     int       `json:"cpus"`
	Rounds   []figures `json:"rounds"`
	Medians  []figures `json:"medians"`
	Ratios   *ratios   `json:"brokerToFloor,omitempty"`
	Warnings []string  `json:"warnings,omitempty"`
}

// ratios compare the medians of the second of two subjects, as the broker, with
// those of the first, as the floor.
type ratios struct {
	Throughput float64 `json:"throughput"` // of messages; 1 is as fast as the floor
	Bytes      float64 `json:"bytes"`
	P50        float64 `json:"p50"` // 1 is as quick as the floor
	P99        float64 `json:"p99"`
}

func newReport(command string, f *benchFlags) *report {
	l := &f.load
	r := &report{
		Command: "bench " + command, Topic: l.Topic, Conns: l.Conns, Inflight: l.Inflight, Encoding: f.encoding,
		Seconds: l.Duration.Seconds(), CPUs: runtime.NumCPU(), Rate: l.Rate,
	}
	if l.Topics > 1 {
		r.Topics = l.Topics
	}
	switch command {
	default:
		r.Size = l.Size
	case "consume", "pop":
		r.Count, r.Bytes, r.Once, r.Cold = l.Pull.Count, l.Pull.Bytes, l.Pull.Once, f.dropCache
	}
	return r
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

func (r *report) add(subject string, round int, res *bench.Result) {
	g := figures{
		Subject: subject, Round: round, Messages: res.Messages, PerSecond: res.PerSecond(), LoaderShare: res.LoaderShare(),
		P50: micros(res.Percentile(50)), P99: micros(res.Percentile(99)), P999: micros(res.Percentile(99.9)), Max: micros(res.Percentile(100)),
		BytesPer: res.BytesPerSecond(), DiskPer: -1, FillSeconds: res.Filling.Seconds(),
	}
	if res.DiskRead >= 0 {
		g.DiskPer = float64(res.DiskRead) / res.Elapsed.Seconds()
	}
	if res.ServerCPU > 0 {
		g.ServerMicros = res.ServerMicros()
	}
	r.Rounds = append(r.Rounds, g)
}

// finish computes medians, ratios and warnings.
func (r *report) finish() {
	r.Medians, r.Ratios, r.Warnings = nil, nil, nil
	var subjects []string // the floor first, others in their order
	for _, g := range r.Rounds {
		if !slices.Contains(subjects, g.Subject) {
			subjects = append(subjects, g.Subject)
		}
	}
	if i := slices.Index(subjects, "floor"); i > 0 {
		subjects = slices.Insert(slices.Delete(subjects, i, i+1), 0, "floor")
	}
	for _, subject := range subjects {
		of := slices.DeleteFunc(slices.Clone(r.Rounds), func(g figures) bool { return g.Subject != subject })
		pick := func(field func(figures) float64) float64 { return median(of, field) }
		m := figures{
			Subject:   subject,
			PerSecond: pick(func(g figures) float64 { return g.PerSecond }), P50: pick(func(g figures) float64 { return g.P50 }),
			P99: pick(func(g figures) float64 { return g.P99 }), P999: pick(func(g figures) float64 { return g.P999 }),
			BytesPer: pick(func(g figures) float64 { return g.BytesPer }), DiskPer: pick(func(g figures) float64 { return g.DiskPer }), Max: pick(func(g figures) float64 { return g.Max }),
			FillSeconds:  pick(func(g figures) float64 { return g.FillSeconds }),
			ServerMicros: pick(func(g figures) float64 { return g.ServerMicros }), LoaderShare: pick(func(g figures) float64 { return g.LoaderShare }),
			WholeMicros: pick(func(g figures) float64 { return g.WholeMicros }), AckP50: pick(func(g figures) float64 { return g.AckP50 }), AckP99: pick(func(g figures) float64 { return g.AckP99 }),
		}
		r.Medians = append(r.Medians, m)
		if subject != "floor" && m.LoaderShare > fairShare {
			r.Warnings = append(r.Warnings, subject+": "+tooMuch(m.LoaderShare))
		}
		if r.Rate > 0 && m.PerSecond < onTime*r.Rate {
			r.Warnings = append(r.Warnings, fmt.Sprintf("the broker took %.0f of the %.0f messages a second that were asked for: latencies grow with the length of the run", m.PerSecond, r.Rate))
		}
	}
	if len(r.Medians) == 2 {
		floor, broker := r.Medians[0], r.Medians[1]
		r.Ratios = &ratios{ratio(broker.PerSecond, floor.PerSecond), ratio(broker.BytesPer, floor.BytesPer), ratio(broker.P50, floor.P50), ratio(broker.P99, floor.P99)}
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

func (r *report) print(out io.Writer) error {
	r.finish()
	fmt.Fprintf(out, "%s: %s\n\n", r.Command, r.conditions())
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\tmsg/s\tMB/s\tp50 us\tp99 us\tp99.9 us\tmax us\tserver CPU us/msg\tdisk MB/s\tloader share\t")
	for _, g := range r.Rounds {
		row(w, fmt.Sprintf("%s %d", g.Subject, g.Round), g)
	}
	if len(r.Rounds) > len(r.Medians) {
		for _, g := range r.Medians {
			row(w, g.Subject+" median", g)
		}
	}
	if q := r.Ratios; q != nil {
		fmt.Fprintf(w, "%s/%s\t%.1f%%\t%.1f%%\t%.2fx\t%.2fx\t\t\t\t\t\t\n", r.Medians[1].Subject, r.Medians[0].Subject, 100*q.Throughput, 100*q.Bytes, q.P50, q.P99)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, g := range r.Rounds {
		if g.FillSeconds > 0 {
			fmt.Fprintf(out, "\nround %d: a first message for every queue took %.1fs\n", g.Round, g.FillSeconds)
		}
	}
	for _, warning := range r.Warnings {
		if _, err := fmt.Fprintf(out, "\nwarning: %s\n", warning); err != nil {
			return err
		}
	}
	return nil
}

// conditions says what was measured.
func (r *report) conditions() string {
	s := fmt.Sprintf("topic %s, %d connections x %d in flight, ", r.Topic, r.Conns, r.Inflight)
	if r.Topics > 1 {
		s = fmt.Sprintf("%d topics %s-..., %d connections x %d in flight, ", r.Topics, r.Topic, r.Conns, r.Inflight)
	}
	if r.Size > 0 {
		s += fmt.Sprintf("%d byte bodies, ", r.Size)
	}
	if r.Rate > 0 {
		s += fmt.Sprintf("at %g messages/s, ", r.Rate)
	}
	if r.Count > 0 {
		s += fmt.Sprintf("pulls of %d messages", r.Count)
		if r.Bytes > 0 {
			s += fmt.Sprintf(" and %d bytes", r.Bytes)
		}
		s += ", "
	}
	rounds := "rounds"
	switch {
	case r.Cold:
		rounds = "read once from the disk, at most"
	case r.Once:
		rounds = "read once, at most"
	}
	return fmt.Sprintf("%s%s headers, %s of %gs, %d CPUs", s, r.Encoding, rounds, r.Seconds, r.CPUs)
}

func row(w io.Writer, name string, g figures) {
	cpu, disk := "-", "-"
	if g.ServerMicros > 0 {
		cpu = fmt.Sprintf("%.2f", g.ServerMicros)
	}
	if g.DiskPer >= 0 {
		disk = fmt.Sprintf("%.1f", g.DiskPer/1e6)
	}
	fmt.Fprintf(w, "%s\t%.0f\t%.1f\t%.0f\t%.0f\t%.0f\t%.0f\t%s\t%s\t%.0f%%\t\n",
		name, g.PerSecond, g.BytesPer/1e6, g.P50, g.P99, g.P999, g.Max, cpu, disk, 100*g.LoaderShare)
}

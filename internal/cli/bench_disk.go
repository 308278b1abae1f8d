// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/twostage/twostage/internal/bench"
	"github.com/twostage/twostage/internal/vfs"
)

// flushEvery is how often the sequential writer syncs, as a broker with
// ASYNC_FLUSH does.
const flushEvery = 500 * time.Millisecond

// benchDiskFlags are the flags of `bench disk`.
type benchDiskFlags struct {
	Process
	disk    bench.Disk
	size    int
	block   int
	records []int
	floors  []string
	rounds  int
	display
}

// The floors of a disk, by the names of --floors.
const (
	floorWriter = "writer"
	floorSynced = "synced-writer"
	floorLoop   = "loop"
)

func benchDisk(p Process) *cobra.Command {
	f := &benchDiskFlags{Process: p, disk: bench.Disk{FS: vfs.OS()}}
	cmd := &cobra.Command{
		Use: "disk DIR", Short: "Measure the bare writes that other figures are compared with", Args: args(1, 1),
		Long: `Measure the floors of the disk of a directory, best the one that holds a broker's: a writer that puts one block
behind the other into reserved files, without any sync and with an fdatasync every ` + flushEvery.String() + `, and bare loops of
one write and one fdatasync, where a write is so many records of messages with bodies of --size. The files go into a
directory below DIR and are removed in the end.`,
		Example: `  twostage bench disk /var/lib/twostage --duration 5s
  twostage bench disk /var/lib/twostage --floors loop --records 1,64 --rounds 5`,
		RunE: func(cmd *cobra.Command, given []string) error {
			f.disk.Dir = given[0]
			return f.run(cmd.Context())
		},
	}
	fl := cmd.Flags()
	sizeFlag(fl, &f.size, "size", 1024, "size of a body")
	sizeFlag(fl, &f.block, "block", 256<<10, "size of one write of the sequential writer")
	fl.IntSliceVar(&f.records, "records", []int{1, 16, 64}, "records of one write of the loops, one loop each")
	fl.StringSliceVar(&f.floors, "floors", []string{floorWriter, floorSynced, floorLoop}, "which ones to measure")
	fl.IntVar(&f.rounds, "rounds", 1, "how many rounds; of each floor the one in the middle is shown")
	sizeFlag(fl, &f.disk.FileSize, "file-size", 1<<30, "size of a file")
	sizeFlag(fl, &f.disk.Bytes, "most", 4<<30, "`bytes` that one measurement writes at most, and reserves")
	spanFlag(fl, &f.disk.Duration, "duration", 3*time.Second, "length of one measurement, at most")
	f.formatFlag(cmd)
	jsonFlag(cmd, &f.format)
	return cmd
}

// diskFigures are those of one measurement.
type diskFigures struct {
	Name           string  `json:"name"`
	Records        int     `json:"records,omitempty"` // of one write of a loop
	WriteBytes     int     `json:"writeBytes"`
	WritesPer      float64 `json:"writesPerSecond"`
	RecordsPer     float64 `json:"recordsPerSecond,omitempty"`
	BytesPerSecond float64 `json:"bytesPerSecond"`
	Syncs          int64   `json:"syncs"`
	latencies
	Max float64 `json:"maxMicros"`
}

// diskReport is the result of `bench disk`.
type diskReport struct {
	Command     string        `json:"command"`
	Dir         string        `json:"dir"`
	Size        int           `json:"size"`
	RecordBytes int           `json:"recordBytes"`
	Seconds     float64       `json:"secondsAtMost"`
	Floors      []diskFigures `json:"floors"`
}

// check refuses flags that make no sense.
func (f *benchDiskFlags) check() error {
	for _, n := range append([]int{f.size, f.block}, f.records...) {
		if n < 1 || int64(n) > f.disk.FileSize {
			return usagef("--size %d, --block %d, --records %v: at least 1 each, and no more bytes than a file has", f.size, f.block, f.records)
		}
	}
	for _, name := range f.floors {
		if !slices.Contains([]string{floorWriter, floorSynced, floorLoop}, name) {
			return usagef("--floors %q: accepted are %s, %s, %s", name, floorWriter, floorSynced, floorLoop)
		}
	}
	if f.disk.FileSize < 1 || f.disk.Bytes < 1 || f.disk.Duration <= 0 || f.rounds < 1 {
		return usagef("--file-size %d, --most %d, --duration %v, --rounds %d: over 0 each", f.disk.FileSize, f.disk.Bytes, f.disk.Duration, f.rounds)
	}
	return nil
}

func (f *benchDiskFlags) run(ctx context.Context) error {
	if err := f.check(); err != nil {
		return err
	}
	record := bench.RecordSize(benchTopic, f.size)
	r := &diskReport{Command: "bench disk", Dir: f.disk.Dir, Size: f.size, RecordBytes: record, Seconds: f.disk.Duration.Seconds()}
	measure := func(name string, records, bytes int, run func() (*bench.DiskResult, error)) error {
		var all []*bench.DiskResult
		for round := range f.rounds {
			res, err := run()
			if err != nil {
				return err
			}
			fmt.Fprintf(f.Stderr, "%s round %d/%d %.0f writes/s\n", name, round+1, f.rounds, res.WritesPerSecond())
			all = append(all, res)
		}
		slices.SortFunc(all, func(a, b *bench.DiskResult) int { return cmp.Compare(a.WritesPerSecond(), b.WritesPerSecond()) })
		r.add(name, records, bytes, all[len(all)/2])
		return nil
	}
	for _, w := range []struct {
		floor, name string
		every       time.Duration
	}{{floorWriter, "writer", 0}, {floorSynced, "writer, fdatasync every " + flushEvery.String(), flushEvery}} {
		if !slices.Contains(f.floors, w.floor) {
			continue
		}
		if err := measure(w.name, 0, f.block, func() (*bench.DiskResult, error) { return f.disk.Sequential(ctx, f.block, w.every) }); err != nil {
			return err
		}
	}
	if slices.Contains(f.floors, floorLoop) {
		for _, n := range f.records {
			name := fmt.Sprintf("write and fdatasync of %d", n)
			if err := measure(name, n, n*record, func() (*bench.DiskResult, error) { return f.disk.Synced(ctx, n*record) }); err != nil {
				return err
			}
		}
	}
	return f.result(f.Stdout, r, r.print)
}

func (r *diskReport) add(name string, records, write int, res *bench.DiskResult) {
	of := bench.Result{Latency: res.Latency}
	r.Floors = append(r.Floors, diskFigures{
		Name: name, Records: records, WriteBytes: write, WritesPer: res.WritesPerSecond(), RecordsPer: res.WritesPerSecond() * float64(records),
		BytesPerSecond: res.BytesPerSecond(), Syncs: res.Syncs, latencies: percentiles(&of), Max: micros(of.Percentile(100)),
	})
}

func (r *diskReport) print(out io.Writer) error {
	fmt.Fprintf(out, "%s: %s, records of %d bytes (bodies of %d), up to %gs each\n\n", r.Command, r.Dir, r.RecordBytes, r.Size, r.Seconds)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\twrite bytes\twrites/s\trecords/s\tMB/s\tp50 us\tp99 us\tp99.9 us\tmax us\t")
	for _, g := range r.Floors {
		records := "-"
		if g.Records > 0 {
			records = fmt.Sprintf("%.0f", g.RecordsPer)
		}
		fmt.Fprintf(w, "%s\t%d\t%.0f\t%s\t%.1f\t%.0f\t%.0f\t%.0f\t%.0f\t\n", g.Name, g.WriteBytes, g.WritesPer, records, g.BytesPerSecond/1e6, g.P50, g.P99, g.P999, g.Max)
	}
	return w.Flush()
}

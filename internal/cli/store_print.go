// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode/utf8"

	"github.com/twostage/twostage/internal/fsck"
	"github.com/twostage/twostage/internal/store"
)

// printRecord prints a record, or what stands in its place.
func printRecord(w io.Writer, r *fsck.Record, body bool) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %d size=%d file=%s at=%d\n", r.What, r.Offset, r.Size, printable([]byte(r.File)), r.FileOffset)
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "  %-10s %s\n", name, fmt.Sprintf(format, args...))
	}
	if r.Why != "" {
		line("why", "%s", printable([]byte(r.Why)))
	}
	f := r.Fields
	if f == nil {
		_, err := io.WriteString(w, b.String())
		return err
	}
	line("queue", "%s %d offset %d", printable([]byte(f.Topic)), f.Queue, f.QueueOffset)
	line("stored", "%s (%d) by %s", fsck.Time(f.StoreTime), f.StoreTime, f.StoreHost)
	line("born", "%s (%d) at %s", fsck.Time(f.BornTime), f.BornTime, f.BornHost)
	line("flags", "version=%d flag=%d sysFlag=%#x [%s] reconsumed=%d prepared=%d", f.Version, f.Flag, uint32(f.SysFlag), strings.Join(f.SysFlags, " "), f.ReconsumeTimes, f.PreparedOffset)
	for _, p := range f.Properties {
		line("property", "%s=%s", printable([]byte(p[0])), printable([]byte(p[1])))
	}
	if op := f.Op; op != nil {
		at := "-"
		if op.Record >= 0 {
			at = fmt.Sprint(op.Record)
		}
		line("op", "half=%s outcome=%q record=%s last=%d", strings.Trim(strings.ReplaceAll(fmt.Sprint(op.Halves), " ", ","), "[]"), op.Outcome, at, op.Last)
		if op.Error != "" {
			line("error", "%s", printable([]byte(op.Error)))
		}
	}
	line("body", "%d bytes, CRC %08x", f.BodySize, f.BodyCRC)
	if body {
		if utf8.Valid(f.Body) {
			line("", "%s", printable(f.Body))
		} else {
			for l := range strings.Lines(hex.Dump(f.Body)) {
				line("", "%s", strings.TrimRight(l, "\n"))
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func printQueueEntry(w io.Writer, e *fsck.QueueEntry) error {
	_, err := fmt.Fprintf(w, "%s %s %d offset=%d record=%d size=%d tags=%d file=%s at=%d\n", e.What, printable([]byte(e.Topic)), e.Queue, e.Offset, e.LogOffset, e.Size, e.Tags, printable([]byte(e.File)), e.FileOffset)
	return err
}

func printIndexFile(w io.Writer, h *fsck.IndexFile) error {
	_, err := fmt.Fprintf(w, "header file=%s bytes=%d times=%s..%s records=%d..%d slots=%d next=%d\n", printable([]byte(h.File)), h.Bytes, fsck.Time(h.BeginTime), fsck.Time(h.EndTime), h.BeginOffset, h.EndOffset, h.UsedSlots, h.Next)
	return err
}

func printIndexEntry(w io.Writer, e *fsck.IndexEntry) error {
	_, err := fmt.Fprintf(w, "entry %d hash=%d slot=%d record=%d time=%s previous=%d\n", e.Entry, e.Hash, e.Slot, e.LogOffset, fsck.Time(e.Time), e.Previous)
	return err
}

func printCheckpoint(w io.Writer, c *fsck.Checkpoint) error {
	_, err := fmt.Fprintf(w, "checkpoint log=%s (%d) queues=%s (%d) index=%s (%d) abort=%v\n", fsck.Time(c.Log), c.Log, fsck.Time(c.Queues), c.Queues, fsck.Time(c.Index), c.Index, c.Abort)
	return err
}

func printMark(w io.Writer, m *fsck.TransactionMark) error {
	_, err := fmt.Fprintf(w, "mark half=%d op=%d log=%d last-op=%d file=%s\n", m.Half, m.Op, m.Log, m.Last, printable([]byte(m.File)))
	return err
}

func printWord(w io.Writer, t *fsck.TransactionWord) error {
	text := ""
	switch {
	case t.Checks > 0:
		text = fmt.Sprintf(" checks=%d last=%s", t.Checks, fsck.Time(t.CheckedAt))
	case t.Op > 0:
		text = fmt.Sprintf(" op=%d", t.Op)
	case t.ResumedAs > 0:
		text = fmt.Sprintf(" as=%d", t.ResumedAs)
	}
	_, err := fmt.Fprintf(w, "%s half=%d %q%s file=%s at=%d\n", t.What, t.Half, t.State, text, printable([]byte(t.File)), t.FileOffset)
	return err
}

func printDeleted(w io.Writer, t *fsck.DeletedTopic) error {
	_, err := fmt.Fprintf(w, "deleted %s below=%d\n", printable([]byte(t.Topic)), t.Below)
	return err
}

// spaceText is what files take.
func spaceText(s *fsck.Space) string {
	text := fmt.Sprintf("%d files, %d bytes", s.Files, s.Bytes)
	if s.Allocated != nil {
		text += fmt.Sprintf(", %d of the disk", *s.Allocated)
	}
	return text
}

func printStat(out io.Writer, s *fsck.Stat, topics bool) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(name, format string, args ...any) { fmt.Fprintf(w, name+"\t"+format+"\n", args...) }
	line("store", "%s", s.Dir)
	switch {
	case s.Locked != nil && *s.Locked:
		line("state", "a broker runs on it")
	case s.Abort:
		line("state", "not stopped in order (abort is there)")
	default:
		line("state", "stopped in order")
	}
	line("log", "%d to %d, file size %d: %s", s.Log.Start, s.Log.End, s.Log.FileSize, spaceText(&s.Log.Space))
	if s.Log.LastTime > 0 {
		line("records", "stored %s to %s", fsck.Time(s.Log.FirstTime), fsck.Time(s.Log.LastTime))
	}
	line("queues", "%d of %d topics, %d entries, file size %d: %s", s.Queues.Queues, s.Queues.Topics, s.Queues.Entries, s.Queues.FileSize, spaceText(&s.Queues.Space))
	line("index", "%d entries: %s", s.Index.Entries, spaceText(&s.Index.Space))
	if c := s.Checkpoint; c != nil {
		line("checkpoint", "log %s, queues %s, index %s", fsck.Time(c.Log), fsck.Time(c.Queues), fsck.Time(c.Index))
	}
	if t := s.Transactions; t != nil {
		text := fmt.Sprintf("%d undecided", t.Undecided)
		for _, name := range slices.Sorted(maps.Keys(t.States)) {
			text += fmt.Sprintf(", %d %s", t.States[name], name)
		}
		line("transactions", "%s", text)
	}
	for _, name := range s.Damaged {
		line("damaged", "%s", printable([]byte(name)))
	}
	if s.Deleted > 0 {
		line("deleted", "%d topics", s.Deleted)
	}
	for _, f := range s.Findings {
		line(string(f.Level), "%s", printable([]byte(strings.TrimPrefix(f.String(), string(f.Level)+": "))))
	}
	if topics {
		for i := range s.Topics {
			t := &s.Topics[i]
			for _, q := range t.Queues {
				line("queue", "%s %d: %d to %d", printable([]byte(t.Topic)), q.ID, q.Min, q.Max)
			}
		}
	}
	return w.Flush()
}

func printReport(w io.Writer, r *fsck.Report) error {
	for _, f := range r.Findings {
		if _, err := fmt.Fprintln(w, printable([]byte(f.String()))); err != nil {
			return err
		}
	}
	if n := r.Damage + r.Behind + r.Notes - int64(len(r.Findings)); n > 0 {
		if _, err := fmt.Fprintf(w, "and %d more\n", n); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "verified log=%d..%d records=%d queues=%d entries=%d keys=%d ops=%d states=%d orphans=%d damage=%d behind=%d notes=%d\n",
		r.Start, r.End, r.Records, r.Queues, r.QueueEntries, r.Keys, r.Ops, r.States, r.Orphans, r.Damage, r.Behind, r.Notes)
	return err
}

// rebuilt is what a rebuild did, as JSON.
type rebuilt struct {
	Dir     string         `json:"dir"`
	Start   int64          `json:"logStart"` // log offsets
	End     int64          `json:"logEnd"`
	Records int            `json:"records"`
	Queues  int            `json:"queues"`
	Damage  []damagedRange `json:"damage"` // of the log, skipped
	Torn    int64          `json:"torn"`   // bytes behind the end that the next start removes
	Kept    []keptOffset   `json:"kept"`
	Abort   bool           `json:"abort"`
}

type damagedRange struct {
	File   string `json:"file"`
	Offset int64  `json:"offset"` // in the log
	Length int64  `json:"length"`
}

type keptOffset struct {
	Topic string `json:"topic"`
	Queue int32  `json:"queue"`
	From  int64  `json:"from"` // the next offset, as the log has it
	Next  int64  `json:"next"` // as it was, and is
}

func rebuiltJSON(dir string, r *store.Rebuilt) rebuilt {
	j := rebuilt{Dir: dir, Start: r.Start, End: r.End, Records: r.Records, Queues: r.Queues, Torn: r.Torn, Abort: r.Aborted, Damage: []damagedRange{}, Kept: []keptOffset{}}
	for _, d := range r.Damage {
		j.Damage = append(j.Damage, damagedRange{d.File, d.Offset, d.Length})
	}
	for _, k := range r.Kept {
		j.Kept = append(j.Kept, keptOffset{k.Topic, k.ID, k.From, k.Next})
	}
	return j
}

func printRebuilt(w io.Writer, dir string, r *store.Rebuilt) error {
	var b strings.Builder
	for _, d := range r.Damage {
		fmt.Fprintf(&b, "damaged: %s, %d bytes at log offset %d were skipped\n", d.File, d.Length, d.Offset)
	}
	for _, k := range r.Kept {
		fmt.Fprintf(&b, "kept: queue %d of %s goes on at %d, the log has nothing of it from %d on\n", k.ID, printable([]byte(k.Topic)), k.Next, k.From)
	}
	if r.Torn > 0 {
		fmt.Fprintf(&b, "torn: %d bytes behind the last record; the next start removes them\n", r.Torn)
	}
	if r.Aborted {
		fmt.Fprintf(&b, "abort stays: the next start recovers as after a crash\n")
	}
	fmt.Fprintf(&b, "rebuilt %s log=%d..%d records=%d queues=%d\n", dir, r.Start, r.End, r.Records, r.Queues)
	_, err := io.WriteString(w, b.String())
	return err
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package fsck

import (
	"context"
	"errors"
	"fmt"
	"math"
	"syscall"
	"time"

	"github.com/twostage/twostage/internal/store/checkpoint"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/message"
)

// Report is what Verify has found.
type Report struct {
	Dir     string `json:"dir"`
	Clean   bool   `json:"clean"` // no damage
	Aborted bool   `json:"abort"` // the last run did not end in order: views may be behind

	Start   int64 `json:"logStart"` // log offsets
	End     int64 `json:"logEnd"`
	Records int64 `json:"records"`
	Blanks  int64 `json:"blanks"` // markers at the ends of files

	Queues       int64 `json:"queues"`       // that have a directory or records
	QueueEntries int64 `json:"queueEntries"` // that agree with their record
	Keys         int64 `json:"keys"`         // index entries that agree with their record
	Ops          int64 `json:"ops"`          // op records
	States       int64 `json:"states"`       // of decided half messages, that agree with their op record
	Orphans      int64 `json:"orphans"`      // entries of views whose record lies in damaged bytes of the log

	Damage   int64     `json:"damage"` // how many findings of each level
	Behind   int64     `json:"behind"`
	Notes    int64     `json:"notes"`
	Findings []Finding `json:"findings"` // at most 1000
}

// Verify reads all of a store and compares log, queues, index, checkpoint, op
// records and transaction states. Nobody may run on the directory: the error wraps
// checkpoint.ErrInUse then. It changes nothing, but that it takes the lock, if the
// file is there. What it finds is no error.
func Verify(ctx context.Context, o Options) (_ *Report, failed error) {
	if o.FS == nil {
		o.FS = vfs.OS()
	}
	name := o.Dir + "/lock"
	_, _, missing := o.FS.Stat(name)
	if missing == nil {
		lock, err := checkpoint.Lock(o.FS, o.Dir)
		if err != nil && !errors.Is(err, syscall.EROFS) { // where nobody can write nobody runs
			return nil, err
		}
		if err == nil {
			defer func() { failed = errors.Join(failed, lock.Close()) }()
		}
	}
	d, err := Open(o)
	if err != nil {
		return nil, err
	}
	defer func() { failed = errors.Join(failed, d.Close()) }()
	v := newVerifier(ctx, d)
	if err := v.run(); err != nil {
		return nil, err
	}
	if _, _, err := o.FS.Stat(name); missing != nil && err == nil {
		return nil, fmt.Errorf("%w: a broker was started on %s meanwhile", checkpoint.ErrInUse, o.Dir)
	}
	return v.result(), nil
}

// verifier is a Verify at work. It walks the log once; beside it, it keeps where
// each queue and the index are.
type verifier struct {
	d     *Dir
	ctx   context.Context
	r     Report
	out   *findings
	other *logReader // beside the walk

	lost ranges // of the log that are no records
	min  int64
	last int64 // store time of the last record, ms

	// With abort: the next start makes queue entries from here on anew.
	remade int64

	queues  map[string]map[int32]*queueCheck
	list    []*queueCheck
	unknown int // queues without a directory
	held    int // findings in queueCheck.later

	index  *indexCheck
	beyond beyond
	failed error // of reading the index, found on the way
}

// beyond is what views know of records behind the end of the log.
type beyond struct {
	count   int64
	witness string
	offset  int64 // log offset of the farthest record
}

func (b *beyond) add(offset int64, path string, at int64) {
	b.count++
	if b.count == 1 || offset > b.offset {
		b.offset, b.witness = offset, fmt.Sprintf("%s at %d", path, at)
	}
}

func newVerifier(ctx context.Context, d *Dir) *verifier {
	v := &verifier{d: d, ctx: ctx, out: &d.listed, other: d.newLogReader(), min: d.min(), remade: math.MaxInt64,
		queues: make(map[string]map[int32]*queueCheck)}
	v.r = Report{Dir: d.o.Dir, Aborted: d.aborted, Start: v.min}
	for _, q := range d.queues {
		v.addQueue(q.topic, q.id, q)
	}
	return v
}

func (v *verifier) run() (err error) {
	if err := v.findRemade(); err != nil {
		return err
	}
	if v.index, err = v.newIndexCheck(); err != nil {
		return err
	}
	end, err := v.d.walkLog(v.ctx, v.min, v.step)
	if err != nil {
		return err
	}
	v.r.End = end.pos
	if v.failed != nil {
		return v.failed
	}
	for _, q := range v.list {
		if err := v.finishQueue(q); err != nil {
			return err
		}
	}
	if err := v.index.finish(); err != nil {
		return err
	}
	if v.failed != nil {
		return v.failed
	}
	if err := v.checkStates(); err != nil {
		return err
	}
	v.checkEnd(end)
	return nil
}

func (v *verifier) result() *Report {
	v.r.Queues = int64(len(v.list))
	v.r.Damage, v.r.Behind, v.r.Notes = v.out.counts[0], v.out.counts[1], v.out.counts[2]
	v.r.Findings = v.out.list
	v.r.Clean = v.r.Damage == 0
	return &v.r
}

// findRemade finds where the next start begins to make queue entries anew: see
// Recovery in the documentation of package store.
func (v *verifier) findRemade() error {
	if len(v.d.queues) == 0 {
		v.remade = v.min
		return nil
	}
	if !v.d.aborted {
		return nil
	}
	v.remade = v.min
	before := v.d.check.RecoverBefore()
	for i := len(v.d.log) - 1; i > 0; i-- {
		if rec, ok := v.other.record(v.d.log[i].start); ok && rec.StoreTimestamp <= before {
			v.remade = v.d.log[i].start
			break
		}
	}
	return v.ctx.Err()
}

// level is how bad it is when a queue lacks the record at a log offset, or has
// another there.
func (v *verifier) level(physical int64) Level {
	if physical >= v.remade {
		return Behind
	}
	return Damage
}

func (v *verifier) step(s *step) error {
	switch s.kind {
	case isBlank:
		v.r.Blanks++
	case isDamaged:
		v.damagedRecord(s, s.why)
	case isOdd:
		v.damagedRecord(s, "the record cannot be right: "+s.why)
	case isRecord:
		why, err := v.record(s)
		if err != nil {
			return err
		}
		if why != "" {
			v.damagedRecord(s, why)
		}
	}
	return nil
}

// damagedRecord reports bytes of the log. What the views know of them is no
// further finding.
func (v *verifier) damagedRecord(s *step, why string) {
	v.lost.add(s.from, s.to)
	text := fmt.Sprintf("log offset %d: %s", s.from, why)
	copied := fmt.Sprintf("%s/damaged/%020d-%d", v.d.o.Dir, s.from, s.to-s.from)
	if _, _, err := v.d.o.FS.Stat(copied); err == nil {
		text += "; a start has copied the bytes to " + copied
	}
	v.out.add(Finding{Level: Damage, Kind: KindRecord, File: s.path, Offset: s.fileOffset, Length: s.to - s.from, Text: text})
}

// record compares a record with the views. why says that it cannot be right.
func (v *verifier) record(s *step) (why string, err error) {
	rec := s.rec
	queued, indexed := views(rec.SysFlag)
	if queued && !v.buried(rec) {
		if why, err = v.queueRecord(rec); why != "" || err != nil {
			return why, err
		}
	}
	v.r.Records++
	v.last = max(v.last, rec.StoreTimestamp)
	if indexed {
		if err := v.index.record(rec); err != nil {
			return "", err
		}
	}
	if string(rec.Topic) == message.TopicOpHalf {
		return "", v.checkOp(s)
	}
	return "", nil
}

// views tells which views a record with this flag is in.
func views(f message.SysFlag) (queue, index bool) {
	switch f.Transaction() {
	case message.TransactionPrepared:
		return false, true
	case message.TransactionRollback:
		return false, false
	}
	return true, true
}

// buried tells that a record is of a topic that was deleted since.
func (v *verifier) buried(rec *message.Record) bool {
	if len(v.d.deleted) == 0 {
		return false
	}
	end, ok := v.d.deleted[string(rec.Topic)]
	return ok && rec.PhysicalOffset < end
}

// checkEnd compares the end of the log with what the views and the checkpoint
// know.
func (v *verifier) checkEnd(end logEnd) {
	ahead := v.checkpointAhead()
	short := false
	if f := v.d.logFileAt(max(end.pos-1, v.min)); f != nil {
		short = f.size < v.d.logSize // that is a finding already
	}
	if end.rest < 0 && v.beyond.count == 0 {
		for _, f := range ahead {
			v.out.add(f)
		}
		return
	}
	path, at := v.d.place(end.pos)
	f := Finding{Level: Damage, Kind: KindEnd, File: path, Offset: at, Text: fmt.Sprintf("the log ends here, at log offset %d", end.pos)}
	if v.d.aborted {
		f.Level = Behind
	}
	if end.rest >= 0 {
		f.Text += fmt.Sprintf("; from %d on follow %d bytes that are no records", end.rest, end.restSize)
	}
	if v.beyond.count > 0 {
		f.Text += fmt.Sprintf("; %d entries of queues and index are of later records, such as %s, of one at %d", v.beyond.count, v.beyond.witness, v.beyond.offset)
	}
	if len(ahead) > 0 {
		f.Text += "; the checkpoint claims later records too"
		f.Level = Damage
	}
	if v.beyond.count == 0 && short && f.Level == Behind {
		return
	}
	v.out.add(f)
}

// checkpointAhead is what the checkpoint claims and cannot know.
func (v *verifier) checkpointAhead() (list []Finding) {
	if !v.d.checkFound || v.r.Records == 0 && v.min > 0 {
		return nil
	}
	t := v.d.check
	for i, c := range []struct {
		name string
		ms   int64
	}{{"log", t.Physic}, {"queues", t.Logics}, {"index", t.Index}} {
		if i > 0 && v.d.aborted && c.ms >= 0 { // views may be durable before the log is; the next start sees to that
			continue
		}
		if c.ms > v.last || c.ms < 0 {
			list = append(list, Finding{Level: Damage, Kind: KindCheckpoint, File: v.d.o.Dir + "/checkpoint", Offset: int64(8 * i), Length: 8,
				Text: fmt.Sprintf("claims %d (%s) for the %s, the last record was stored at %d (%s)", c.ms, Time(c.ms), c.name, v.last, Time(v.last))})
		}
	}
	return list
}

// Time is a time in ms since 1970 for people, in UTC.
func Time(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z") }

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package javacheck

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire/body"
)

// Answer is what producers say to a check.
type Answer uint8

const (
	Commit Answer = iota // the answer to each check is COMMIT
	Silent               // nobody answers
)

// Options are the Java broker's settings and its clock. Zero durations and counts
// take its defaults, given in brackets.
type Options struct {
	NowMillis          int64         // when the first round begins, ms since 1970 [an Interval after the log's latest record]
	TransactionTimeout time.Duration // (transactionTimeOut) [6 s]
	CheckMax           int           // (transactionCheckMax) [15]
	ReservedTime       time.Duration // (fileReservedTime) [72 h]
	Interval           time.Duration // (transactionCheckInterval) [30 s]
	Answer             Answer
}

func (o Options) withDefaults(last int64) Options {
	duration := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	duration(&o.TransactionTimeout, 6*time.Second)
	duration(&o.ReservedTime, 72*time.Hour)
	duration(&o.Interval, 30*time.Second)
	if o.CheckMax <= 0 {
		o.CheckMax = 15
	}
	if o.NowMillis == 0 {
		o.NowMillis = last + o.Interval.Milliseconds()
	}
	return o
}

// Run plays the check rounds of a Java broker on the store directory dir until
// they settle. It only reads: fsys may be nil for the machine's file system. An
// error names the file and what is wrong with it; it says nothing about
// transactions.
func Run(fsys vfs.FS, dir string, o Options) (*Report, error) {
	if fsys == nil {
		fsys = vfs.OS()
	}
	log, err := readLog(fsys, filepath.Join(dir, "commitlog"))
	if err != nil {
		return nil, err
	}
	for _, r := range log.records {
		if strings.HasPrefix(r.topic, halfTopic+"/") {
			return nil, fmt.Errorf("javacheck: the half message at log offset %d is in queue %s; only queue 0 is known", r.physical, r.topic)
		}
	}
	l := &loop{Options: o.withDefaults(log.last), physical: log.end, fates: &fates{byHalf: map[*record]*fate{}}}
	if l.half, err = newQueue(halfTopic, log.records, log.fileSize); err != nil {
		return nil, err
	}
	if l.op, err = newQueue(opTopic, log.records, log.fileSize); err != nil {
		return nil, err
	}
	if err := l.begin(fsys, filepath.Join(dir, "config", "consumerOffset.json")); err != nil {
		return nil, err
	}
	ts := gather(log.records)
	r := &Report{HalfOffset: l.halfOffset, OpOffset: l.opOffset, LogEnd: log.end}
	if err := l.settle(r); err != nil {
		return nil, err
	}
	r.HalfEnd, r.OpEnd = l.halfOffset, l.opOffset
	r.fill(ts, l.fates)
	return r, nil
}

// begin reads the consumer offsets. A queue without one begins at its first
// record.
func (l *loop) begin(fsys vfs.FS, name string) error {
	l.halfOffset, l.opOffset = l.half.min, l.op.min
	data, _, err := vfs.ReadConfigFile(fsys, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("javacheck: %w", err)
	}
	var w body.ConsumerOffsetSerializeWrapper
	if err := body.Unmarshal(data, &w); err != nil {
		return fmt.Errorf("javacheck: %s: %w", name, err)
	}
	for topic, offset := range map[string]*int64{halfTopic: &l.halfOffset, opTopic: &l.opOffset} {
		if v, ok := w.OffsetTable[topic+"@"+checkGroup][0]; ok && v >= 0 {
			*offset = v
		}
	}
	return nil
}

// settle runs rounds until one does nothing and none waits for its time.
func (l *loop) settle(r *Report) error {
	l.now = l.NowMillis
	step := max(l.Interval, l.TransactionTimeout+time.Millisecond).Milliseconds()
	// A message waits one round at most, is then put back CheckMax times at most,
	// and its last copy is resolved or discarded.
	for limit := l.CheckMax + 8; r.Rounds < limit; r.Rounds++ {
		half, op := l.halfOffset, l.opOffset
		l.round()
		if !l.acted && l.halfOffset == half && l.opOffset == op && l.halfOffset >= l.half.max() {
			return nil
		}
		l.now += step
	}
	return fmt.Errorf("javacheck: the check loop has not settled after %d rounds; it stands at half offset %d of %d", r.Rounds, l.halfOffset, l.half.max())
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package javacheck

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/message"
)

const (
	halfTopic   = "RMQ_SYS_TRANS_HALF_TOPIC"
	opTopic     = "RMQ_SYS_TRANS_OP_HALF_TOPIC"
	parkedTopic = "TRANS_CHECK_MAX_TIME_TOPIC"
	checkGroup  = "CID_RMQ_SYS_TRANS"
	opTag       = "d"
	nameLen     = 20      // digits of a log file's name
	window      = 1 << 20 // bytes a read
)

// record is what the model needs of a stored record. Texts that a record may lack
// are nil then, as Java's are null.
type record struct {
	topic                 string
	queueOffset, physical int64
	born, stored          int64 // ms since 1970
	bornHost              string
	committed             bool
	prepared              int64  // of a committed record
	body, tags            string // of an op record

	key, group, realTopic             string
	checkTimes, immunity, prepareFrom *string

	root *record // what this copy of the model's was first made of, nil when it is in the log
	tx   *transaction
}

// original is the record in the log.
func (r *record) original() *record {
	if r.root != nil {
		return r.root
	}
	return r
}

// contents is what a log holds of transactions.
type contents struct {
	records  []*record // in log order: half, op, parked and committed ones
	end      int64
	fileSize int64
	last     int64 // the latest store timestamp
}

// readLog reads the log in dir up to the first position that holds no record.
func readLog(fsys vfs.FS, dir string) (*contents, error) {
	names, err := fsys.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("javacheck: %w (a store directory holds commitlog/)", err)
	}
	c := &contents{end: -1}
	for _, name := range names {
		start, err := strconv.ParseInt(name, 10, 64)
		if err != nil || len(name) != nameLen {
			continue // no log file
		}
		if c.end >= 0 && start != c.end {
			break // the file before ends early: the log ends there
		}
		full, err := c.readFile(fsys, filepath.Join(dir, name), start)
		if err != nil {
			return nil, fmt.Errorf("javacheck: %w", err)
		}
		if !full {
			break
		}
	}
	c.end = max(c.end, 0)
	return c, nil
}

// readFile reads one file; full says that the log goes on in the next.
func (c *contents) readFile(fsys vfs.FS, name string, start int64) (full bool, err error) {
	f, err := fsys.OpenFile(name, os.O_RDONLY)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	size, err := f.Size()
	if err != nil {
		return false, err
	}
	if c.end < 0 {
		c.fileSize = size
	}
	buf := make([]byte, window)
	r, w, off := 0, 0, int64(0) // buf[r:w] is not looked at yet; buf[0] is the file's byte off
	c.end = start
	for {
		var rec message.Record
		n, err := message.DecodeRecord(buf[r:w], &rec, true)
		switch {
		case err == nil && rec.PhysicalOffset == c.end:
			c.add(&rec)
			c.end += int64(n)
			r += n
		case errors.Is(err, message.ErrBlank):
			c.end = start + size
			return true, nil
		case errors.Is(err, message.ErrShort) && off+int64(w) < size:
			off += int64(r)
			w = copy(buf, buf[r:w])
			r = 0
			if w == len(buf) {
				buf = append(buf, make([]byte, len(buf))...)
			}
			m, err := f.ReadAt(buf[w:], off+int64(w))
			if err != nil && err != io.EOF {
				return false, err
			}
			w += m
		default:
			return c.end == start+size, nil
		}
	}
}

func (c *contents) add(r *message.Record) {
	c.last = max(c.last, r.StoreTimestamp)
	topic := string(r.Topic)
	committed := r.SysFlag&message.TransactionMask == message.TransactionCommit
	if topic != halfTopic && topic != opTopic && topic != parkedTopic && !committed {
		return
	}
	p := message.ParseProperties(r.Properties)
	text := func(name string) *string {
		if v, ok := p[name]; ok {
			return &v
		}
		return nil
	}
	x := &record{
		topic: topic, queueOffset: r.QueueOffset, physical: r.PhysicalOffset,
		born: r.BornTimestamp, stored: r.StoreTimestamp, bornHost: r.BornHost.String(),
		committed: committed, prepared: r.PreparedOffset, tags: p[message.PropertyTags],
		key: p[message.PropertyUniqueKey], group: p[message.PropertyProducerGroup], realTopic: p[message.PropertyRealTopic],
		checkTimes:  text(message.PropertyTransactionCheckTimes),
		immunity:    text(message.PropertyCheckImmunityInSeconds),
		prepareFrom: text(message.PropertyPreparedQueueOffset),
	}
	if topic == opTopic {
		x.body = string(r.Body)
	}
	if topic == halfTopic && r.QueueID != 0 {
		x.topic += "/" + strconv.Itoa(int(r.QueueID)) // Run refuses it
	}
	c.records = append(c.records, x)
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package fsck

import (
	"github.com/twostage/twostage/message"
)

// Record is a record of the log, or what stands in its place. Times are ms since
// 1970, offsets bytes in the log unless they say otherwise.
type Record struct {
	What       string `json:"what"` // record, odd, damaged or blank
	Offset     int64  `json:"offset"`
	Size       int64  `json:"size"` // bytes; of a blank to the end of the file
	File       string `json:"file"`
	FileOffset int64  `json:"fileOffset"`
	Why        string `json:"why,omitempty"` // it is odd or damaged

	*Fields // nil when it is damaged or blank
}

// Fields are those of a record.
type Fields struct {
	Version        int         `json:"version"` // 1, or 2 for topics longer than 127 bytes
	Topic          string      `json:"topic"`
	Queue          int32       `json:"queue"`
	QueueOffset    int64       `json:"queueOffset"`
	Flag           int32       `json:"flag"`
	SysFlag        int32       `json:"sysFlag"`
	SysFlags       []string    `json:"sysFlags"`
	BornTime       int64       `json:"bornTime"`
	BornHost       string      `json:"bornHost"`
	StoreTime      int64       `json:"storeTime"`
	StoreHost      string      `json:"storeHost"`
	ReconsumeTimes int32       `json:"reconsumeTimes"`
	PreparedOffset int64       `json:"preparedOffset"`
	BodyCRC        uint32      `json:"bodyCRC"`
	BodySize       int         `json:"bodySize"`
	Properties     [][2]string `json:"properties"` // in their order; a name may be there twice
	Body           []byte      `json:"-"`          // as stored, perhaps compressed; valid during the call
	Op             *Op         `json:"op,omitempty"`
}

// Op is what an op record says.
type Op struct {
	Halves  []int64 `json:"halves"`          // half queue offsets
	Outcome string  `json:"outcome"`         // committed, rolled back, discarded, or decided by who does not say how
	Record  int64   `json:"record"`          // log offset of the committed record or the parked copy; -1 not said
	Last    int64   `json:"last"`            // half queue offset of the last half message that the outcome is for
	Error   string  `json:"error,omitempty"` // the body cannot be read
}

// sysFlags are the names of the bits.
func sysFlags(f message.SysFlag) []string {
	names := []string{}
	add := func(bit message.SysFlag, name string) {
		if f.Has(bit) {
			names = append(names, name)
		}
	}
	if f.Has(message.FlagCompressed) {
		names = append(names, f.Compression().String())
	}
	add(message.FlagMultiTags, "multi-tags")
	switch f.Transaction() {
	case message.TransactionPrepared:
		names = append(names, "prepared")
	case message.TransactionCommit:
		names = append(names, "commit")
	case message.TransactionRollback:
		names = append(names, "rollback")
	}
	add(message.FlagBornHostV6, "born-v6")
	add(message.FlagStoreHostV6, "store-v6")
	add(message.FlagNeedUnwrap, "need-unwrap")
	add(message.FlagInnerBatch, "inner-batch")
	return names
}

func newRecord(s *step) *Record {
	r := &Record{Offset: s.from, Size: s.to - s.from, File: s.path, FileOffset: s.fileOffset, Why: s.why}
	switch s.kind {
	case isBlank:
		r.What = "blank"
		return r
	case isDamaged:
		r.What = "damaged"
		return r
	case isOdd:
		r.What = "odd"
	default:
		r.What = "record"
	}
	rec := s.rec
	f := &Fields{
		Version: 1, Topic: string(rec.Topic), Queue: rec.QueueID, QueueOffset: rec.QueueOffset, Flag: rec.Flag,
		SysFlag: int32(rec.SysFlag), SysFlags: sysFlags(rec.SysFlag), BornTime: rec.BornTimestamp, BornHost: rec.BornHost.String(),
		StoreTime: rec.StoreTimestamp, StoreHost: rec.StoreHost.String(), ReconsumeTimes: rec.ReconsumeTimes,
		PreparedOffset: rec.PreparedOffset, BodyCRC: rec.BodyCRC, BodySize: len(rec.Body), Body: rec.Body, Properties: [][2]string{},
	}
	if rec.Magic == message.MagicV2 {
		f.Version = 2
	}
	message.RangeProperties(rec.Properties, func(name, value []byte) bool {
		f.Properties = append(f.Properties, [2]string{string(name), string(value)})
		return true
	})
	if f.Topic == message.TopicOpHalf {
		f.Op = newOp(rec)
	}
	r.Fields = f
	return r
}

func newOp(rec *message.Record) *Op {
	op := &Op{Outcome: opKinds[rec.Flag&opKindMask].String(), Record: -1, Last: rec.PreparedOffset}
	var err error
	if op.Halves, err = opHalves(rec.Body); err != nil {
		op.Halves, op.Error = []int64{}, err.Error()
	}
	if distance := int64(rec.Flag >> opDistanceShift); distance > 0 {
		op.Record = rec.PhysicalOffset - distance
	}
	return op
}

// QueueEntry is an entry of a queue.
type QueueEntry struct {
	What       string `json:"what"` // entry, blank or invalid
	Topic      string `json:"topic"`
	Queue      int32  `json:"queue"`
	Offset     int64  `json:"offset"` // in the queue
	LogOffset  int64  `json:"logOffset"`
	Size       int32  `json:"size"` // bytes
	Tags       int64  `json:"tagsCode"`
	File       string `json:"file"`
	FileOffset int64  `json:"fileOffset"`
}

// IndexFile is the header of a file of the index.
type IndexFile struct {
	What        string `json:"what"` // header
	File        string `json:"file"`
	Bytes       int64  `json:"bytes"`
	BeginTime   int64  `json:"beginTime"` // ms since 1970
	EndTime     int64  `json:"endTime"`
	BeginOffset int64  `json:"beginOffset"` // log offsets
	EndOffset   int64  `json:"endOffset"`
	UsedSlots   int32  `json:"usedSlots"`
	Next        int32  `json:"next"` // number of the next entry, the first is 1
}

// IndexEntry is one key of one record.
type IndexEntry struct {
	What      string `json:"what"` // entry
	File      string `json:"file"`
	Entry     int32  `json:"entry"`
	Hash      int32  `json:"hash"`
	Slot      int    `json:"slot"`
	LogOffset int64  `json:"logOffset"`
	Time      int64  `json:"time"` // ms since 1970, to the second below
	Previous  int32  `json:"previous"`
}

// Checkpoint is what the checkpoint claims, ms since 1970.
type Checkpoint struct {
	What   string `json:"what"` // checkpoint
	File   string `json:"file"`
	Log    int64  `json:"log"`
	Queues int64  `json:"queues"`
	Index  int64  `json:"index"`
	Abort  bool   `json:"abort"` // the last run did not end in order, or somebody runs
}

// TransactionMark says how far the states of half messages are right.
type TransactionMark struct {
	What string `json:"what"` // mark
	File string `json:"file"`
	Half int64  `json:"half"` // half queue offset: every word below it is final
	Op   int64  `json:"op"`   // op queue offset: what the op records below it say is in the words
	Log  int64  `json:"log"`  // log offset up to which the log was on the disk then
	Last int64  `json:"last"` // log offset of the last op record below Op, -1 none
}

// TransactionWord is the state of a half message.
type TransactionWord struct {
	What       string `json:"what"` // state, or damaged
	Half       int64  `json:"half"` // half queue offset
	State      string `json:"state"`
	Checks     int32  `json:"checks,omitempty"`
	CheckedAt  int64  `json:"checkedAt,omitempty"` // ms since 1970
	Op         int64  `json:"op,omitempty"`        // log offset of the op record
	ResumedAs  int64  `json:"resumedAs,omitempty"` // half queue offset
	File       string `json:"file"`
	FileOffset int64  `json:"fileOffset"`
}

// DeletedTopic says that records of a topic below a log offset have no queue.
type DeletedTopic struct {
	What  string `json:"what"` // deleted
	Topic string `json:"topic"`
	Below int64  `json:"below"`
}

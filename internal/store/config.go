// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/twostage/twostage/internal/store/commitlog"
	"github.com/twostage/twostage/internal/store/retention"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/message"
)

// Config of a store. Zero values mean RocketMQ's defaults, given in brackets by
// their key; Dir is required.
type Config struct {
	Dir       string // the store directory (storePathRootDir)
	CommitLog string // directory of the log (storePathCommitLog) [Dir/commitlog]
	FS        vfs.FS // [the machine's]

	NowMillis func() int64 // wall clock for store timestamps, ms since 1970 [the machine's]

	CommitLogFileSize    int64 // bytes (mappedFileSizeCommitLog) [1 GiB]
	ConsumeQueueFileSize int64 // bytes, a multiple of 20 (mappedFileSizeConsumeQueue) [6,000,000]
	IndexSlots           int   // (maxHashSlotNum) [5,000,000]
	IndexEntries         int   // (maxIndexNum) [20,000,000]
	MaxMessageSize       int   // greatest body, bytes (maxMessageSize) [4 MiB]; a record may have 64 KiB more

	SyncFlush             bool          // flushDiskType=SYNC_FLUSH
	FlushInterval         time.Duration // (flushIntervalCommitLog) [500 ms]
	FlushLeastPages       int           // of 4 KiB; fewer wait for the thorough interval (flushCommitLogLeastPages) [4]
	FlushThoroughInterval time.Duration // (flushCommitLogThoroughInterval) [10 s]
	ViewFlushInterval     time.Duration // queues, index and checkpoint are made durable this often [10 s]

	DelayLevels []int64 // ms; DelayLevels[0] is level 1 (messageDelayLevel). Needed to compute the tags code of SCHEDULE_TOPIC_XXXX.

	ColdDistance int64 // a record further behind the end of the log than this is read as from disk: Get then keeps to ColdBytes and ColdCount; 0: never
	ColdBytes    int   // (maxTransferBytesOnMessageInDisk) [64 KiB]
	ColdCount    int   // (maxTransferCountOnMessageInDisk) [8]

	// CheckReads says which records Get, Query and Record compare with their CRC
	// before they hand them out [CheckCold].
	CheckReads ReadCheck

	PropertyCRC bool // records end with a CRC over all of them (enabledAppendPropCRC)

	MaxBacklog    int // bytes of dispatch entries that may wait before Append does [64 MiB]
	MaxOpenLogs   int // log files open and mapped at once [1024]
	MaxOpenQueues int // queue files open at once [1024]
	SyncAllFrom   int // changed queues from which on a flush of the views syncs the whole file system, not each file; below 0: never [64]

	// Retention says what is deleted, and when the disk counts as full. nil:
	// nothing is ever deleted or refused.
	Retention         *retention.Policy
	RetentionInterval time.Duration           // between rounds (cleanResourceInterval) [10 s]
	DiskUsed          func() (float64, error) // how full the disk is, 0 to 1 [of those with log and queues, the fullest]

	// BeforeDelete, when set, is called before log files go, on the goroutine of
	// Retain: the records from d.From up to d.End are about to be deleted, and can
	// still be read. It may append, best with Batch.Vital, and Flush; all that it
	// has appended is durable before a file goes. An error postpones the deletion:
	// it is called again for it in the next round, as after a crash. It must not
	// call Retain or Close.
	BeforeDelete func(d Deletion) error

	Logger *slog.Logger // [none]

	// OnArrive, when set, is called for each new queue entry once Get can see
	// it, in order and never twice at a time, on the goroutine of an Append before
	// that returns, or on one of the store's. props is valid during the call. It
	// must be quick, take no lock that is held over an Append, and call nothing of
	// the store but the methods of q. A panic makes the store read-only.
	OnArrive func(q *Queue, offset, tagsCode, storeTimestamp int64, props []byte)

	// OnReplay, when set, is called during Open for each record that recovery
	// reads again, in log order; it is valid during the call. After a crash
	// ReplayDone must follow.
	OnReplay func(*message.Record)

	// OnDamage, when set, is called during Open for each damaged range that
	// recovery has skipped.
	OnDamage func(commitlog.Damage)

	// OnDamagedRead, when set, is called once for each record that a read finds
	// damaged, the first few thousand of them, on the goroutine of the reader. It
	// must be quick and must not read.
	OnDamagedRead func(DamagedRead)
}

// recordOverhead is how much larger than MaxMessageSize a record may be, as in
// RocketMQ.
const recordOverhead = 64 << 10

func (c *Config) complete() error {
	if c.Dir == "" {
		return fmt.Errorf("store: no directory given")
	}
	fill := func(v *int, to int) {
		if *v == 0 {
			*v = to
		}
	}
	fill64 := func(v *int64, to int64) {
		if *v == 0 {
			*v = to
		}
	}
	fillTime := func(v *time.Duration, to time.Duration) {
		if *v == 0 {
			*v = to
		}
	}
	if c.CommitLog == "" {
		c.CommitLog = c.Dir + "/commitlog"
	}
	if c.FS == nil {
		c.FS = vfs.OS()
	}
	if c.NowMillis == nil {
		c.NowMillis = func() int64 { return time.Now().UnixMilli() }
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	fill64(&c.CommitLogFileSize, 1<<30)
	fill64(&c.ConsumeQueueFileSize, 6_000_000)
	fill(&c.IndexSlots, 5_000_000)
	fill(&c.IndexEntries, 20_000_000)
	fill(&c.MaxMessageSize, 4<<20)
	fillTime(&c.FlushInterval, 500*time.Millisecond)
	fill(&c.FlushLeastPages, 4)
	fillTime(&c.FlushThoroughInterval, 10*time.Second)
	fillTime(&c.ViewFlushInterval, 10*time.Second)
	fillTime(&c.RetentionInterval, 10*time.Second)
	if c.DiskUsed == nil {
		c.DiskUsed = c.diskUsed
	}
	fill(&c.ColdBytes, 64<<10)
	fill(&c.ColdCount, 8)
	fill(&c.MaxBacklog, 64<<20)
	fill(&c.MaxOpenLogs, 1024)
	fill(&c.MaxOpenQueues, 1024)
	for name, v := range map[string]int64{
		"MaxMessageSize": int64(c.MaxMessageSize), "FlushInterval": int64(c.FlushInterval), "FlushLeastPages": int64(c.FlushLeastPages),
		"FlushThoroughInterval": int64(c.FlushThoroughInterval), "ViewFlushInterval": int64(c.ViewFlushInterval),
		"RetentionInterval": int64(c.RetentionInterval),
		"IndexSlots":        int64(c.IndexSlots), "IndexEntries": int64(c.IndexEntries), "MaxBacklog": int64(c.MaxBacklog),
	} {
		if v < 0 {
			return fmt.Errorf("store: %s is %d, must be positive", name, v)
		}
	}
	if c.ConsumeQueueFileSize < entrySize || c.ConsumeQueueFileSize%entrySize != 0 {
		return fmt.Errorf("store: ConsumeQueueFileSize is %d, must be a multiple of %d", c.ConsumeQueueFileSize, entrySize)
	}
	if c.Retention != nil {
		if err := c.Retention.Check(); err != nil {
			return fmt.Errorf("store: %w", err)
		}
		p := *c.Retention
		c.Retention = &p
	}
	if int64(c.MaxMessageSize) > commitlog.MaxRecordSize-recordOverhead {
		return fmt.Errorf("store: MaxMessageSize is %d, at most %d is possible", c.MaxMessageSize, commitlog.MaxRecordSize-recordOverhead)
	}
	return nil
}

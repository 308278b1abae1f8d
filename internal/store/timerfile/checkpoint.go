// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package timerfile

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"path/filepath"

	"github.com/twostage/twostage/internal/vfs"
)

const (
	checkpointPage = 4096
	javaCheckpoint = 56
	checkpointSize = 152
	extensionMagic = 0x54535431 // TST1
)

// Checkpoint says how far timers are.
//
//	 0  int64  all slots before this time (ms) have been delivered
//	 8  int64  position behind the last unit of the timerlog
//	16  int64  first entry of rmq_sys_wheel_timer that is not in the wheel
//	24  int64  the same of the master
//	32  int64  data version: state version
//	40  int64  data version: when it was written, ms
//	48  int64  data version: how often it has changed
//
// The file is a page of 4096 bytes, of which RocketMQ uses those 56. Behind them:
//
//	56  int32  0x54535431 ("TST1")
//	60  int32  CRC-32 of bytes 0 to 55 and 64 to 151
//	64  int64  log offset: what was delivered of later slots stands behind it
//	72  int64  how far the time of the wheel is ahead of the wall clock, ms
//	80  int64  ms of a slot
//	88  int64  position of the last recall of the timerlog + 1, 0 for none
//	96  int64  least by which the wall clock was ahead of the wheel's time, ms
//	104 int64  most by which it was
//	112 int64  latest time of delivery (ms) that may have come, by the wall clock as it
//	           is or was set; 0: not known
//	120 int64  position of the last unit of the slot of the first field + 1; 0: it is
//	           that of the wheel
//	128 int64  all slots before this time (ms) have been delivered by RocketMQ, of the
//	136 int64  entries before this one; 0: it has never used the directory
//	144 int32  1: the wheel is being built again, and of the other fields only 96,
//	           104, 112, 128 and 136 say anything
//	148 int32  0
//
// The CRC does not match any more when RocketMQ has written its part: what is
// behind says nothing then (Own is false).
//
// Source: TimerCheckpoint of Apache RocketMQ 5.3.3.
type Checkpoint struct {
	Read        int64
	LogEnd      int64
	QueueOffset int64
	Master      int64
	State       int64
	Timestamp   int64
	Counter     int64

	Own           bool // what follows is known
	LogOffset     int64
	Ahead         int64
	Precision     int64
	LastRecall    int64
	Least, Utmost int64
	Latest        int64

	Chain       int64
	ForeignRead int64
	ForeignPut  int64
	Building    bool
}

// Encode returns the page of c, with Own.
func (c *Checkpoint) Encode() []byte {
	b := make([]byte, checkpointPage)
	for i, v := range []int64{c.Read, c.LogEnd, c.QueueOffset, c.Master, c.State, c.Timestamp, c.Counter} {
		be.PutUint64(b[8*i:], uint64(v))
	}
	be.PutUint32(b[56:], extensionMagic)
	for i, v := range []int64{c.LogOffset, c.Ahead, c.Precision, c.LastRecall, c.Least, c.Utmost, c.Latest, c.Chain, c.ForeignRead, c.ForeignPut} {
		be.PutUint64(b[64+8*i:], uint64(v))
	}
	if c.Building {
		be.PutUint32(b[144:], 1)
	}
	be.PutUint32(b[60:], checkpointSum(b))
	return b
}

func checkpointSum(b []byte) uint32 {
	return crc32.Update(crc32.ChecksumIEEE(b[:javaCheckpoint]), crc32.IEEETable, b[64:checkpointSize])
}

// DecodeCheckpoint reads what Encode or RocketMQ wrote. Errors are ErrDamaged.
func DecodeCheckpoint(b []byte) (Checkpoint, error) {
	if len(b) < javaCheckpoint {
		return Checkpoint{}, fmt.Errorf("%d bytes, not %d: %w", len(b), javaCheckpoint, ErrDamaged)
	}
	at := func(i int) int64 { return int64(be.Uint64(b[i:])) }
	c := Checkpoint{Read: at(0), LogEnd: at(8), QueueOffset: at(16), Master: at(24), State: at(32), Timestamp: at(40), Counter: at(48)}
	if c.Read < 0 || c.LogEnd < 0 || c.QueueOffset < 0 {
		return Checkpoint{}, fmt.Errorf("negative positions: %d, %d, %d: %w", c.Read, c.LogEnd, c.QueueOffset, ErrDamaged)
	}
	if len(b) >= checkpointSize && be.Uint32(b[56:]) == extensionMagic && be.Uint32(b[60:]) == checkpointSum(b) && at(64) >= 0 {
		c.Own, c.LogOffset, c.Ahead, c.Precision, c.LastRecall, c.Least, c.Utmost, c.Latest = true, at(64), at(72), at(80), at(88), at(96), at(104), at(112)
		c.Chain, c.ForeignRead, c.ForeignPut, c.Building = at(120), at(128), at(136), be.Uint32(b[144:]) == 1
	}
	return c, nil
}

// checkpointName is below the store directory, where RocketMQ has it.
const checkpointName = "config/timercheck"

// ReadCheckpoint reads the checkpoint below dir, or the one before it where a
// replacement was cut short. ok is false when there is none. Errors are
// ErrDamaged or those of the disk.
func ReadCheckpoint(fsys vfs.FS, dir string) (c Checkpoint, ok bool, err error) {
	name := filepath.Join(dir, checkpointName)
	b, _, err := vfs.ReadConfigFile(fsys, name)
	if errors.Is(err, fs.ErrNotExist) {
		return Checkpoint{}, false, nil
	}
	if err == nil {
		c, err = DecodeCheckpoint(b)
	}
	if err != nil {
		return Checkpoint{}, false, fmt.Errorf("%s: %w", name, err)
	}
	return c, true, nil
}

// WriteCheckpoint replaces the checkpoint below dir, durably and in one step. The
// directory config must exist.
func WriteCheckpoint(fsys vfs.FS, dir string, c *Checkpoint) error {
	return vfs.ReplaceFile(fsys, filepath.Join(dir, checkpointName), c.Encode())
}

// RemoveView takes away the wheel and the log of units. The checkpoint stays.
func RemoveView(fsys vfs.FS, dir string) error {
	for _, name := range []string{"timerwheel", logDir} {
		if err := fsys.RemoveAll(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return fsys.SyncDir(dir)
}

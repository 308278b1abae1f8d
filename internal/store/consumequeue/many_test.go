// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package consumequeue_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/twostage/twostage/internal/store/consumequeue"
	"github.com/twostage/twostage/internal/vfs"
)

// counter counts the operations of a Mem by kind, and fails some.
type counter struct {
	mu   sync.Mutex
	ops  map[vfs.Op]int
	fail func(op vfs.Op, name string) error
}

func count(m *vfs.Mem) *counter {
	c := &counter{ops: map[vfs.Op]int{}}
	m.Fail(func(op vfs.Op, name string) error {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.ops[op]++
		if c.fail != nil {
			return c.fail(op, name)
		}
		return nil
	})
	return c
}

func (c *counter) set(fail func(vfs.Op, string) error) (ops map[vfs.Op]int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	ops, c.ops, c.fail = c.ops, map[vfs.Op]int{}, fail
	return ops
}

// manyQueues puts n records into each of 200 queues of 25 topics.
func manyQueues(t *testing.T, s *consumequeue.Set, from, to int64) {
	t.Helper()
	for i := range int32(200) {
		appendRecords(t, s.Queue(fmt.Sprintf("T%d", i/8), i%8), from, to)
	}
}

func wantMany(t *testing.T, fs vfs.FS, to int64) {
	t.Helper()
	s := open(t, fs, 2000)
	for i := range int32(200) {
		q := s.Queue(fmt.Sprintf("T%d", i/8), i%8)
		wantRange(t, q, 0, to)
		wantRecords(t, q, 0, to)
	}
	must(t, s.Close())
}

// Many queues become durable, with their names, by one operation.
func TestFlushOfManySyncsOnce(t *testing.T) {
	m := newMem(t)
	files := &countingFS{FS: m}
	s := open(t, files, 2000)
	c := count(m)
	for round := range int64(3) {
		manyQueues(t, s, 30*round, 30*round+30)
		must(t, s.Flush())
		ops := c.set(nil)
		if ops[vfs.OpSyncAll] != 1 || ops[vfs.OpSync]+ops[vfs.OpSyncDir] != 0 {
			t.Fatalf("round %d: %v", round, ops)
		}
	}
	if most := files.most.Load(); most > 2+8 {
		t.Errorf("%d files were open at once", most)
	}
	appendRecords(t, s.Queue("T3", 3), 90, 91)
	must(t, s.Flush())
	if ops := c.set(nil); ops[vfs.OpSyncAll] != 0 || ops[vfs.OpSync] != 1 {
		t.Errorf("one queue: %v", ops)
	}
	must(t, s.Queue("T3", 3).TruncatePhysical(90*100))
	must(t, s.Flush())
	m.Fail(nil)
	wantMany(t, m.Crash(vfs.CrashOptions{}), 90)
	must(t, s.Close())
}

// After a failed sync of all nothing more is claimed.
func TestFailedSyncAllIsFinal(t *testing.T) {
	m := newMem(t)
	s := open(t, m, 2000)
	manyQueues(t, s, 0, 5)
	c := count(m)
	c.set(func(op vfs.Op, _ string) error {
		if op == vfs.OpSyncAll {
			return syscall.EIO
		}
		return nil
	})
	wantErr(t, s.Flush(), syscall.EIO)
	wantErr(t, s.Flush(), consumequeue.ErrSync)
	c.set(nil)
	wantErr(t, s.Flush(), syscall.EIO)
	wantErr(t, s.Close(), syscall.EIO)
}

// A queue that could not be written stays behind, and only it.
func TestFlushOfManyWithoutOne(t *testing.T) {
	m := newMem(t)
	s := open(t, m, 2000)
	manyQueues(t, s, 0, 5)
	c := count(m)
	c.set(func(op vfs.Op, name string) error {
		if op == vfs.OpWrite && strings.Contains(name, "/T7/7/") {
			return syscall.ENOSPC
		}
		return nil
	})
	err := s.Flush()
	wantErr(t, err, syscall.ENOSPC)
	if errors.Is(err, consumequeue.ErrSync) {
		t.Fatalf("%v ends all flushing", err)
	}
	if ops := c.set(nil); ops[vfs.OpSyncAll] != 1 {
		t.Errorf("%v", ops)
	}
	wantRecords(t, s.Queue("T7", 7), 0, 5)
	must(t, s.Flush())
	if ops := c.set(nil); ops[vfs.OpSyncAll] != 0 || ops[vfs.OpWrite] != 1 {
		t.Errorf("again: %v", ops)
	}
	m.Fail(nil)
	wantMany(t, m.Crash(vfs.CrashOptions{}), 5)
	must(t, s.Close())
}

// unsyncable is a file system that cannot be synced as a whole.
type unsyncable struct{ *vfs.Mem }

func (unsyncable) Syncer(dir string) (vfs.Syncer, error) {
	return nil, &os.PathError{Op: "syncfs", Path: dir, Err: errors.ErrUnsupported}
}

func TestFlushOfManyWithoutSyncAll(t *testing.T) {
	m := newMem(t)
	s := open(t, unsyncable{m}, 2000)
	manyQueues(t, s, 0, 5)
	c := count(m)
	must(t, s.Flush())
	if ops := c.set(nil); ops[vfs.OpSync] != 200 {
		t.Errorf("%v", ops)
	}
	m.Fail(nil)
	wantMany(t, m.Crash(vfs.CrashOptions{}), 5)
	must(t, s.Close())
}

// What Open finds in a short file is what its bytes say, and behind it nothing
// is left after anything but a clean stop.
func TestOpenShortFiles(t *testing.T) {
	const fileSize = 20_000
	name := dir + "/T/0/00000000000000000000"
	for seed := range uint64(500) {
		rng := rand.New(rand.NewPCG(seed, 5))
		file := make([]byte, fileSize)
		put := func(i int, e entry) {
			b := binary.BigEndian.AppendUint64(file[:20*i], uint64(e.Offset))
			b = binary.BigEndian.AppendUint32(b, uint32(e.Size))
			binary.BigEndian.AppendUint64(b, uint64(e.Tags))
		}
		front := rng.IntN(10) * rng.IntN(2)
		low, high, last := -1, []int{0, 1, 50, 203, 204, 205, 300}[rng.IntN(7)], int64(-1)
		for i := range high {
			switch {
			case i < front || rng.IntN(20) == 0:
				put(i, entry{Size: math.MaxInt32})
				continue
			case low < 0:
				low = i
			}
			put(i, record(int64(i)))
			last = int64(i+1) * 100
		}
		if low < 0 {
			low = high
		}
		clean := rng.IntN(2) == 0
		if rest := high + 1 + rng.IntN(900); !clean && rng.IntN(2) == 0 && rest < fileSize/20 {
			put(rest, record(1)) // behind a hole
		}
		m := newMem(t)
		must(t, m.MkdirAll(dir+"/T/0"))
		must(t, vfs.WriteFile(m, name, file))
		s, err := consumequeue.Open(consumequeue.Options{FS: m, Dir: dir, FileSize: fileSize, Clean: clean})
		must(t, err)
		q := s.Queue("T", 0)
		wantRange(t, q, int64(low), int64(high))
		if q.MaxPhysical() != last {
			t.Fatalf("seed %d: the last record ends at %d, want %d", seed, q.MaxPhysical(), last)
		}
		must(t, q.Append(int64(high), record(1000)))
		wantRange(t, q, int64(low), int64(high+1))
		must(t, s.Close())
		left, err := vfs.ReadFile(m, name)
		must(t, err)
		for i, v := range left[20*(high+1):] {
			if v != 0 {
				t.Fatalf("seed %d: byte %d behind the end is %d", seed, i, v)
			}
		}
	}
}

// TruncatePhysical of a Set is that of each of its queues.
func TestTruncateSet(t *testing.T) {
	for _, all := range []bool{true, false} {
		m := newMem(t)
		s := open(t, m, 2000)
		manyQueues(t, s, 0, 150)
		must(t, s.Flush())
		manyQueues(t, s, 150, 170) // in the tails
		must(t, s.TruncatePhysical(12_345, all))
		must(t, s.TruncatePhysical(12_345, all))
		must(t, s.Close())
		wantMany(t, m, 123)
	}
}

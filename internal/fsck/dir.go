// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package fsck

import (
	"errors"
	"fmt"
	"io/fs"
	"math"

	"github.com/twostage/twostage/internal/store/checkpoint"
	"github.com/twostage/twostage/internal/store/consumequeue"
	"github.com/twostage/twostage/internal/store/index"
	"github.com/twostage/twostage/internal/vfs"
)

// ErrNoStore is wrapped by what Open returns for a directory that is no store.
var ErrNoStore = errors.New("there is no store")

// Options of a Dir.
type Options struct {
	FS        vfs.FS // [the machine's]
	Dir       string // the store directory (storePathRootDir)
	CommitLog string // directory of the log (storePathCommitLog) [Dir/commitlog]

	// Bytes of a file; 0: as most files of the kind have.
	LogFileSize, QueueFileSize int64

	// Of an index file; 0: RocketMQ's 5,000,000 and 20,000,000. The files do not
	// say which they were written with.
	IndexSlots, IndexEntries int

	// DelayLevels are those of the broker, ms, level 1 first. Without them the time
	// of delivery in queues of SCHEDULE_TOPIC_XXXX is only compared with the store
	// time.
	DelayLevels []int64

	// Now is the time, ms since 1970: store times ten years ahead are damage. 0: any
	// are taken.
	Now int64

	// Allocated returns how many bytes of the disk a file takes. [Stat does not say]
	Allocated func(path string) (int64, error)

	// Locked tells whether somebody holds the lock file, without taking it. [Stat
	// does not say]
	Locked func(path string) (bool, error)
}

// Dir is a store directory as it was found. One goroutine uses it at a time.
type Dir struct {
	o     Options
	files *files

	log     []logFile // ascending
	logSize int64

	queues    []*queueDir // by name
	queueSize int64       // 0: there is no file

	indexes    []*indexFile // oldest first
	indexFound bool         // the directory

	aborted    bool
	check      checkpoint.Times
	checkFound bool
	deleted    map[string]int64
	topics     map[string]struct{} // of config/topics.json; nil: not known

	listed findings // what the names and sizes say
}

// Open finds out what is in a directory. It reads names, sizes and the small
// files, and changes nothing.
func Open(o Options) (*Dir, error) {
	if o.FS == nil {
		o.FS = vfs.OS()
	}
	if o.CommitLog == "" {
		o.CommitLog = o.Dir + "/commitlog"
	}
	if o.IndexSlots < 0 || o.IndexSlots > math.MaxInt32/index.SlotSize || o.IndexEntries < 0 || o.IndexEntries > math.MaxInt32/index.EntrySize {
		return nil, fmt.Errorf("there can be no index with %d slots and %d entries (maxHashSlotNum, maxIndexNum)", o.IndexSlots, o.IndexEntries)
	}
	if o.QueueFileSize < 0 || o.QueueFileSize%consumequeue.EntrySize != 0 {
		return nil, fmt.Errorf("consume queue files of %d bytes: must be a multiple of %d", o.QueueFileSize, consumequeue.EntrySize)
	}
	d := &Dir{o: o, files: newFiles(o.FS)}
	d.listed.limit = maxListed
	if err := d.list(); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// Close closes the files that were read.
func (d *Dir) Close() error { return d.files.closeAll() }

func (d *Dir) list() error {
	names, err := d.o.FS.ReadDir(d.o.Dir)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%w: %w", ErrNoStore, err)
		}
		return err
	}
	found := make(map[string]bool, len(names))
	for _, name := range names {
		found[name] = true
	}
	if _, isDir, err := d.o.FS.Stat(d.o.CommitLog); (err != nil || !isDir) && !found["consumequeue"] && !found["checkpoint"] {
		return fmt.Errorf("%w in %s: no commitlog, no consumequeue, no checkpoint", ErrNoStore, d.o.Dir)
	}
	d.checkNames(names)
	if d.aborted, err = checkpoint.Aborted(d.o.FS, d.o.Dir); err != nil {
		return err
	}
	d.check, err = checkpoint.Read(d.o.FS, d.o.Dir)
	if d.checkFound = err == nil; err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	d.readDeleted()
	d.readTopics()
	if err := d.listLog(); err != nil {
		return err
	}
	if err := d.listQueues(); err != nil {
		return err
	}
	return d.listIndex()
}

// ours are the names in a store directory that somebody knows; RocketMQ 5 has a
// few more.
var ours = map[string]bool{
	"commitlog": true, "consumequeue": true, "index": true, "checkpoint": true, "abort": true, "lock": true, "config": true,
	"transactions": true, "damaged": true, "deletedTopics.json": true, "deletedTopics.json.bak": true, "deletedTopics.json.tmp": true,
	"keptOffsets.json": true, "keptOffsets.json.bak": true, "keptOffsets.json.tmp": true,
	"consumequeue_ext": true, "compaction": true, "timerwheel": true, "timerlog": true, "timercheck": true, "rocksdbstore": true,
}

func (d *Dir) checkNames(names []string) {
	for _, name := range names {
		path := d.o.Dir + "/" + name
		switch {
		case name == replacedQueues || name == replacedIndex || name == replacedRemoved:
			d.listed.add(Finding{Level: Behind, Kind: KindName, File: path, Offset: -1,
				Text: "a rebuild was not finished: the next start, or rebuild, finishes it"})
		case !ours[name] && path != d.o.CommitLog:
			d.listed.add(Finding{Level: Note, Kind: KindName, File: path, Offset: -1, Text: "no part of a store"})
		}
	}
}

// What a rebuild calls the views that it replaces.
const (
	replacedQueues = "consumequeue.replaced"
	replacedIndex  = "index.replaced"

	replacedRemoved = "replaced.removed" // when they are no longer needed
)

func (d *Dir) slots() int {
	if d.o.IndexSlots == 0 {
		return index.DefaultSlots
	}
	return d.o.IndexSlots
}

func (d *Dir) entries() int {
	if d.o.IndexEntries == 0 {
		return index.DefaultEntries
	}
	return d.o.IndexEntries
}

// Sizes are the file sizes in bytes that the directory was written with, 0 for
// what cannot be told.
type Sizes struct{ Log, Queue int64 }

// Sizes returns the file sizes.
func (d *Dir) Sizes() Sizes { return Sizes{d.logSize, d.queueSize} }

// common returns the size that most files have, of two with as many the greater;
// 0 without any.
func common(sizes map[int64]int) (size int64) {
	most := 0
	for s, n := range sizes {
		if n > most || n == most && s > size {
			size, most = s, n
		}
	}
	return size
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package index

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/message"
)

// RocketMQ's counts for a file.
const (
	DefaultSlots   = 5_000_000
	DefaultEntries = 20_000_000
)

// TrustAll as Options.Trusted says that the last stop was clean.
const TrustAll = math.MaxInt64

var (
	// ErrFileSize is wrapped when a file has another size than Slots and Entries
	// give.
	ErrFileSize = errors.New("index: wrong file size")

	// ErrClosed is returned by what is done with a closed Index.
	ErrClosed = errors.New("index: closed")
)

// Options of an Index.
type Options struct {
	FS      vfs.FS
	Dir     string // made when the first key is put, or by Flush
	Slots   int    // of a file (maxHashSlotNum) [DefaultSlots]
	Entries int    // of a file, one of which stays unused (maxIndexNum) [DefaultEntries]

	// Clock gives new files their names, in its own time zone [time.Now].
	Clock func() time.Time

	// Trusted is the store time (ms since 1970) up to which what is on disk is
	// sure to be right: TrustAll after a clean stop, else what a Flush returned.
	Trusted int64

	Logger *slog.Logger // [none]
}

// Index is the index of a store. All methods may be called by any goroutine;
// records must be put in log order.
type Index struct {
	shape
	fs    vfs.FS
	dir   string
	clock func() time.Time
	log   *slog.Logger

	flushing sync.Mutex // one Flush, SetMin or TruncatePhysical at a time

	mu      sync.Mutex
	files   []*file   // oldest first; active and filled are among them
	active  *file     // the last file, when it has room
	filled  *file     // full, and not yet flushed
	flushed sync.Cond // a flush has ended
	resume  int64     // records below need not be put
	again   int64     // the record that may have a part of its keys here; -1 none
	done    int       // how many of them are, for sure; holds tells of others
	last    int64     // store time of the last Put
	made    bool      // the directory is there
	failed  error
	closed  bool

	complete int64 // see Complete; Open only
}

// Open reads the headers of the files in o.Dir and, unless everything is to be
// trusted, makes sure of those that may be damaged: see the package comment.
func Open(o Options) (*Index, error) {
	if o.Slots == 0 {
		o.Slots = DefaultSlots
	}
	if o.Entries == 0 {
		o.Entries = DefaultEntries
	}
	if o.Slots < 1 || o.Slots > math.MaxInt32/slotSize {
		return nil, fmt.Errorf("index: maxHashSlotNum is %d, must be 1 to %d", o.Slots, math.MaxInt32/slotSize)
	}
	if o.Entries < 2 || o.Entries > math.MaxInt32/entrySize {
		return nil, fmt.Errorf("index: maxIndexNum is %d, must be 2 to %d", o.Entries, math.MaxInt32/entrySize)
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	x := &Index{shape: shape{o.Slots, o.Entries}, fs: o.FS, dir: o.Dir, clock: o.Clock, log: o.Logger, again: -1}
	x.flushed.L = &x.mu
	x.complete = o.Trusted
	if err := x.load(o.Trusted); err != nil {
		for _, f := range x.files {
			if f.f != nil {
				err = errors.Join(err, f.f.Close())
			}
		}
		return nil, err
	}
	return x, nil
}

// ResumeFrom is the log offset of the last record that is here, 0 when there is
// none. Records at or behind it have to be put (again); the one at it may have a
// part of its keys only, and is put without doubling them.
func (x *Index) ResumeFrom() int64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.resume
}

// Complete is the store time (ms since 1970) below which everything is here:
// Options.Trusted, unless Open has not found what was durable by then (there is no
// file, or a damaged one). The first Flush makes a file even when no record put
// had a key, so that its absence tells.
func (x *Index) Complete() int64 { return x.complete }

// Put adds a record: its UNIQ_KEY and each of its space-separated KEYS, none of
// which need be there. The record begins at the log offset and was stored at
// storeTime (ms since 1970). A record before the last one is here already:
// nothing happens. After an error it may be put again. It does not allocate in
// steady state.
func (x *Index) Put(topic, uniq, keys []byte, offset, storeTime int64) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch {
	case x.closed:
		return ErrClosed
	case x.failed != nil:
		return x.failed
	case offset < 0 || storeTime < 0 || storeTime > MaxTime:
		return fmt.Errorf("index: record at log offset %d, stored at %d", offset, storeTime)
	}
	if offset >= x.resume {
		if offset != x.again {
			x.done = 0
		}
		if err := x.putKeys(topic, uniq, keys, offset, storeTime); err != nil {
			x.again = offset
			return fmt.Errorf("index: put the keys of the record at log offset %d: %w", offset, err)
		}
	}
	x.last = max(x.last, storeTime)
	return nil
}

// putKeys puts the keys of a record but for the first x.done, which is then how
// many it has put.
func (x *Index) putKeys(topic, uniq, keys []byte, offset, storeTime int64) error {
	n := 0
	put := func(key []byte) error {
		if n++; n <= x.done {
			return nil
		}
		err := x.putKey(message.KeyHash(topic, key), offset, storeTime)
		if err == nil {
			x.done = n
		}
		return err
	}
	if len(uniq) > 0 {
		if err := put(uniq); err != nil {
			return err
		}
	}
	var err error
	message.RangeKeys(keys, func(key []byte) bool {
		err = put(key)
		return err == nil
	})
	return err
}

func (x *Index) putKey(hash int32, offset, storeTime int64) error {
	if offset == x.again && len(x.files) > 0 {
		if last := x.files[len(x.files)-1]; last.f != nil && !last.empty() {
			found, err := last.holds(hash, offset)
			if err != nil {
				return err
			}
			if found {
				last.hdr.EndTime, last.changed = storeTime, true
				return nil
			}
		}
	}
	if x.active == nil || x.active.full() {
		if err := x.roll(); err != nil {
			return err
		}
	}
	if err := x.active.add(hash, offset, storeTime); err != nil {
		return err
	}
	x.resume = offset
	return nil
}

// roll makes a new file the active one.
func (x *Index) roll() error {
	if x.active != nil {
		// A small file may fill up again before the last one was flushed.
		for x.filled != nil && x.filled.flushing {
			x.flushed.Wait()
		}
		if x.filled != nil {
			if err := x.flushLocked(x.filled); err != nil {
				return err
			}
			x.retire(x.filled)
		}
		x.filled, x.active = x.active, nil
	}
	f, err := x.create()
	if err != nil {
		return err
	}
	x.files = append(x.files, f)
	x.active = f
	return nil
}

// create makes a file, whose name and size are durable when it returns.
func (x *Index) create() (*file, error) {
	name := strings.ReplaceAll(x.clock().Format("20060102150405.000"), ".", "")
	if len(x.files) > 0 {
		if last := path.Base(x.files[len(x.files)-1].name); name <= last {
			var err error
			if name, err = nextName(last); err != nil { // the clock went back
				return nil, err
			}
		}
	}
	if err := vfs.MkdirAllSync(x.fs, x.dir); err != nil {
		return nil, err
	}
	x.made = true
	f := &file{shape: x.shape, name: x.dir + "/" + name, hdr: Header{Count: 1}, pages: make([]page, x.pages())}
	var err error
	if f.f, err = x.fs.OpenFile(f.name, os.O_RDWR|os.O_CREATE|os.O_TRUNC); err != nil {
		return nil, err
	}
	if err = f.f.Truncate(x.fileSize()); err == nil {
		err = f.sync() // so that only the last file can be short
	}
	if err == nil {
		err = x.fs.SyncDir(x.dir)
	}
	if err != nil {
		// What cannot be removed now is when the Index is opened again.
		_ = x.fs.Remove(f.name)
		return nil, errors.Join(err, f.f.Close())
	}
	return f, nil
}

// begin makes the directory and, once a record was put, the first file, durably,
// even when there is no key to put into it: so the absence of either tells that
// the index was taken away, and a log without keys is not read again and again.
// RocketMQ takes a file of zeros for an empty one too. Index.mu held.
func (x *Index) begin() error {
	if !x.made {
		if err := vfs.MkdirAllSync(x.fs, x.dir); err != nil {
			return err
		}
		x.made = true
	}
	if len(x.files) == 0 && x.last > 0 {
		return x.roll()
	}
	return nil
}

// nextName is the least name above a name, which is a decimal number.
func nextName(name string) (string, error) {
	b := []byte(name)
	for i := len(b) - 1; i >= 0; i-- {
		if b[i] < '9' {
			b[i]++
			return string(b), nil
		}
		b[i] = '0'
	}
	return "", fmt.Errorf("index: no name follows %s: move that file away", name)
}

// retire closes a file that is flushed. Index.mu held.
func (x *Index) retire(f *file) {
	if x.filled == f {
		x.filled = nil
	}
	if x.active == f {
		x.active = nil
	}
	f.done = true
	f.pages, f.tail = nil, nil
	x.closeUnused(f)
}

func (x *Index) closeUnused(f *file) {
	if f.done && f.users == 0 && f.f != nil {
		if err := f.f.Close(); err != nil {
			x.log.Warn("index: close a file", "file", f.name, "error", err)
		}
		f.f = nil
	}
}

// Close flushes and closes all files. A second Close does nothing. It returns
// what Flush returns.
func (x *Index) Close() error {
	x.flushing.Lock()
	defer x.flushing.Unlock()
	x.mu.Lock()
	was := x.closed
	x.closed = true
	x.mu.Unlock()
	if was {
		return nil
	}
	err := x.flush()
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, f := range x.files {
		x.retire(f)
	}
	return err
}

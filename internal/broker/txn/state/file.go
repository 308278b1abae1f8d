// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"sync"

	"github.com/twostage/twostage/internal/vfs"
)

const (
	maxOffset  = 1 << 60
	rangeWords = 16 * pageWords // read at once by Range; divides segmentWords
)

// Config says where the words are.
type Config struct {
	FS     vfs.FS
	Dir    string       // is made when missing, the one above is durable; nobody else writes in it while a File is open
	Logger *slog.Logger // nil: nothing is logged
}

// File is the words of a half queue, zero where none was set. All methods may
// be called from several goroutines. Offsets are half queue offsets from 0 to
// 2^60-1. Errors name the file and where in it.
type File struct {
	fs  vfs.FS
	dir string
	log *slog.Logger

	write  sync.Mutex // taken before mu
	marks  *markFile
	buffer []byte // what a write carries
	broken error  // of a failed sync, ends all writing

	// Names in dir may not be durable. Under write; true after Open, since the
	// last process may have been killed.
	newNames bool

	mu       sync.Mutex
	segments map[int64]*segment // by number: those with a file or with pages in memory
	handles  []*segment         // those that are open, oldest first
	last     *page              // the page that was found last
	dirty    []*page            // the queued pages, but those a Write has taken
	clean    ring
	scratch  [pageBytes]byte
	mark     Mark
	marked   bool
	closed   bool
}

// Open opens the words in cfg.Dir. A segment that is shorter than it could be
// is filled up with zero words; a part of a word at its end is cut off. A mark
// that can't be read is a warning, and Mark says that there is none.
func Open(cfg Config) (*File, error) {
	log := cfg.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	f := &File{
		fs: cfg.FS, dir: cfg.Dir, log: log, marks: newMarkFile(cfg, log), newNames: true,
		segments: make(map[int64]*segment),
	}
	f.clean.init()
	if err := vfs.MkdirAllSync(f.fs, f.dir); err != nil {
		return nil, fmt.Errorf("transaction state: %w", err)
	}
	// The last process may have been killed right after it had made f.dir.
	if err := f.fs.SyncDir(filepath.Dir(f.dir)); err != nil {
		return nil, fmt.Errorf("transaction state: %w", err)
	}
	if err := f.list(); err != nil {
		return nil, err
	}
	f.marks.read()
	f.mark, f.marked = f.marks.mark()
	return f, nil
}

func (f *File) path(name string) string { return filepath.Join(f.dir, name) }

// Mark returns the mark of the last Commit, of this process or of one before.
// false when there is none: then the file may lack anything.
func (f *File) Mark() (Mark, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mark, f.marked
}

// Set sets the word at off. It does no I/O; Write and Commit bring it to the
// file. What does not fit in a word is stored as doc of Word says, an impossible
// Op or Next as 2^61-1, and logged. A negative offset, one from 2^60 on and an
// unknown kind are faults of the caller: they are logged and nothing is set.
// After Close it does nothing.
func (f *File) Set(off int64, w Word) {
	v, fits := w.encode()
	if !fits || off < 0 || off >= maxOffset {
		if off < 0 || off >= maxOffset || v == 0 && w.Kind != Undecided {
			f.log.Error("a transaction state that can't be is not set", "halfQueueOffset", off, "word", w)
			return
		}
		f.log.Error("a transaction state has a number that can't be", "halfQueueOffset", off, "word", w)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return
	}
	p := f.find(off / pageWords)
	if p == nil {
		p = f.create(off / pageWords)
	}
	p.put(off%pageWords, v)
	f.dirtied(p)
}

// Get returns the word at off. It may read a page of the file. An error that is
// ErrDamaged says that nobody can have written what stands there.
func (f *File) Get(off int64) (Word, error) {
	if off < 0 || off >= maxOffset {
		return Word{}, fmt.Errorf("transaction state: there is no half queue offset %d", off)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return Word{}, f.errClosed()
	}
	v, err := f.word(off)
	if err != nil {
		return Word{}, err
	}
	w, ok := decode(v)
	if !ok {
		return Word{}, f.damaged(off, v)
	}
	return w, nil
}

// word returns the bits at off. Locked (pages).
func (f *File) word(off int64) (uint64, error) {
	number, i := off/pageWords, off%pageWords
	p := f.find(number)
	if p == nil {
		if seg := f.segments[number/segmentPages]; seg == nil || number%segmentPages*pageBytes >= seg.size {
			return 0, nil
		}
		p = f.create(number)
		if err := f.load(p); err != nil {
			f.forget(p)
			return 0, err
		}
	} else if !p.has(i) {
		if err := f.load(p); err != nil {
			return 0, err
		}
	}
	if !p.queued {
		f.used(p)
	}
	return p.words[i], nil
}

// Range calls fn for every offset from from to to-1, in order, until fn returns
// false. Where nothing was ever written fn gets the zero Word and nothing is
// read. fn may call every method. Each word is as it was at some moment during
// the call. A damaged word ends it with an error that is ErrDamaged.
func (f *File) Range(from, to int64, fn func(off int64, w Word) bool) error {
	if from < 0 || to > maxOffset {
		return fmt.Errorf("transaction state: there are no half queue offsets %d to %d", from, to)
	}
	var buf []byte
	for from < to {
		if buf == nil {
			buf = make([]byte, min(to-from, rangeWords)*wordBytes)
		}
		end, empty, err := f.copyOut(buf, from, to)
		if err != nil {
			return err
		}
		if empty {
			for ; from < end; from++ {
				if !fn(from, Word{}) {
					return nil
				}
			}
			continue
		}
		for b := buf[:(end-from)*wordBytes]; len(b) >= wordBytes; from, b = from+1, b[wordBytes:] {
			v := binary.BigEndian.Uint64(b)
			w, ok := decode(v)
			if !ok {
				return f.damaged(from, v)
			}
			if !fn(from, w) {
				return nil
			}
		}
	}
	return nil
}

// copyOut fills buf with the words [from,end) as they stand on disk; end is at
// most to, and more than from. When empty they are all zero and buf is not
// touched.
func (f *File) copyOut(buf []byte, from, to int64) (end int64, empty bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return 0, false, f.errClosed()
	}
	number := from / segmentWords
	seg := f.segments[number]
	if seg == nil {
		return min(to, (number+1)*segmentWords), true, nil
	}
	if end = min(to, (number+1)*segmentWords); seg.held == 0 && from%segmentWords*wordBytes >= seg.size {
		return end, true, nil
	}
	end = min(to, (from/rangeWords+1)*rangeWords)
	if err := f.read(seg, buf[:(end-from)*wordBytes], from%segmentWords*wordBytes); err != nil {
		return 0, false, err
	}
	if seg.pages == nil {
		return end, false, nil
	}
	for at := from; at < end; {
		next := min(end, (at/pageWords+1)*pageWords)
		if p := seg.pages[at/pageWords%segmentPages]; p != nil {
			p.encode(buf[(at-from)*wordBytes:], at%pageWords, at%pageWords+next-at)
		}
		at = next
	}
	return end, false, nil
}

func (f *File) damaged(off int64, v uint64) error {
	return fmt.Errorf("transaction state: %s at %d (half queue offset %d) holds %016x: %w",
		f.path(segmentName(off/segmentWords)), off%segmentWords*wordBytes, off, v, ErrDamaged)
}

func (f *File) errClosed() error {
	return &fs.PathError{Op: "use", Path: f.dir, Err: errors.Join(errors.New("the transaction states are closed"), fs.ErrClosed)}
}

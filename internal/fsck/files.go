// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package fsck

import (
	"container/list"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/twostage/twostage/internal/store/consumequeue"
	"github.com/twostage/twostage/internal/vfs"
)

const (
	maxOpen  = 256 // files
	pageSize = 200 * consumequeue.EntrySize
	maxPages = 8192 // 32 MB
)

// files reads files, of which at most maxOpen are open at once.
type files struct {
	fs    vfs.FS
	open  map[string]*list.Element
	order list.List // of *openFile, the last used one first

	pages     map[pageKey]*list.Element
	pageOrder list.List // of *page
}

type openFile struct {
	path string
	f    vfs.File
}

// pageKey names a part of a queue.
type pageKey struct {
	queue int
	page  int64
}

type page struct {
	key pageKey
	b   []byte
}

func newFiles(fsys vfs.FS) *files {
	return &files{fs: fsys, open: make(map[string]*list.Element), pages: make(map[pageKey]*list.Element)}
}

// get returns the open file, which may be closed by the next get.
func (c *files) get(path string) (vfs.File, error) {
	if e := c.open[path]; e != nil {
		c.order.MoveToFront(e)
		return e.Value.(*openFile).f, nil
	}
	if c.order.Len() >= maxOpen {
		last := c.order.Remove(c.order.Back()).(*openFile)
		delete(c.open, last.path)
		if err := last.f.Close(); err != nil {
			return nil, err
		}
	}
	f, err := c.fs.OpenFile(path, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	c.open[path] = c.order.PushFront(&openFile{path, f})
	return f, nil
}

func (c *files) closeAll() (err error) {
	for e := c.order.Front(); e != nil; e = e.Next() {
		err = errors.Join(err, e.Value.(*openFile).f.Close())
	}
	c.order.Init()
	clear(c.open)
	return err
}

// readAt fills b, but for what lies behind the end of the file.
func (c *files) readAt(path string, b []byte, at int64) (n int, err error) {
	f, err := c.get(path)
	if err != nil {
		return 0, err
	}
	n, err = f.ReadAt(b, at)
	if n == len(b) || errors.Is(err, io.EOF) {
		err = nil
	}
	if err != nil {
		err = fmt.Errorf("read %s at %d: %w", path, at, err)
	}
	return n, err
}

// nextData is where the next bytes are, at or behind at, that somebody wrote; the
// size of the file when there are none.
func (c *files) nextData(path string, at int64) (int64, error) {
	f, err := c.get(path)
	if err != nil {
		return 0, err
	}
	return f.NextData(at)
}

// page returns a page of a file of a queue, shorter at the end of the file. It is
// valid until the next call.
func (c *files) page(queue int, path string, fileStart, pageStart int64) ([]byte, error) {
	key := pageKey{queue, (fileStart + pageStart) / consumequeue.EntrySize}
	if e := c.pages[key]; e != nil {
		c.pageOrder.MoveToFront(e)
		return e.Value.(*page).b, nil
	}
	var p *page
	if c.pageOrder.Len() >= maxPages {
		p = c.pageOrder.Remove(c.pageOrder.Back()).(*page)
		delete(c.pages, p.key)
	} else {
		p = &page{b: make([]byte, pageSize)}
	}
	b := p.b[:pageSize]
	n, err := c.readAt(path, b, pageStart)
	if err != nil {
		return nil, err
	}
	p.key, p.b = key, b[:n]
	c.pages[key] = c.pageOrder.PushFront(p)
	return p.b, nil
}

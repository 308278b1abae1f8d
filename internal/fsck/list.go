// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package fsck

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/twostage/twostage/internal/store/consumequeue"
	"github.com/twostage/twostage/internal/store/index"
	"github.com/twostage/twostage/internal/store/segment"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire/body"
)

// logFile is a file of the log.
type logFile struct {
	start, size int64
	path        string
}

// queueDir is the files of a queue.
type queueDir struct {
	topic string
	id    int32
	path  string
	files []queueFile // ascending
	order int         // among all
}

type queueFile struct{ start, size int64 }

// first is the number of the first entry, end that behind the last file.
func (q *queueDir) first() int64 {
	if len(q.files) == 0 {
		return 0
	}
	return q.files[0].start / consumequeue.EntrySize
}

func (q *queueDir) file(start int64) *queueFile {
	i, ok := slices.BinarySearchFunc(q.files, start, func(f queueFile, s int64) int { return cmp.Compare(f.start, s) })
	if !ok {
		return nil
	}
	return &q.files[i]
}

// indexFile is a file of the index.
type indexFile struct {
	path string
	size int64
	hdr  index.Header
	ok   bool // its size is right

	broken bool // its header cannot be
}

// stray says that something is not what its place is for.
func (d *Dir) stray(level Level, path, text string) {
	d.listed.add(Finding{Level: level, Kind: KindName, File: path, Offset: -1, Text: text})
}

// readDir is the names in a directory; ok is false when there is none.
func (d *Dir) readDir(dir string) (names []string, ok bool, err error) {
	names, err = d.o.FS.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		if _, isDir, statErr := d.o.FS.Stat(dir); statErr == nil && !isDir {
			d.stray(Damage, dir, "is a file, must be a directory")
			return nil, false, nil
		}
	}
	return names, err == nil, err
}

// segments are the files of a sequence in dir. level is how bad a name is that is
// none.
func (d *Dir) segments(dir string, level Level, fn func(start, size int64, path string)) (found bool, err error) {
	names, found, err := d.readDir(dir)
	if err != nil {
		return false, err
	}
	for _, name := range names {
		path := dir + "/" + name
		size, isDir, err := d.o.FS.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a broker has just deleted it
		}
		if err != nil {
			return false, err
		}
		start, ok := segment.Parse(name)
		switch {
		case isDir:
			d.stray(level, path, "a directory among the files")
		case !ok:
			d.stray(level, path, "its name is not 20 digits: no file of this directory")
		default:
			fn(start, size, path)
		}
	}
	return found, nil
}

func (d *Dir) listLog() error {
	sizes := map[int64]int{}
	found, err := d.segments(d.o.CommitLog, Note, func(start, size int64, path string) {
		d.log = append(d.log, logFile{start, size, path})
		sizes[size]++
	})
	if err != nil {
		return err
	}
	if !found {
		d.stray(Damage, d.o.CommitLog, "the commit log is missing")
	}
	for i := 1; i < len(d.log); i++ { // a distance tells more than a size
		sizes[d.log[i].start-d.log[i-1].start] += 2
	}
	if d.logSize = d.o.LogFileSize; d.logSize == 0 {
		d.logSize = common(sizes)
	}
	kept := d.log[:0]
	for i, f := range d.log {
		if d.logSize <= 0 && f.size == 0 {
			d.stray(Behind, f.path, "holds nothing: it was being made")
			continue
		}
		if d.logSize <= 0 || f.start%d.logSize != 0 {
			d.stray(Damage, f.path, fmt.Sprintf("does not start at a multiple of the file size %d", d.logSize))
			continue
		}
		if len(kept) > 0 {
			if before := kept[len(kept)-1]; f.start-before.start != d.logSize {
				d.missingFiles(d.o.CommitLog, before.start+d.logSize, f.start-d.logSize)
			}
		}
		d.checkSize(f.path, f.size, d.logSize, d.aborted && i == len(d.log)-1)
		kept = append(kept, f)
	}
	d.log = kept
	return nil
}

// missingFiles says that there is a gap between files.
func (d *Dir) missingFiles(dir string, first, last int64) {
	text := "the file is missing"
	if last > first {
		text = "this file is missing, and those behind it up to " + segment.Name(last)
	}
	d.stray(Damage, segment.Join(dir, first), text)
}

// checkSize says when a file has another size. unfinished: it may have been in the
// making.
func (d *Dir) checkSize(path string, size, want int64, unfinished bool) {
	if size == want {
		return
	}
	level := Damage
	if unfinished && size < want {
		level = Behind
	}
	d.listed.add(Finding{Level: level, Kind: KindSize, File: path, Offset: min(size, want), Text: fmt.Sprintf("has %d bytes, must have %d", size, want)})
}

func (d *Dir) listQueues() error {
	root := d.o.Dir + "/consumequeue"
	topics, _, err := d.readDir(root)
	if err != nil {
		return err
	}
	sizes := map[int64]int{}
	for _, topic := range topics {
		dir := root + "/" + topic
		if strings.HasPrefix(topic, ".") {
			d.stray(Note, dir, "what is left of a deleted topic, or no topic")
			continue
		}
		if _, isDir, err := d.o.FS.Stat(dir); err == nil && !isDir {
			d.stray(Note, dir, "a file among the topics")
			continue
		}
		ids, _, err := d.readDir(dir)
		if err != nil {
			return err
		}
		for _, name := range ids {
			path := dir + "/" + name
			id, err := strconv.ParseInt(name, 10, 32)
			if err != nil || id < 0 || strconv.FormatInt(id, 10) != name {
				d.stray(Note, path, "its name is no queue number")
				continue
			}
			q := &queueDir{topic: topic, id: int32(id), path: path}
			if _, err := d.segments(path, Damage, func(start, size int64, _ string) {
				q.files = append(q.files, queueFile{start, size})
				sizes[size]++
			}); err != nil {
				return err
			}
			d.queues = append(d.queues, q)
		}
	}
	slices.SortFunc(d.queues, func(a, b *queueDir) int {
		return cmp.Or(strings.Compare(a.topic, b.topic), cmp.Compare(a.id, b.id))
	})
	if d.queueSize = d.o.QueueFileSize; d.queueSize == 0 {
		for size := range sizes {
			if size <= 0 || size%consumequeue.EntrySize != 0 {
				delete(sizes, size)
			}
		}
		d.queueSize = common(sizes)
	}
	for i, q := range d.queues {
		q.order = i
		d.checkQueueFiles(q)
	}
	return nil
}

func (d *Dir) checkQueueFiles(q *queueDir) {
	kept := q.files[:0]
	for i, f := range q.files {
		path := segment.Join(q.path, f.start)
		if d.queueSize == 0 && f.size == 0 {
			d.stray(Behind, path, "holds nothing: it was being made")
			continue
		}
		if d.queueSize == 0 || f.start%d.queueSize != 0 {
			d.stray(Damage, path, fmt.Sprintf("does not start at a multiple of the file size %d", d.queueSize))
			continue
		}
		if len(kept) > 0 && f.start-kept[len(kept)-1].start != d.queueSize {
			d.missingFiles(q.path, kept[len(kept)-1].start+d.queueSize, f.start-d.queueSize)
		}
		d.checkSize(path, f.size, d.queueSize, d.aborted && i == len(q.files)-1)
		kept = append(kept, f)
	}
	q.files = kept
}

func (d *Dir) listIndex() error {
	dir := d.o.Dir + "/index"
	names, found, err := d.readDir(dir)
	if err != nil {
		return err
	}
	d.indexFound = found
	for _, name := range names {
		f := &indexFile{path: dir + "/" + name}
		size, isDir, err := d.o.FS.Stat(f.path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if f.size = size; isDir || !index.IsName(name) {
			d.stray(Note, f.path, "its name is not 17 digits: no index file")
			continue
		}
		var b [index.HeaderSize]byte
		n, err := d.files.readAt(f.path, b[:], 0)
		if err != nil {
			return err
		}
		if f.hdr, err = index.ReadHeader(b[:n]); err != nil {
			f.hdr = index.Header{Count: 1}
		}
		d.indexes = append(d.indexes, f)
	}
	return nil
}

// config reads a small file that RocketMQ's way of replacing files may have left
// as a backup; ok is false when there is none, or it cannot be one.
func (d *Dir) config(path string) (data []byte, ok bool, err error) {
	for _, name := range []string{path, path + ".bak"} {
		if size, _, err := d.o.FS.Stat(name); err == nil && size > maxConfig {
			return nil, false, fmt.Errorf("%s has %d bytes", name, size)
		}
	}
	data, _, err = vfs.ReadConfigFile(d.o.FS, path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	return data, err == nil, err
}

// readDeleted reads the deleted topics.
func (d *Dir) readDeleted() {
	path := d.o.Dir + "/deletedTopics.json"
	data, ok, err := d.config(path)
	if ok {
		err = json.Unmarshal(data, &d.deleted)
	}
	if err != nil {
		d.deleted = nil
		d.stray(Damage, path, "cannot be read: "+err.Error())
	}
}

// readTopics reads the names of the topics that the broker knows, as far as it
// can.
func (d *Dir) readTopics() {
	data, ok, err := d.config(d.o.Dir + "/config/topics.json")
	var w body.TopicConfigSerializeWrapper
	if err != nil || !ok || body.Unmarshal(data, &w) != nil {
		return
	}
	d.topics = make(map[string]struct{}, len(w.TopicConfigTable))
	for name := range w.TopicConfigTable {
		d.topics[name] = struct{}{}
	}
}

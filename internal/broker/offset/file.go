// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package offset

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire/body"
)

// separator stands between topic and group in the keys of the file.
const separator = "@"

const (
	backupSuffix = ".bak"
	brokenSuffix = ".broken"
)

// Open reads the table, or begins a new one where there is no file. It fails when
// neither the file nor its backup can be understood.
func Open(cfg Config) (*Table, error) {
	t := newTable(cfg)
	if err := vfs.MkdirAllSync(cfg.FS, cfg.Dir); err != nil {
		return nil, fmt.Errorf("consumer offsets: %w", err)
	}
	data, backup, err := vfs.ReadConfigFile(cfg.FS, t.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return t, nil
	case err != nil:
		return nil, fmt.Errorf("consumer offsets: %w", err)
	case backup:
		cfg.Logger.Warn("consumerOffset.json was missing or blank, its backup is used", "file", t.path)
	}
	var w body.ConsumerOffsetSerializeWrapper
	err = body.Unmarshal(data, &w)
	if err != nil && !backup {
		err = t.readBackup(&w, err)
	}
	if err != nil {
		return nil, fmt.Errorf("consumer offsets: %s: %w (mend the file; without it and its .bak, groups begin anew)", t.path, err)
	}
	if skipped := t.load(&w); skipped > 0 {
		cfg.Logger.Warn("entries of consumerOffset.json that can't be offsets were left out", "file", t.path, "entries", skipped)
	}
	return t, nil
}

// readBackup reads the backup of a file that could not be understood, and puts
// that file aside: as long as it has its name, the next Flush would make it the
// backup.
func (t *Table) readBackup(w *body.ConsumerOffsetSerializeWrapper, broken error) error {
	data, err := vfs.ReadFile(t.cfg.FS, t.path+backupSuffix)
	if err == nil {
		err = body.Unmarshal(data, w)
	}
	if err != nil {
		return fmt.Errorf("%w; and its backup: %w", broken, err)
	}
	if err := t.cfg.FS.Rename(t.path, t.path+brokenSuffix); err != nil {
		return err
	}
	if err := t.cfg.FS.SyncDir(t.cfg.Dir); err != nil {
		return err
	}
	t.cfg.Logger.Error("consumerOffset.json can't be read and was put aside, its backup is used: groups may get messages again",
		"file", t.path+brokenSuffix, "error", broken)
	return nil
}

// load fills an empty table and returns how many entries it left out.
func (t *Table) load(w *body.ConsumerOffsetSerializeWrapper) (skipped int) {
	for key, offsets := range w.OffsetTable {
		topic, group, ok := strings.Cut(key, separator)
		if !ok || topic == "" || group == "" {
			skipped++
			continue
		}
		p := pair{group: group, topic: topic}
		q := &queues{entries: make([]entry, 0, len(offsets))}
		for queue, offset := range offsets {
			if Check(queue, offset) != nil {
				skipped++
				continue
			}
			q.entries = append(q.entries, entry{queue: queue, offset: offset})
		}
		slices.SortFunc(q.entries, func(a, b entry) int { return int(a.queue) - int(b.queue) })
		t.pairs[p] = q
		t.size.Add(p.size() + int64(len(q.entries))*entrySize)
	}
	return skipped
}

// Flush writes the table if it has changed since the last Flush: every commit
// that returned before it began is on disk when it returns nil. After an error
// the next Flush tries again. It blocks on the device; commits do not wait for it.
func (t *Table) Flush() error {
	t.flush.Lock()
	defer t.flush.Unlock()
	if !t.dirty.Swap(false) {
		return nil
	}
	w := t.All()
	if err := vfs.ReplaceFile(t.cfg.FS, t.path, body.MarshalConfig(&w)); err != nil {
		t.dirty.Store(true)
		return fmt.Errorf("consumer offsets: %w", err)
	}
	return nil
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/twostage/twostage/internal/wire/body"
)

// offsetFile keeps the offsets of a broadcast consumer in a file, as RocketMQ's
// clients do:
//
//	{"offsetTable":{{"topic":"T","brokerName":"B","queueId":0}:17}}
//
// It is replaced whole, and is what it was or what it is to be whenever the machine
// stops; what it was before is beside it with the ending .bak.
type offsetFile struct {
	path string // empty: none

	mu    sync.Mutex
	table map[body.MessageQueue]int64
	last  []byte // what the table was read from, or written to; nil: neither yet
	dirty bool
}

// openOffsetFile reads the file of a group below dir; an empty dir is no file.
func openOffsetFile(dir, group string) (*offsetFile, error) {
	f := &offsetFile{table: map[body.MessageQueue]int64{}}
	if dir == "" {
		return f, nil
	}
	f.path = filepath.Join(dir, group, "offsets.json")
	err := f.read(f.path)
	if err != nil {
		if bak := f.read(f.path + ".bak"); bak == nil || errors.Is(err, fs.ErrNotExist) && errors.Is(bak, fs.ErrNotExist) {
			return f, nil
		}
		return nil, fmt.Errorf("client: offsets of a broadcast consumer: %w; remove the file to begin as WithStart says", err)
	}
	return f, nil
}

func (f *offsetFile) read(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var b body.ResetOffsetBody
	if err := body.Unmarshal(text, &b); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	for q, next := range b.OffsetTable {
		f.table[q] = next
	}
	f.last = text
	return nil
}

func (f *offsetFile) stored(_ context.Context, q Queue) (int64, bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	next, ok := f.table[body.MessageQueue{Topic: q.Topic, BrokerName: q.Broker, QueueID: q.ID}]
	return next, ok, nil
}

func (f *offsetFile) commit(_ context.Context, q Queue, next int64, sure bool) error {
	f.mu.Lock()
	f.table[body.MessageQueue{Topic: q.Topic, BrokerName: q.Broker, QueueID: q.ID}] = next
	f.dirty = true
	f.mu.Unlock()
	if sure {
		return f.flush()
	}
	return nil
}

// flush writes the file if something has changed.
func (f *offsetFile) flush() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.path == "" || !f.dirty {
		return nil
	}
	if err := f.write(body.Marshal(&body.ResetOffsetBody{OffsetTable: f.table})); err != nil {
		return fmt.Errorf("client: offsets of a broadcast consumer: %w", err)
	}
	f.dirty = false
	return nil
}

func (f *offsetFile) write(text []byte) error {
	if err := os.MkdirAll(filepath.Dir(f.path), 0o755); err != nil {
		return err
	}
	if err := writeSynced(f.path+".tmp", text); err != nil {
		return err
	}
	if f.last != nil {
		if err := os.WriteFile(f.path+".bak", f.last, 0o644); err != nil {
			return err
		}
	}
	if err := os.Rename(f.path+".tmp", f.path); err != nil {
		return err
	}
	if err := syncDir(filepath.Dir(f.path)); err != nil {
		return err
	}
	if f.last == nil { // the directory may be new
		if err := syncDir(filepath.Dir(filepath.Dir(f.path))); err != nil {
			return err
		}
	}
	f.last = text
	return nil
}

func writeSynced(path string, text []byte) (err error) {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if _, err := file.Write(text); err != nil {
		return err
	}
	return file.Sync()
}

// syncDir has renames in a directory outlast a crash. Windows has no such thing.
func syncDir(path string) (err error) {
	if runtime.GOOS == "windows" {
		return nil
	}
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	return dir.Sync()
}

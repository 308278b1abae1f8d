// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package namesrv

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path/filepath"
	"sync"
	"sync/atomic"
	"unicode/utf8"

	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire/body"
)

// maxKVFile bounds the file in bytes: each change writes all of it.
const maxKVFile = 16 << 20

// lockName is the file beside kvConfigPath whose lock says that a name server
// has the directory. It is not that of a store, which may be the same directory.
const lockName = "namesrv.lock"

// orderNamespace holds the order configuration of topics.
const orderNamespace = "ORDER_TOPIC_CONFIG"

// kvTable is values by namespace and key. One that is published never changes.
type kvTable map[string]map[string]string

// kvStore is the KV configuration and its file. Reads never wait.
type kvStore struct {
	fs   vfs.FS
	path string

	mu   sync.Mutex // one change at a time
	now  atomic.Pointer[kvTable]
	lock io.Closer // of the directory; nil unless open
}

// open takes the directory for this name server and reads the file.
func (s *kvStore) open() (fromBackup bool, err error) {
	dir := filepath.Dir(s.path)
	if err := makeDir(s.fs, dir); err != nil {
		return false, fmt.Errorf("kvConfigPath %s: %w", s.path, err)
	}
	name := filepath.Join(dir, lockName)
	lock, err := s.fs.Lock(name)
	if errors.Is(err, vfs.ErrLocked) {
		return false, fmt.Errorf("kvConfigPath %s: directory %s is in use by another name server (%s is locked): %w", s.path, dir, name, vfs.ErrLocked)
	}
	if err != nil {
		return false, fmt.Errorf("kvConfigPath %s: %w", s.path, err)
	}
	if fromBackup, err = s.load(); err != nil {
		return false, errors.Join(err, lock.Close())
	}
	s.lock = lock
	return fromBackup, nil
}

// close gives the directory back, once nobody changes values any more. It may be
// called again.
func (s *kvStore) close() error {
	lock := s.lock
	s.lock = nil
	if lock == nil {
		return nil
	}
	return lock.Close()
}

// load reads the file. One that does not exist is an empty one.
func (s *kvStore) load() (fromBackup bool, err error) {
	table := kvTable{}
	text, fromBackup, err := vfs.ReadConfigFile(s.fs, s.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return false, fmt.Errorf("kvConfigPath %s: %w", s.path, err)
	default:
		var file body.KVConfigSerializeWrapper
		if err := body.Unmarshal(text, &file); err != nil {
			return false, fmt.Errorf("kvConfigPath %s: %w", s.path, err)
		}
		maps.Copy(table, file.ConfigTable)
	}
	s.now.Store(&table)
	return fromBackup, nil
}

// makeDir makes a directory and those above it, so that they are there after a
// power cut: their names are synced, for an earlier start may have made dir and
// not come further.
func makeDir(fsys vfs.FS, dir string) error {
	var unsynced []string
	for d := dir; ; d = filepath.Dir(d) {
		_, _, err := fsys.Stat(d)
		if d != filepath.Dir(d) {
			unsynced = append(unsynced, filepath.Dir(d))
		}
		if err == nil || d == filepath.Dir(d) {
			break
		}
	}
	if err := fsys.MkdirAll(dir); err != nil {
		return err
	}
	for _, d := range unsynced {
		if err := fsys.SyncDir(d); err != nil {
			return err
		}
	}
	return nil
}

func (s *kvStore) get(namespace, key string) (string, bool) {
	value, ok := (*s.now.Load())[namespace][key]
	return value, ok
}

// list gives a namespace, which the caller must not change.
func (s *kvStore) list(namespace string) (map[string]string, bool) {
	values, ok := (*s.now.Load())[namespace]
	return values, ok
}

// put sets a value; it is on disk when put returns nil.
func (s *kvStore) put(namespace, key, value string) error {
	if namespace == "" || key == "" {
		return fmt.Errorf("namespace %q, key %q: must not be empty", namespace, key)
	}
	for _, text := range []string{namespace, key, value} {
		if !utf8.ValidString(text) {
			return fmt.Errorf("namespace %q, key %q: not valid UTF-8: %.100q", namespace, key, text)
		}
	}
	return s.change(namespace, func(values map[string]string) bool {
		old, ok := values[key]
		values[key] = value
		return !ok || old != value
	})
}

// remove deletes a value; that is on disk when remove returns nil. The namespace
// stays, even empty, as in RocketMQ.
func (s *kvStore) remove(namespace, key string) error {
	if _, ok := s.get(namespace, key); !ok {
		return nil
	}
	return s.change(namespace, func(values map[string]string) bool {
		_, ok := values[key]
		delete(values, key)
		return ok
	})
}

// change edits a copy of a namespace, writes it and then publishes it.
func (s *kvStore) change(namespace string, edit func(values map[string]string) (changed bool)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := maps.Clone(*s.now.Load())
	values := maps.Clone(next[namespace])
	if values == nil {
		values = make(map[string]string)
	}
	if !edit(values) {
		return nil
	}
	next[namespace] = values
	text := body.Marshal(&body.KVConfigSerializeWrapper{ConfigTable: next})
	if len(text) > maxKVFile {
		return fmt.Errorf("namespace %q: the KV configuration would have %d bytes, at most %d", namespace, len(text), maxKVFile)
	}
	if err := vfs.ReplaceFile(s.fs, s.path, text); err != nil {
		return fmt.Errorf("kvConfigPath %s: %w", s.path, err)
	}
	s.now.Store(&next)
	return nil
}

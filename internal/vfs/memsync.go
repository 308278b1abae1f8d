// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package vfs

import (
	"errors"
	"io/fs"
	"sync/atomic"
)

// Syncer implements FS.
func (m *Mem) Syncer(dir string) (Syncer, error) {
	s := &memSyncer{m: m}
	err := m.tree(OpOpen, dir, func(path string) error {
		s.name = path
		_, err := m.directory(path)
		return err
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

type memSyncer struct {
	m      *Mem
	name   string
	closed atomic.Bool
}

// SyncAll syncs every file that has a name, and then every directory. A file
// whose name was removed is lost with the next crash anyway.
func (s *memSyncer) SyncAll() error {
	if s.closed.Load() {
		return pathError(OpSyncAll, s.name, fs.ErrClosed)
	}
	err := s.m.tree(OpSyncAll, s.name, func(string) error {
		s.m.root.each((*inode).sync, (*memDir).sync)
		return nil
	})
	if err != nil && !errors.Is(err, ErrCrashed) {
		s.m.mu.Lock()
		defer s.m.mu.Unlock()
		s.m.root.each((*inode).failSync, func(*memDir) {})
	}
	return err
}

// each calls the functions for all that has a name below d, and for d.
func (d *memDir) each(file func(*inode), dir func(*memDir)) {
	for _, node := range d.names {
		switch node := node.(type) {
		case *inode:
			node.mu.Lock()
			file(node)
			node.mu.Unlock()
		case *memDir:
			node.each(file, dir)
		}
	}
	dir(d)
}

func (s *memSyncer) Close() error {
	if s.closed.Swap(true) {
		return pathError(OpSyncAll, s.name, fs.ErrClosed)
	}
	return nil
}

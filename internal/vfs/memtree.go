// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package vfs

import (
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// memNode is a *memDir or an *inode.
type memNode interface{}

// memDir is a directory, guarded by the lock of the tree.
//
// Invariant: durable with every change in pending applied in order is names.
type memDir struct {
	names   map[string]memNode
	durable map[string]memNode // as of the last SyncDir
	pending [][]nameChange     // since then; each element survives as a whole or not at all
}

// nameChange gives a name to a node, or takes the name away when it is nil.
type nameChange struct {
	name string
	node memNode
}

func newMemDir() *memDir {
	return &memDir{names: make(map[string]memNode), durable: make(map[string]memNode)}
}

func apply(names map[string]memNode, changes []nameChange) {
	for _, c := range changes {
		if c.node == nil {
			delete(names, c.name)
		} else {
			names[c.name] = c.node
		}
	}
}

func (d *memDir) change(changes ...nameChange) {
	apply(d.names, changes)
	d.pending = append(d.pending, changes)
}

func (d *memDir) sync() {
	for _, changes := range d.pending {
		apply(d.durable, changes)
	}
	d.pending = nil
}

// sorted returns the keys of a directory's map, so that random choices over
// them repeat for the same seed.
func sorted(names map[string]memNode) []string {
	keys := make([]string, 0, len(names))
	for name := range names {
		keys = append(keys, name)
	}
	slices.Sort(keys)
	return keys
}

// clean makes a name absolute, with slashes on every system.
func clean(name string) string { return path.Clean("/" + filepath.ToSlash(name)) }

// lookup finds what a clean path names. Tree locked, as for all below.
func (m *Mem) lookup(path string) (memNode, error) {
	dir, base, err := m.parent(path)
	if err != nil {
		return nil, err
	}
	if base == "" {
		return dir, nil
	}
	node, ok := dir.names[base]
	if !ok {
		return nil, syscall.ENOENT
	}
	return node, nil
}

// parent finds the directory that holds the last element of a clean path. For
// the root that element is "".
func (m *Mem) parent(path string) (*memDir, string, error) {
	dir, rest := m.root, path[1:]
	for {
		element, below, more := strings.Cut(rest, "/")
		if !more {
			return dir, element, nil
		}
		switch node := dir.names[element].(type) {
		case nil:
			return nil, "", syscall.ENOENT
		case *inode:
			return nil, "", syscall.ENOTDIR
		case *memDir:
			dir = node
		}
		rest = below
	}
}

// MkdirAll implements FS.
func (m *Mem) MkdirAll(name string) error {
	return m.tree(OpMkdirAll, name, func(path string) error {
		dir := m.root
		for _, element := range strings.FieldsFunc(path, func(r rune) bool { return r == '/' }) {
			switch node := dir.names[element].(type) {
			case nil:
				made := newMemDir()
				dir.change(nameChange{element, made})
				dir = made
			case *inode:
				return syscall.ENOTDIR
			case *memDir:
				dir = node
			}
		}
		return nil
	})
}

// Remove implements FS.
func (m *Mem) Remove(name string) error {
	return m.tree(OpRemove, name, func(path string) error {
		dir, base, err := m.parent(path)
		if err != nil {
			return err
		}
		if base == "" {
			return syscall.EBUSY
		}
		switch node := dir.names[base].(type) {
		case nil:
			return syscall.ENOENT
		case *memDir:
			if len(node.names) > 0 {
				return syscall.ENOTEMPTY
			}
		}
		remove(dir, base)
		return nil
	})
}

// RemoveAll implements FS.
func (m *Mem) RemoveAll(name string) error {
	return m.tree(OpRemoveAll, name, func(path string) error {
		dir, base, err := m.parent(path)
		if err == syscall.ENOENT {
			return nil
		}
		if err != nil {
			return err
		}
		if base == "" {
			return syscall.EBUSY
		}
		if dir.names[base] != nil {
			remove(dir, base)
		}
		return nil
	})
}

// remove takes a name and all that is below it away, the innermost first.
func remove(dir *memDir, base string) {
	switch node := dir.names[base].(type) {
	case *memDir:
		for _, name := range sorted(node.names) {
			remove(node, name)
		}
	case *inode:
		node.unref()
	}
	dir.change(nameChange{name: base})
}

// Rename implements FS.
func (m *Mem) Rename(oldName, newName string) error {
	return m.tree(OpRename, oldName, func(path string) error {
		newPath := clean(newName)
		from, oldBase, err := m.parent(path)
		if err != nil {
			return err
		}
		to, newBase, err := m.parent(newPath)
		if err != nil {
			return err
		}
		if oldBase == "" || newBase == "" {
			return syscall.EBUSY
		}
		node, there := from.names[oldBase], to.names[newBase]
		if node == nil {
			return syscall.ENOENT
		}
		if newPath == path {
			return nil
		}
		if strings.HasPrefix(newPath, path+"/") {
			return syscall.EINVAL
		}
		if err := replaceable(node, there); err != nil {
			return err
		}
		if f, ok := there.(*inode); ok {
			f.unref()
		}
		if from == to {
			from.change(nameChange{name: oldBase}, nameChange{newBase, node})
			return nil
		}
		from.change(nameChange{name: oldBase})
		to.change(nameChange{newBase, node})
		return nil
	})
}

// replaceable reports whether node may take the name of there, by os.Rename's
// rules: a directory is never replaced.
func replaceable(node, there memNode) error {
	switch there.(type) {
	case *memDir:
		return syscall.EEXIST
	case *inode:
		if _, dir := node.(*memDir); dir {
			return syscall.ENOTDIR
		}
	}
	return nil
}

// ReadDir implements FS.
func (m *Mem) ReadDir(name string) (names []string, err error) {
	err = m.tree(OpReadDir, name, func(path string) error {
		dir, err := m.directory(path)
		if err == nil {
			names = sorted(dir.names)
		}
		return err
	})
	return names, err
}

// SyncDir implements FS.
func (m *Mem) SyncDir(name string) error {
	return m.tree(OpSyncDir, name, func(path string) error {
		dir, err := m.directory(path)
		if err == nil {
			dir.sync()
		}
		return err
	})
}

func (m *Mem) directory(path string) (*memDir, error) {
	node, err := m.lookup(path)
	if err != nil {
		return nil, err
	}
	dir, ok := node.(*memDir)
	if !ok {
		return nil, syscall.ENOTDIR
	}
	return dir, nil
}

// Stat implements FS.
func (m *Mem) Stat(name string) (size int64, dir bool, err error) {
	err = m.tree(OpStat, name, func(path string) error {
		node, err := m.lookup(path)
		if err != nil {
			return err
		}
		if f, ok := node.(*inode); ok {
			f.mu.RLock()
			defer f.mu.RUnlock()
			size = int64(len(f.buf))
			return nil
		}
		dir = true
		return nil
	})
	return size, dir, err
}

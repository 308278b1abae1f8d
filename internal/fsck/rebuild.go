// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package fsck

import (
	"context"
	"errors"
	"io/fs"

	"github.com/twostage/twostage/internal/broker/txn/state"
	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/store/segment"
	"github.com/twostage/twostage/internal/vfs"
)

// Rebuild is store.Rebuild, and makes the broker build the states of half messages
// anew at its next start: it removes their mark and their words, durably and in this
// order. The story of transactions, which is in no log, stays.
func Rebuild(ctx context.Context, cfg store.Config) (*store.Rebuilt, error) {
	if cfg.FS == nil {
		cfg.FS = vfs.OS()
	}
	return store.Rebuild(ctx, cfg, func() error { return forgetStates(cfg.FS, cfg.Dir+"/transactions") })
}

func forgetStates(fsys vfs.FS, dir string) error {
	names, err := fsys.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	err = fsys.Remove(dir + "/" + state.MarkName)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := fsys.SyncDir(dir); err != nil {
		return err
	}
	for _, name := range names {
		if _, ok := segment.Parse(name); !ok {
			continue
		}
		if err := fsys.RemoveAll(dir + "/" + name); err != nil {
			return err
		}
	}
	return fsys.SyncDir(dir)
}

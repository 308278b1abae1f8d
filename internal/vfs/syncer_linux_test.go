// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package vfs

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestTells(t *testing.T) {
	for release, want := range map[string]bool{
		"5.7.19": false, "5.8.0": true, "5.10.0-33-amd64": true, "4.19.0": false, "6.1.0": true, "10.0-rc1": true, "": false, "5": false,
	} {
		if got := tells(release); got != want {
			t.Errorf("%q: %v", release, got)
		}
	}
}

// A file system that is none of those we know is not trusted to tell.
func TestSyncerRefusesOthers(t *testing.T) {
	if _, err := OS().Syncer("/proc"); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("/proc: %v", err)
	}
}

// TestNextDataOfReserved: what was written into reserved space is found before
// and after it is on disk, and what was only read is passed over.
func TestNextDataOfReserved(t *testing.T) {
	file, err := OS().OpenFile(filepath.Join(t.TempDir(), "f"), os.O_RDWR|os.O_CREATE)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	const size, data = 1 << 20, 256 << 10
	if err := file.Preallocate(size); err != nil {
		t.Fatal(err)
	}
	if _, err := file.ReadAt(make([]byte, 4096), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteAt([]byte("data"), data); err != nil {
		t.Fatal(err)
	}
	for _, state := range []string{"dirty", "on disk"} {
		// A file system that cannot tell may name any earlier offset.
		if at, err := file.NextData(0); err != nil || at > data {
			t.Errorf("%s: NextData(0) = %d, %v", state, at, err)
		}
		if at, err := file.NextData(data); err != nil || at != data {
			t.Errorf("%s: NextData at the data = %d, %v", state, at, err)
		}
		if err := file.Sync(); err != nil {
			t.Fatal(err)
		}
	}
}

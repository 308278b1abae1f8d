// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"flag"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/twostage/twostage/internal/proctest"
)

var record = flag.String("record", "", "`version` of the binary that TWOSTAGE_BIN names: record its directories into testdata/upgrade")

const upgrades = root + "testdata/upgrade/"

// Each directory that an earlier version has left, stopped or killed, opens and
// has what that version put there.
func TestUpgrade(t *testing.T) {
	archives, err := filepath.Glob(upgrades + "*.tar.gz")
	if err != nil || len(archives) < 2 {
		t.Fatalf("archives %q, %v", archives, err)
	}
	for _, archive := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(archive), ".tar.gz"), func(t *testing.T) {
			t.Parallel()
			data := filepath.Join(t.TempDir(), "data")
			if err := unpack(archive, data); err != nil {
				t.Fatal(err)
			}
			verified(t, data)
			s := proctest.Start(t, all(data)...)
			wantContents(t, s)
			stopped(t, s)
			verified(t, data)
		})
	}
}

// TestRecordUpgrade makes the archives of a version, only when asked to (see
// testdata/upgrade/README.md); else it makes them in a directory of its own, so
// that recording goes on working.
func TestRecordUpgrade(t *testing.T) {
	to, version := upgrades, *record
	if version == "" {
		to, version = t.TempDir()+"/", "now"
	}
	for _, how := range []string{"clean", "killed"} {
		data := filepath.Join(t.TempDir(), how)
		s := proctest.Start(t, all(data, "flushConsumerOffsetInterval=100")...)
		fill(t, s)
		awaitOffset(t, data)
		end := s.Stop
		if how == "killed" {
			end = s.Kill
		}
		if err := end(); err != nil {
			t.Fatal(err)
		}
		archive := to + version + "-" + how + ".tar.gz"
		if err := pack(data, archive); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(archive); err != nil || info.Size() > 128<<10 {
			t.Errorf("%s: %d bytes, %v", archive, info.Size(), err)
		}
		again := filepath.Join(t.TempDir(), "again")
		if err := unpack(archive, again); err != nil {
			t.Fatal(err)
		}
		wantSameFiles(t, data, again)
	}
}

// pack writes the files of a directory, by name, without times and owners.
func pack(dir, archive string) (err error) {
	f, err := os.Create(archive)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	z, err := gzip.NewWriterLevel(f, gzip.BestCompression)
	if err != nil {
		return err
	}
	w := tar.NewWriter(z)
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(b)), Format: tar.FormatPAX}); err != nil {
			return err
		}
		_, err = w.Write(b)
		return err
	})
	return errors.Join(err, w.Close(), z.Close())
}

// unpack makes the files again; what is zero becomes a hole.
func unpack(archive, dir string) error {
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	r := tar.NewReader(z)
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		path := filepath.Join(dir, filepath.Clean("/"+h.Name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := writeSparse(path, r, h.Size); err != nil {
			return err
		}
	}
}

func writeSparse(path string, r io.Reader, size int64) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := f.Truncate(size); err != nil {
		return err
	}
	block, zero := make([]byte, 4096), make([]byte, 4096)
	for at := int64(0); ; {
		n, err := io.ReadFull(r, block)
		if n > 0 && !bytes.Equal(block[:n], zero[:n]) {
			if _, err := f.WriteAt(block[:n], at); err != nil {
				return err
			}
		}
		at += int64(n)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func wantSameFiles(t *testing.T, a, b string) {
	t.Helper()
	list := func(dir string) (names []string) {
		if err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				names = append(names, strings.TrimPrefix(path, dir))
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return names
	}
	names := list(a)
	if have := list(b); len(names) == 0 || !slices.Equal(names, have) {
		t.Fatalf("files %q, want %q", have, names)
	}
	for _, name := range names {
		x, err := os.ReadFile(a + name)
		if err != nil {
			t.Fatal(err)
		}
		y, err := os.ReadFile(b + name)
		if err != nil || !bytes.Equal(x, y) {
			t.Errorf("%s differs: %v", name, err)
		}
	}
}

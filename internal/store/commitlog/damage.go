// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package commitlog

import (
	"errors"
	"fmt"
	"os"

	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/message"
)

// setAside deals with the damaged range [pos, next), which may reach over file
// ends: each file's part is copied, reported, and, where it reaches the end of
// its file, marked blank, so that a reader who knows only blanks goes on to the
// next file.
func (l *Log) setAside(r *Recovered, pos, next int64) error {
	for pos < next {
		f := l.fileAt(pos)
		end := min(next, f.start+l.opt.FileSize)
		d := Damage{File: f.path, Offset: pos, Length: end - pos}
		var err error
		if d.Copy, err = l.copyAside(f, pos, end); err != nil {
			return err
		}
		if rest := end - pos; end == f.start+l.opt.FileSize && rest >= message.BlankSize {
			if err := l.markBlank(f, pos, int32(rest)); err != nil {
				return err
			}
		}
		r.Damage = append(r.Damage, d)
		l.opt.Logger.Error("commit log: damaged bytes skipped",
			"file", d.File, "offset", d.Offset, "length", d.Length, "copy", d.Copy)
		pos = end
	}
	return nil
}

func (l *Log) markBlank(f *file, pos int64, rest int32) error {
	if err := f.acquire(); err != nil {
		return err
	}
	defer f.release()
	if _, err := f.f.WriteAt(message.AppendBlank(nil, rest), pos-f.start); err != nil {
		return fmt.Errorf("commitlog: write %s: %w", f.path, err)
	}
	return nil
}

// copyAside copies the part of [pos, end) up to its last byte that is not zero
// to a file named after the range, durably, and returns its path. A copy that a
// former recovery made of the same range stays as it is.
func (l *Log) copyAside(f *file, pos, end int64) (path string, err error) {
	path = fmt.Sprintf("%s/%020d-%d", l.opt.DamageDir, pos, end-pos)
	if _, _, err := l.opt.FS.Stat(path); err == nil {
		return path, nil
	}
	var out vfs.File
	var copied int64 // bytes of the range that out holds; beyond are holes
	partial := path + ".tmp"
	defer func() {
		if out != nil {
			err = errors.Join(err, out.Close())
		}
	}()
	buf := make([]byte, 256<<10)
	for off := pos; off < end; {
		if err := f.acquire(); err != nil {
			return "", err
		}
		at, err := f.f.NextData(off - f.start)
		f.release()
		if err != nil {
			return "", fmt.Errorf("commitlog: seek %s: %w", f.path, err)
		}
		if off = f.start + at; off >= end {
			break
		}
		b := buf[:min(int64(len(buf)), end-off)]
		if err := f.readAt(b, off); err != nil {
			return "", err
		}
		if i, j := nonZero(b); i >= 0 {
			if out == nil {
				if err := vfs.MkdirAllSync(l.opt.FS, l.opt.DamageDir); err != nil {
					return "", fmt.Errorf("commitlog: %w", err)
				}
				if out, err = l.opt.FS.OpenFile(partial, os.O_RDWR|os.O_CREATE|os.O_TRUNC); err != nil {
					return "", fmt.Errorf("commitlog: %w", err)
				}
			}
			if _, err := out.WriteAt(b[i:j], off+int64(i)-pos); err != nil {
				return "", fmt.Errorf("commitlog: copy damaged bytes to %s: %w", partial, err)
			}
			copied = off + int64(j) - pos
		}
		off += int64(len(b))
	}
	if copied == 0 {
		return "", nil
	}
	if err := out.Sync(); err != nil {
		return "", fmt.Errorf("commitlog: fdatasync %s: %w", partial, err)
	}
	if err := l.opt.FS.Rename(partial, path); err != nil {
		return "", fmt.Errorf("commitlog: %w", err)
	}
	return path, l.opt.FS.SyncDir(l.opt.DamageDir)
}

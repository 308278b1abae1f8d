// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"
)

// rewrite gives keys of a properties file other values, by RocketMQ's names: in place where a key stands there, in
// whatever spelling (only once: what it is set to again goes), else at the end. All other bytes stay.
func rewrite(text []byte, t *table, values map[string]string) []byte {
	out := make([]byte, 0, len(text)+64)
	written := map[string]bool{}
	if bytes.HasPrefix(text, mark) && utf8.Valid(text) { // else it is part of a key
		out, text = append(out, mark...), text[len(mark):]
	}
	open := false
	for len(text) > 0 {
		var n int
		n, open = logicalLine(text)
		line := text[:n]
		text = text[n:]
		as, name := keyOf(line, t)
		value, changes := values[name]
		switch {
		case !changes:
			out = append(out, line...)
		case !written[name]:
			written[name], open = true, false
			out = AppendProperty(out, as, value)
		}
	}
	if n := len(out); n > 0 && out[n-1] != '\n' && out[n-1] != '\r' {
		out = append(out, '\n')
	}
	if open { // an empty line continues it, and not what comes next; \r\n would be the end of one line
		out = append(out, out[len(out)-1])
	}
	for _, name := range sortedKeys(values) {
		if !written[name] {
			out = AppendProperty(out, name, values[name])
		}
	}
	return out
}

// mark is the byte order mark, which only counts at the beginning of a text.
var mark = []byte("\ufeff")

// logicalLine is how long the first line is, with the lines that continue it and the end. open: more of it could follow.
func logicalLine(text []byte) (n int, open bool) {
	at := 0
	for first := true; ; first = false {
		end := bytes.IndexAny(text[at:], "\r\n")
		line := text[at:]
		if end >= 0 {
			line = text[at : at+end]
		}
		plain := strings.TrimLeft(string(line), blanks)
		more := continues(plain) && !(first && (plain[0] == '#' || plain[0] == '!'))
		at += len(line)
		if end < 0 {
			return at, more
		}
		if at++; text[at-1] == '\r' && at < len(text) && text[at] == '\n' {
			at++
		}
		if !more || at == len(text) {
			return at, more
		}
	}
}

// keyOf is the key of a logical line, as it is spelled and by RocketMQ's name; "" for a line that sets none.
func keyOf(line []byte, t *table) (as, name string) {
	if bytes.HasPrefix(line, mark) {
		return "", ""
	}
	entries, err := ParseProperties(line)
	if err != nil || len(entries) != 1 {
		return "", ""
	}
	if k := t.named[entries[0].Key]; k != nil {
		return entries[0].Key, k.name
	}
	return "", ""
}

// ErrNotSynced is matched by an error of WriteFile after which the file is the new one, but may be the old one again when
// the machine crashes.
var ErrNotSynced = errors.New("the directory can't be synced")

// WriteFile replaces a configuration file as a whole and syncs it: after a crash it is the old one or the new one. A
// link stays one, and the file keeps its permissions and its owner; who owns it and the directory must let this process
// write. Until it is there it is in a file beside it that ends in .new; one that a crash left goes. Not concurrently for
// one file.
func WriteFile(name string, text []byte) (err error) {
	if len(text) > MaxFileSize {
		return fmt.Errorf("configuration %s: it would have %d bytes, at most %d are read", name, len(text), MaxFileSize)
	}
	fail := func(err error) error { return fmt.Errorf("configuration: %w", err) }
	real, err := filepath.EvalSymlinks(name)
	if err != nil {
		return fail(err)
	}
	info, err := os.Stat(real)
	if err != nil {
		return fail(err)
	}
	if !info.Mode().IsRegular() {
		return fail(&fs.PathError{Op: "write", Path: name, Err: fs.ErrPermission})
	}
	// Who may not write the file itself may not replace it either.
	probe, err := os.OpenFile(real, os.O_WRONLY, 0)
	if err != nil {
		return fail(err)
	}
	if err := probe.Close(); err != nil {
		return fail(err)
	}
	dir := filepath.Dir(real)
	if err := os.Remove(real + ".new"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fail(err)
	}
	f, err := os.OpenFile(real+".new", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fail(err)
	}
	renamed := false
	defer func() {
		if !renamed {
			os.Remove(f.Name())
		}
	}()
	_, err = f.Write(text)
	if err == nil {
		err = keepOwner(f, info)
	}
	if err == nil {
		err = f.Chmod(info.Mode().Perm())
	}
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(f.Name(), real)
	}
	if err != nil {
		return fail(err)
	}
	renamed = true
	d, err := os.Open(dir)
	if err == nil {
		err = errors.Join(d.Sync(), d.Close())
	}
	if err != nil {
		return fail(fmt.Errorf("%w: %w", ErrNotSynced, err))
	}
	return nil
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package segment

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/twostage/twostage/internal/vfs"
)

// NameLen is the length of a file name in bytes.
const NameLen = 20

// ErrLayout is what List wraps when a directory does not hold one gapless
// sequence of files of the given size.
var ErrLayout = errors.New("segment: files do not form one sequence")

// Name returns the file name for a file starting at offset (bytes, not
// negative).
func Name(offset int64) string { return string(AppendName(nil, offset)) }

// AppendName appends the file name for offset (bytes, not negative) to dst.
func AppendName(dst []byte, offset int64) []byte {
	if offset < 0 {
		panic("segment: negative offset")
	}
	var b [NameLen]byte
	for i := NameLen - 1; i >= 0; i-- {
		b[i] = byte('0' + offset%10)
		offset /= 10
	}
	return append(dst, b[:]...)
}

// Parse returns the start offset that a file name stands for. ok is false when
// name is not 20 digits or too large for an int64.
func Parse(name string) (offset int64, ok bool) {
	if len(name) != NameLen {
		return 0, false
	}
	for i := range NameLen {
		c := name[i]
		if c < '0' || c > '9' {
			return 0, false
		}
		d := int64(c - '0')
		if offset > (1<<63-1-d)/10 {
			return 0, false
		}
		offset = offset*10 + d
	}
	return offset, true
}

// Listing is what a directory holds. Starts is ascending and gapless.
type Listing struct {
	Starts []int64  // start offsets of the files, in bytes
	Other  []string // names in the directory that are no segment
}

// List reads dir, which holds files of fileSize bytes. A directory that does
// not exist is an empty listing. The error wraps ErrLayout and names the file
// when one does not start at a multiple of fileSize or when one is missing in
// between.
func List(fsys vfs.FS, dir string, fileSize int64) (Listing, error) {
	var l Listing
	if fileSize <= 0 {
		return l, fmt.Errorf("segment: file size %d of %s must be positive", fileSize, dir)
	}
	names, err := fsys.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return l, nil
	}
	if err != nil {
		return l, fmt.Errorf("segment: list %s: %w", dir, err)
	}
	for _, name := range names {
		start, ok := Parse(name)
		if !ok {
			l.Other = append(l.Other, name)
			continue
		}
		if start%fileSize != 0 {
			return l, fmt.Errorf("%w: %s/%s does not start at a multiple of the configured file size %d (was it written with another size?)",
				ErrLayout, dir, name, fileSize)
		}
		l.Starts = append(l.Starts, start)
	}
	slices.Sort(l.Starts)
	for i := 1; i < len(l.Starts); i++ {
		if want := l.Starts[i-1] + fileSize; l.Starts[i] != want {
			return l, fmt.Errorf("%w: %s lacks the file %s between %s and %s",
				ErrLayout, dir, Name(want), Name(l.Starts[i-1]), Name(l.Starts[i]))
		}
	}
	return l, nil
}

// Start returns the start offset of the file that holds offset.
func Start(offset, fileSize int64) int64 { return offset - offset%fileSize }

// Join returns the path of the file of dir that starts at offset.
func Join(dir string, offset int64) string { return dir + "/" + Name(offset) }

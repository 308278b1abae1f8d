// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package javacheck

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/twostage/twostage/internal/vfs"
)

// Without consumer offsets the loop begins at the first records.
func TestNoConsumerOffsets(t *testing.T) {
	d := newDirectory(t)
	d.half, d.op = 70, 30
	a := d.sent("A")
	d.committed(a)
	d.ops(a)
	d.sent("B")
	d.write("")
	r, err := Run(d.fs, "store", Options{})
	if err != nil {
		t.Fatal(err)
	}
	want(t, r)
	wantList(t, "resolved", r.Resolved, 70)
	wantList(t, "checked", r.WouldCheck, 71)
	if r.HalfOffset != 70 || r.OpOffset != 30 || r.HalfEnd != 73 || r.OpEnd != 32 {
		t.Errorf("%s", r)
	}
}

// Offsets outside of the queues are put right as getMessage does.
func TestOffsetsOutside(t *testing.T) {
	for _, offsets := range [][2]int64{{3, 2}, {99, 99}} {
		d := newDirectory(t)
		d.half, d.op = 70, 30
		a := d.sent("A")
		d.committed(a)
		d.ops(a)
		r := d.run(offsets[0], offsets[1], Options{})
		if offsets[0] < 70 { // op records too: the first pull only moves the op offset, and what it skips is asked about
			want(t, r, "twice [70]")
			continue
		}
		want(t, r)
		if r.HalfEnd != 71 || r.OpEnd != 31 {
			t.Errorf("%s", r)
		}
	}
}

// An empty log and one without transactions settle at once.
func TestNothingToDo(t *testing.T) {
	d := newDirectory(t)
	r := d.run(0, 0, Options{})
	if want(t, r); r.Rounds != 0 || r.LogEnd != 0 {
		t.Errorf("%s", r)
	}
}

// A torn record ends the log, as for Java.
func TestTornEnd(t *testing.T) {
	d := newDirectory(t)
	a := d.sent("A")
	d.committed(a)
	end := len(d.log)
	d.ops(a)
	for i := end + 100; i < len(d.log); i++ {
		d.log[i] = 0
	}
	r := d.run(0, 0, Options{})
	if want(t, r, "twice [0]"); r.LogEnd != int64(end) {
		t.Errorf("log end %d, want %d", r.LogEnd, end)
	}
}

// Bytes of another place that look like a record end the log too, and so does a
// missing file.
func TestForeignRecord(t *testing.T) {
	d := newDirectory(t)
	a := d.sent("A")
	d.committed(a)
	end := len(d.log)
	d.ops(a)
	d.log[end+28+6]++ // its physicalOffset
	r := d.run(0, 0, Options{})
	if want(t, r, "twice [0]"); r.LogEnd != int64(end) {
		t.Errorf("log end %d, want %d", r.LogEnd, end)
	}
}

func TestMissingFile(t *testing.T) {
	d := newDirectory(t)
	for len(d.log) < 3*d.fileSize {
		d.sent("A")
	}
	d.write("")
	if err := d.fs.Remove(fmt.Sprintf("store/commitlog/%020d", d.fileSize)); err != nil {
		t.Fatal(err)
	}
	r, err := Run(d.fs, "store", Options{})
	if err != nil || r.LogEnd != int64(d.fileSize) {
		t.Errorf("%v, %s", err, r)
	}
}

// Records larger than a read, and over many files.
func TestLargeRecords(t *testing.T) {
	d := newDirectory(t)
	d.fileSize = 4 << 20
	d.sent("A", "pad", strings.Repeat("x", 30<<10))
	for range 5 {
		half := d.sent("L")
		d.halves[half].Body = make([]byte, 3<<20)
		d.committed(half)
		d.ops(half)
	}
	r := d.run(0, 0, Options{})
	want(t, r)
	wantList(t, "checked", r.WouldCheck, 0)
	wantList(t, "resolved", r.Resolved, 1, 2, 3, 4, 5)
	if r.LogEnd != int64(len(d.log)) {
		t.Errorf("log end %d, want %d", r.LogEnd, len(d.log))
	}
}

func TestErrors(t *testing.T) {
	if _, err := Run(vfs.NewMem(), "store", Options{}); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "commitlog") {
		t.Errorf("no directory: %v", err)
	}
	for name, tc := range map[string]struct {
		write func(*directory) (offsets string)
		names string
	}{
		"offsets": {func(*directory) string { return `{"offsetTable":` }, "consumerOffset.json"},
		"another queue": {func(d *directory) string {
			d.sent("A")
			d.log[15] = 3 // its queue id
			return ""
		}, "queue RMQ_SYS_TRANS_HALF_TOPIC/3"},
		"gap": {func(d *directory) string {
			d.sent("A")
			d.half += 1 << 30
			d.sent("B")
			return ""
		}, "gap"},
		"backwards": {func(d *directory) string {
			d.half = 9
			d.sent("A")
			d.half = 8
			d.sent("B")
			return ""
		}, "queue offset 8"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDirectory(t)
			d.write(tc.write(d))
			if _, err := Run(d.fs, "store", Options{}); err == nil || !strings.Contains(err.Error(), tc.names) {
				t.Errorf("error %v, want one that names %s", err, tc.names)
			}
		})
	}
}

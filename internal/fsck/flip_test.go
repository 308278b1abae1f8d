// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package fsck

import (
	"slices"
	"strings"
	"testing"

	"github.com/twostage/twostage/message"
)

// TestClean: what our own store leaves is right, after a stop and after a kill.
func TestClean(t *testing.T) {
	r := verify(t, stopped(t))
	if !r.Clean || len(r.Findings) != 0 || r.Records != 69 || r.Ops != 3 || r.Keys != 40*3+1+3+2+20 || r.QueueEntries != 69 {
		t.Errorf("%+v", r)
	}
	r = verify(t, killed(t))
	for _, f := range r.Findings {
		if f.Level != Behind {
			t.Error(f)
		}
	}
	if !r.Clean || !r.Aborted || r.Behind == 0 || r.Records != 139 {
		t.Errorf("%+v", r)
	}
}

// TestFlips changes single bytes of queues, index and checkpoint. Each is named,
// and nothing else.
func TestFlips(t *testing.T) {
	m := stopped(t)
	files := tree(t, m, dir)
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	n := 0
	for _, name := range names {
		kind, _, _ := strings.Cut(strings.TrimPrefix(name, dir+"/"), "/")
		data := files[name]
		if kind == "checkpoint" {
			data = data[:24]
		}
		if kind != "consumequeue" && kind != "index" && kind != "checkpoint" {
			continue
		}
		for at := range data {
			if n++; n%5 != 0 {
				continue // they are many
			}
			mask := []byte{0x80, 0x01, 0x10}[n%3]
			if kind == "index" && unusedIndex(at, data) || kind == "checkpoint" && (at%8 > 4 || data[at]&mask != 0) { // it may claim less
				continue
			}
			change(t, m, name, int64(at), data[at]^mask)
			r := verify(t, m)
			delivery := strings.Contains(name, message.TopicSchedule) && at%20 >= 12 // may be of other levels: a note
			if r.Clean && !delivery || len(r.Findings) == 0 {
				t.Errorf("%s: byte %d flipped by %#x: clean", name, at, mask)
			}
			for _, f := range r.Findings {
				if f.Level != Damage && !delivery || f.File != name || f.Offset > int64(at) || f.Offset+f.Length <= int64(at) {
					t.Errorf("%s: byte %d flipped by %#x: %v (length %d)", name, at, mask, f, f.Length)
				}
			}
			change(t, m, name, int64(at), data[at])
		}
	}
	if r := verify(t, m); len(r.Findings) != 0 {
		t.Fatalf("%v", r.Findings)
	}
}

// unusedIndex tells that a byte of an index file means nothing: entry 0, and what
// is behind the last entry.
func unusedIndex(at int, data []byte) bool {
	entries := 40 + 4*13
	count := int(be.Uint32(data[36:]))
	return at >= entries && at < entries+20 || at >= entries+20*count
}

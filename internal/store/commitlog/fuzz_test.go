// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package commitlog

import (
	"bytes"
	"encoding/hex"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/twostage/twostage/internal/store/segment"
	"github.com/twostage/twostage/internal/store/storetest"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/message"
)

// place is a record of the log before it is changed.
type place struct{ at, size int }

// fuzzedLog is a log over several files: records of both versions and both
// kinds of hosts, with properties, some larger than a sector, some very small, and
// one whose body holds a record that stands where it says.
func fuzzedLog(t testing.TB) (files [][]byte, records []place) {
	t.Helper()
	m := vfs.NewMem()
	l, _ := openLog(t, m, nil)
	rng := rand.New(rand.NewPCG(3, 4))
	v4, v6 := netip.MustParseAddrPort("127.0.0.1:10911"), netip.MustParseAddrPort("[2001:db8::1]:10911")
	for i := range 40 {
		r := message.Record{Topic: []byte("T"), Body: make([]byte, rng.IntN(900)), BornHost: v4, StoreHost: v4, QueueID: int32(i % 4), QueueOffset: int64(i / 4)}
		switch i % 8 {
		case 1:
			r.Topic = []byte(strings.Repeat("long", 40)) // the other magic
		case 2:
			r.BornHost, r.StoreHost = v6, v6
		case 3:
			r.BornHost, r.Body = v6, nil
		case 4:
			r.Properties = message.AppendProperty(nil, "KEYS", strings.Repeat("k ", 1+rng.IntN(600)))
		case 5:
			r.Body = r.Body[:len(r.Body)%7]
		}
		for j := range r.Body {
			r.Body[j] = byte(rng.Uint32())
		}
		if i == 20 {
			r.Body = record([]byte("inner"), 7)
		}
		b := message.AppendRecord(nil, &r)
		if int64(len(b)) > l.Room() {
			if err := l.Roll(); err != nil {
				t.Fatal(err)
			}
		}
		if i == 20 {
			inner := bytes.Index(b, []byte{0xDA, 0xA3, 0x20}) // its own magic
			inner += 1 + bytes.Index(b[inner+1:], []byte{0xDA, 0xA3, 0x20}) - 4
			message.PatchPosition(r.Body, 0, l.End()+int64(inner), 7)
			b = message.AppendRecord(nil, &r)
		}
		message.PatchPosition(b, r.QueueOffset, l.End(), int64(1000+i))
		records = append(records, place{int(l.End()), len(b)})
		if err := l.Write(b, int64(1000+i)); err != nil {
			t.Fatal(err)
		}
	}
	for _, start := range l.Starts() {
		data, err := vfs.ReadFile(m, segment.Join(testDir, start))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, data)
	}
	if len(files) < 4 {
		t.Fatalf("only %d files", len(files))
	}
	return files, records
}

// FuzzRecoverMutated recovers a log whose files were changed in several places
// and compares with the records that still stand where they stood.
func FuzzRecoverMutated(f *testing.F) {
	files, records := fuzzedLog(f)
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range 40 {
		f.Add(storetest.Program(rng, 1+i%6))
	}
	f.Fuzz(func(t *testing.T, program []byte) { recoverMutated(t, files, records, program) })
}

// TestRecoverMutated is the same over many random changes.
func TestRecoverMutated(t *testing.T) {
	files, records := fuzzedLog(t)
	rng := rand.New(rand.NewPCG(5, 6))
	for i := range 400 {
		program := storetest.Program(rng, 1+i%9)
		t.Run(hex.EncodeToString(program), func(t *testing.T) { recoverMutated(t, files, records, program) })
	}
}

// TestFindAcrossReads: a record behind damage is found wherever the reads of the
// search end.
func TestFindAcrossReads(t *testing.T) {
	const size = scanChunk + 8192
	file := bytes.Repeat([]byte{0xDA}, size)
	first := record(body(0), 1)
	message.PatchPosition(first, 0, 0, 1)
	copy(file, first)
	o := Options{FS: vfs.NewMem(), Dir: testDir, DamageDir: "/s/damaged", FileSize: size}
	if err := o.FS.MkdirAll(testDir); err != nil {
		t.Fatal(err)
	}
	second := record(body(1), 2)
	for before := -2; before < headerCheck+4; before++ {
		at := len(first) + 1 + scanChunk - before
		message.PatchPosition(second, 1, int64(at), 2)
		damaged := bytes.Clone(file)
		clear(damaged[at+copy(damaged[at:], second):])
		if err := vfs.WriteFile(o.FS, segment.Join(testDir, 0), damaged); err != nil {
			t.Fatal(err)
		}
		l, err := Open(o)
		if err != nil {
			t.Fatal(err)
		}
		r, err := l.Recover(0, func(*message.Record) error { return nil })
		if err != nil || r.Records != 2 || r.End != int64(at+len(second)) {
			t.Fatalf("a record that begins %d bytes before the end of a read: %+v, %v", before, r, err)
		}
		if err := l.Close(true); err != nil {
			t.Fatal(err)
		}
	}
}

func recoverMutated(t *testing.T, files [][]byte, records []place, program []byte) {
	m := vfs.NewMem()
	if err := m.MkdirAll(testDir); err != nil {
		t.Fatal(err)
	}
	now := storetest.Mutate(files, program)
	var log []byte // as recovery meets it: short files are full again
	for i, b := range now {
		if err := vfs.WriteFile(m, segment.Join(testDir, int64(i*fileSize)), b); err != nil {
			t.Fatal(err)
		}
		log = append(log, b...)
		log = append(log, make([]byte, fileSize-len(b))...)
	}
	reads := 0
	m.Fail(func(op vfs.Op, _ string) error {
		if op == vfs.OpRead {
			if reads++; reads > 100*fileSize {
				t.Fatal("recovery does not end")
			}
		}
		return nil
	})
	l, visited, r := recovered(t, m, log)
	checkSurvivors(t, bytes.Join(files, nil), log, records, visited, r)
	checkAccount(t, l, log, visited, r)

	// A second recovery finds the same, and the log goes on.
	l, again, r2 := recovered(t, m, log)
	if !slices.Equal(again, visited) || r2.End != r.End || r2.Cut != 0 {
		t.Errorf("the second recovery has %d records up to %d and cuts %d bytes, the first had %d up to %d", len(again), r2.End, r2.Cut, len(visited), r.End)
	}
	for i := range 12 {
		pos := mustAdd(t, l, body(i), 5000)
		visited = append(visited, place{int(pos), int(l.End() - pos)})
	}
	if err := l.Close(true); err != nil {
		t.Fatal(err)
	}
	if _, again, r = recovered(t, m, nil); !slices.Equal(again, visited) || r.Cut != 0 {
		t.Errorf("after 12 more records %d are found, want %d", len(again), len(visited))
	}
}

// recovered opens the log and gives its records. Unless log is nil they are
// compared with it: each must be one that the independent reader knows.
func recovered(t *testing.T, m *vfs.Mem, log []byte) (*Log, []place, Recovered) {
	t.Helper()
	var visited []place
	end := 0
	l, r := openLog(t, m, func(rec *message.Record) error {
		at, size := int(rec.PhysicalOffset), int(rec.Size)
		if at < end {
			t.Fatalf("record at %d, the one before ends at %d", at, end)
		}
		if n, ok := storetest.Sound(log, at); log != nil && (!ok || n != size) {
			t.Fatalf("%d bytes at %d were taken for a record", size, at)
		}
		end = at + size
		visited = append(visited, place{at, size})
		return nil
	})
	return l, visited, r
}

// checkSurvivors holds that what still stands where it stood is found, but for
// what the format cannot tell: behind a marker for the end of a file that was not
// there before, and inside of a record that is another one now.
func checkSurvivors(t *testing.T, before, log []byte, records, visited []place, r Recovered) {
	t.Helper()
	for _, p := range records {
		if !bytes.Equal(before[p.at:p.at+p.size], log[p.at:p.at+p.size]) || slices.Contains(visited, p) {
			continue
		}
		exempt := false
		for at := p.at - p.at%fileSize; at < p.at; at++ {
			n, forged := storetest.Sound(log, at)
			if forged = forged && at+n > p.at && !slices.Contains(records, place{at, n}); forged && at+n > p.at+p.size {
				// It holds the record as part of its body: it was there before.
				forged = !bytes.Equal(before[at:at+n], log[at:at+n])
			}
			exempt = exempt || forged || storetest.Blank(log, at, fileSize) && !storetest.Blank(before, at, fileSize)
		}
		if !exempt {
			t.Fatalf("the record at %d, of %d bytes, is as it was and is not found: %+v", p.at, p.size, r)
		}
	}
}

// checkAccount holds that every byte from the start to the end is in a record,
// in what was reported as damage, or behind a marker; that damage was copied as
// it was; and that zeros follow.
func checkAccount(t *testing.T, l *Log, log []byte, visited []place, r Recovered) {
	t.Helper()
	pos := 0
	for pos < int(r.End) {
		if len(visited) > 0 && visited[0].at == pos {
			pos += visited[0].size
			visited = visited[1:]
		} else if len(r.Damage) > 0 && int(r.Damage[0].Offset) == pos {
			d := r.Damage[0]
			end := pos + int(d.Length)
			if d.File != segment.Join(testDir, segment.Start(d.Offset, fileSize)) || d.Length <= 0 || end > pos-pos%fileSize+fileSize {
				t.Fatalf("damage %+v", d)
			}
			checkCopy(t, l, d, log[pos:end])
			pos = end
			r.Damage = r.Damage[1:]
		} else if storetest.Blank(log, pos, fileSize) {
			pos += fileSize - pos%fileSize
		} else {
			t.Fatalf("the bytes at %d are neither a record nor reported: %+v", pos, r)
		}
	}
	if len(visited) > 0 || len(r.Damage) > 0 || pos != int(r.End) {
		t.Errorf("the log ends at %d, behind are records %v and damage %+v", r.End, visited, r.Damage)
	}
	for _, start := range l.Starts() {
		data, err := vfs.ReadFile(l.opt.FS, segment.Join(testDir, start))
		if err != nil || len(data) != fileSize {
			t.Fatalf("the file at %d has %d bytes: %v", start, len(data), err)
		}
		if from := max(0, min(int(r.End-start), fileSize)); len(bytes.Trim(data[from:], "\x00")) > 0 {
			t.Errorf("behind the end at %d, in the file at %d, are bytes that are not zero", r.End, start)
		}
	}
}

func checkCopy(t *testing.T, l *Log, d Damage, want []byte) {
	t.Helper()
	want = bytes.TrimRight(want, "\x00")
	if d.Copy == "" {
		if len(want) > 0 {
			t.Errorf("the damage %+v has no copy", d)
		}
		return
	}
	if got, err := vfs.ReadFile(l.opt.FS, d.Copy); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the copy of the damage %+v has %d bytes, want %d: %v", d, len(got), len(want), err)
	}
}

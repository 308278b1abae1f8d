// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package story

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/twostage/twostage/internal/vfs"
)

const dir = "/store/transactions/story"

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, m vfs.FS, maxBytes int64) *Log {
	t.Helper()
	l, err := Open(Config{FS: m, Dir: dir, MaxBytes: maxBytes})
	must(t, err)
	return l
}

// ev returns the n-th event, one of half message n%4.
func ev(n int) Event {
	return Event{At: int64(n), Half: int64(n % 4), Kind: Kind(n%7) + 1, Outcome: uint8(n), Count: int32(-n), Who: fmt.Sprintf("10.0.0.%d:1", n), Note: strings.Repeat("x", n%30)}
}

func find(t testing.TB, l *Log, half ...int64) []Event {
	t.Helper()
	events, err := l.Find(half...)
	must(t, err)
	return events
}

// all finds every event that ev makes.
func all(t testing.TB, l *Log) []Event {
	t.Helper()
	return find(t, l, 0, 1, 2, 3)
}

// wantEvents wants the events ev(from) to ev(to-1).
func wantEvents(t testing.TB, l *Log, from, to int) {
	t.Helper()
	got := all(t, l)
	if len(got) != to-from {
		t.Fatalf("%d events, want %d", len(got), to-from)
	}
	for i, e := range got {
		if e != ev(from+i) {
			t.Fatalf("event %d is %+v, want %+v", from+i, e, ev(from+i))
		}
	}
}

func filePath(number int) string { return fmt.Sprintf("%s/%020d", dir, number) }

// onDisk returns the names in dir and the bytes of all files.
func onDisk(t testing.TB, m *vfs.Mem) (names []string, bytes int64) {
	t.Helper()
	names, err := m.ReadDir(dir)
	must(t, err)
	for _, name := range names {
		size, _, err := m.Stat(dir + "/" + name)
		must(t, err)
		bytes += size
	}
	return names, bytes
}

func TestLayout(t *testing.T) {
	m := vfs.NewMem()
	l := open(t, m, 1<<20)
	l.Append(Event{At: 1, Half: 2, Kind: Operated, Outcome: 3, Count: -1, Who: "ab", Note: "cde"})
	must(t, l.Write())
	b, err := vfs.ReadFile(m, filePath(0))
	must(t, err)
	body := "0000000000000001" + "0000000000000002" + "04" + "03" + "ffffffff" + "02" + "0003" + "6162" + "636465"
	raw, err := hex.DecodeString(body)
	must(t, err)
	want := fmt.Sprintf("%x0000001e%08x%s", header, crc32.Checksum(raw, crc32.MakeTable(crc32.Castagnoli)), body)
	if got := hex.EncodeToString(b); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestWrittenAndWaiting(t *testing.T) {
	m := vfs.NewMem()
	l := open(t, m, 1<<20)
	if got := all(t, l); got != nil {
		t.Errorf("an empty story has %v", got)
	}
	for n := range 30 {
		l.Append(ev(n))
		if n == 9 || n == 10 || n == 19 {
			must(t, l.Write())
		}
	}
	wantEvents(t, l, 0, 30)
	for _, e := range find(t, l, 2) {
		if e.Half != 2 {
			t.Errorf("found %+v", e)
		}
	}
	if n := len(find(t, l, 2)); n != 7 {
		t.Errorf("%d of half message 2", n)
	}
	if got := find(t, l); got != nil {
		t.Errorf("of none: %v", got)
	}
	m = m.Kill()
	l = open(t, m, 1<<20)
	wantEvents(t, l, 0, 20)
	for n := 20; n < 25; n++ {
		l.Append(ev(n))
	}
	must(t, l.Close())
	must(t, l.Close())
	l.Append(ev(1))
	l2 := open(t, m.Crash(vfs.CrashOptions{}), 1<<20)
	wantEvents(t, l2, 0, 25)
	_, err := l.Find(1)
	for _, err := range []error{err, l.Write()} {
		if !errors.Is(err, fs.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	}
}

func TestLongTexts(t *testing.T) {
	l := open(t, vfs.NewMem(), 1<<20)
	for _, c := range []struct{ who, note, cutWho, cutNote string }{
		{strings.Repeat("w", 255), strings.Repeat("n", 1024), strings.Repeat("w", 255), strings.Repeat("n", 1024)},
		{strings.Repeat("w", 256), strings.Repeat("n", 9999), strings.Repeat("w", 255), strings.Repeat("n", 1024)},
		{strings.Repeat("w", 254) + "é", strings.Repeat("n", 1021) + "😀", strings.Repeat("w", 254), strings.Repeat("n", 1021)},
		{strings.Repeat("\x80", 300), strings.Repeat("é", 512) + "é", strings.Repeat("\x80", 255), strings.Repeat("é", 512)},
	} {
		l.Append(Event{Half: 9, Who: c.who, Note: c.note})
		must(t, l.Write())
		got := find(t, l, 9)
		if e := got[len(got)-1]; e.Who != c.cutWho || e.Note != c.cutNote {
			t.Errorf("got %d and %d bytes, want %d and %d", len(e.Who), len(e.Note), len(c.cutWho), len(c.cutNote))
		}
	}
}

func TestKindString(t *testing.T) {
	for k, want := range map[Kind]string{Checked: "checked", Operated: "decided by an operator", Discarded: "discarded", 0: "Kind(0)", 8: "Kind(8)"} {
		if got := k.String(); got != want {
			t.Errorf("kind %d is %q", k, got)
		}
	}
}

// TestTornTail cuts a story at every byte, and damages each.
func TestTornTail(t *testing.T) {
	m := vfs.NewMem()
	l := open(t, m, 1<<20)
	ends := []int{len(header)}
	whole := []byte(header)
	for n := range 4 {
		l.Append(ev(n))
		whole = appendRecord(whole, ev(n))
		ends = append(ends, len(whole))
	}
	must(t, l.Close())
	if b, err := vfs.ReadFile(m, filePath(0)); err != nil || !bytes.Equal(b, whole) {
		t.Fatalf("%v: %x, want %x", err, b, whole)
	}
	check := func(b []byte, left int, warns bool) {
		t.Helper()
		m := vfs.NewMem()
		must(t, vfs.MkdirAllSync(m, dir))
		must(t, vfs.WriteFile(m, filePath(0), b))
		must(t, m.SyncDir(dir))
		var said bytes.Buffer
		l, err := Open(Config{FS: m, Dir: dir, MaxBytes: 1 << 20, Logger: slog.New(slog.NewTextHandler(&said, nil))})
		must(t, err)
		if warns != strings.Contains(said.String(), filePath(0)) {
			t.Errorf("%d bytes: said %q", len(b), said.String())
		}
		wantEvents(t, l, 0, left)
		m = m.Crash(vfs.CrashOptions{}) // the rest does not come back
		l = open(t, m, 1<<20)
		for n := left; n < 6; n++ {
			l.Append(ev(n))
			must(t, l.Write())
		}
		wantEvents(t, l, 0, 6)
		wantEvents(t, open(t, m.Kill(), 1<<20), 0, 6)
	}
	for size := range len(whole) + 1 {
		left := 0
		for left < 4 && ends[left+1] <= size {
			left++
		}
		check(whole[:size], left, size > 0 && !slices.Contains(ends, size))
	}
	for i := range whole {
		b := bytes.Clone(whole)
		b[i] ^= 0x40
		left := 0
		for i >= ends[0] && left < 4 && ends[left+1] <= i {
			left++
		}
		check(b, left, true)
	}
	check(append(bytes.Clone(whole), make([]byte, 5000)...), 4, true)
	check(make([]byte, 5000), 0, true)
}

func TestOpenRefuses(t *testing.T) {
	m := vfs.NewMem()
	if _, err := Open(Config{FS: m, Dir: dir, MaxBytes: minBytes - 1}); err == nil || !strings.Contains(err.Error(), "at least 16384") {
		t.Errorf("too small: %v", err)
	}
	must(t, m.MkdirAll(filePath(3)))
	if _, err := Open(Config{FS: m, Dir: dir, MaxBytes: minBytes}); err == nil || !strings.Contains(err.Error(), filePath(3)) {
		t.Errorf("a directory: %v", err)
	}
}

// TestConcurrent appends, writes and finds at the same time. Each appender finds
// its own events in order and without a gap.
func TestConcurrent(t *testing.T) {
	const appenders, each = 3, 300
	m := vfs.NewMem()
	l := open(t, m, 1<<20)
	var wg sync.WaitGroup
	for a := range int64(appenders) {
		wg.Go(func() {
			for n := range int64(each) {
				l.Append(Event{Half: a, At: n})
				if n%20 == a {
					if err := l.Write(); err != nil {
						t.Error(err)
					}
				}
				if n%50 != 49 {
					continue
				}
				got, err := l.Find(a)
				if err != nil || int64(len(got)) != n+1 {
					t.Errorf("found %d of %d, %v", len(got), n+1, err)
					return
				}
				for i, e := range got {
					if e.At != int64(i) {
						t.Errorf("event %d stands at %d", e.At, i)
					}
				}
			}
		})
	}
	wg.Wait()
	must(t, l.Close())
	l = open(t, m, 1<<20)
	for a := range int64(appenders) {
		if n := len(find(t, l, a)); n != each {
			t.Errorf("%d events of %d", n, a)
		}
	}
}

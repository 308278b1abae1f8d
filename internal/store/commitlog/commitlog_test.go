// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package commitlog

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/twostage/twostage/internal/store/segment"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/message"
)

const (
	testDir  = "/s/commitlog"
	fileSize = 4096
)

func options(fsys vfs.FS) Options {
	return Options{FS: fsys, Dir: testDir, DamageDir: "/s/damaged", FileSize: fileSize}
}

func record(body []byte, ts int64) []byte {
	host := netip.MustParseAddrPort("127.0.0.1:10911")
	return message.AppendRecord(nil, &message.Record{Topic: []byte("T"), Body: body, BornHost: host, StoreHost: host, StoreTimestamp: ts})
}

// openEmpty opens a log and recovers from its start.
func openLog(t testing.TB, fsys vfs.FS, visit func(*message.Record) error) (*Log, Recovered) {
	t.Helper()
	l, err := Open(options(fsys))
	if err != nil {
		t.Fatal(err)
	}
	if visit == nil {
		visit = func(*message.Record) error { return nil }
	}
	r, err := l.Recover(l.Min(), visit)
	if err != nil {
		t.Fatal(err)
	}
	return l, r
}

// add appends a record and returns where it is.
func add(l *Log, body []byte, ts int64) (int64, error) {
	rec := record(body, ts)
	if int64(len(rec)) > l.Room() {
		if err := l.Roll(); err != nil {
			return 0, err
		}
	}
	pos := l.End()
	message.PatchPosition(rec, 0, pos, ts)
	return pos, l.Write(rec, ts)
}

func mustAdd(t testing.TB, l *Log, body []byte, ts int64) int64 {
	t.Helper()
	pos, err := add(l, body, ts)
	if err != nil {
		t.Fatal(err)
	}
	return pos
}

func bodies(list *[]string) func(*message.Record) error {
	return func(r *message.Record) error {
		*list = append(*list, string(r.Body))
		return nil
	}
}

func body(i int) []byte { return bytes.Repeat([]byte{byte('a' + i%26)}, 100+i*37%400) }

func TestRollAndReopen(t *testing.T) {
	m := vfs.NewMem()
	l, r := openLog(t, m, nil)
	if r.End != 0 || l.Room() != 0 {
		t.Fatalf("new log ends at %d, room %d", r.End, l.Room())
	}
	var want []string
	var at []int64
	for i := range 60 {
		at = append(at, mustAdd(t, l, body(i), int64(1000+i)))
		want = append(want, string(body(i)))
	}
	if len(l.Starts()) < 4 {
		t.Fatalf("only %d files", len(l.Starts()))
	}
	for i, pos := range at {
		rec, err := l.ReadRecord(nil, pos)
		var r message.Record
		if err == nil {
			_, err = message.DecodeRecord(rec, &r, true)
		}
		if err != nil || string(r.Body) != want[i] || r.PhysicalOffset != pos {
			t.Fatalf("record %d at %d: %v", i, pos, err)
		}
		view, ref, err := l.View(pos, len(rec))
		if err != nil || !bytes.Equal(view, rec) {
			t.Fatalf("view of record %d: %v", i, err)
		}
		ref.Release()
	}
	for _, pos := range []int64{-1, at[3] + 1, l.End(), l.End() + 5, 1 << 50} {
		if _, err := l.ReadRecord(nil, pos); !errors.Is(err, ErrNotFound) {
			t.Fatalf("ReadRecord(%d) = %v", pos, err)
		}
	}
	// Every file but the last ends in a blank that counts to its end.
	for _, start := range l.Starts()[:len(l.Starts())-1] {
		data, err := vfs.ReadFile(m, segment.Join(testDir, start))
		if err != nil || len(data) != fileSize {
			t.Fatalf("file %d: %d bytes, %v", start, len(data), err)
		}
		i := bytes.LastIndex(data, []byte{0xCB, 0xD4, 0x31, 0x94})
		if i < 4 || int(be.Uint32(data[i-4:])) != fileSize-i+4 {
			t.Fatalf("file %d has no right blank", start)
		}
	}
	end := l.End()
	if err := l.Close(true); err != nil {
		t.Fatal(err)
	}
	var got []string
	l, r = openLog(t, m, bodies(&got))
	if r.End != end || strings.Join(got, " ") != strings.Join(want, " ") || r.Cut != 0 || l.LastTimestamp() != 1059 {
		t.Fatalf("reopened: %+v, %d records", r, len(got))
	}
	if l.Room() < int64(len(record(body(1), 0))) {
		end = segment.Start(end, fileSize) + fileSize
	}
	if pos := mustAdd(t, l, body(1), 2000); pos != end {
		t.Fatalf("went on at %d, want %d", pos, end)
	}
	if ts, ok, err := l.FirstTimestamp(fileSize); err != nil || !ok || ts <= 1000 {
		t.Fatalf("FirstTimestamp = %d %v %v", ts, ok, err)
	}
	walked := 0
	if err := l.Walk(0, func(*message.Record) error { walked++; return nil }); err != nil || walked != 61 {
		t.Fatalf("Walk saw %d, %v", walked, err)
	}
}

func TestExactFit(t *testing.T) {
	m := vfs.NewMem()
	l, _ := openLog(t, m, nil)
	overhead := len(record(nil, 0))
	// Fills a file so that nothing but a blank marker of 8 bytes remains.
	mustAdd(t, l, make([]byte, fileSize-8-overhead), 1)
	if l.Room() != 0 {
		t.Fatalf("room %d", l.Room())
	}
	if pos := mustAdd(t, l, []byte("x"), 2); pos != fileSize {
		t.Fatalf("second record at %d", pos)
	}
	if err := l.Write(record(make([]byte, fileSize), 3), 3); err == nil {
		t.Fatal("a record larger than the file was written")
	}
	if l.Err() != nil {
		t.Fatal("refusing it stopped the log")
	}
	var got []string
	_, r := openLog(t, m, bodies(&got))
	if len(got) != 2 || r.End != l.End() {
		t.Fatalf("%d records, end %d", len(got), r.End)
	}
}

func TestWriteErrorStopsTheLog(t *testing.T) {
	for _, op := range []vfs.Op{vfs.OpWrite, vfs.OpSync} {
		m := vfs.NewMem()
		l, _ := openLog(t, m, nil)
		mustAdd(t, l, body(1), 1)
		m.Fail(func(o vfs.Op, name string) error {
			if o == op {
				return syscall.EIO
			}
			return nil
		})
		end := l.End()
		_, err := add(l, body(2), 2)
		if op == vfs.OpSync {
			_, _, err = l.Sync()
		} else if l.End() != end {
			t.Fatal("a failed write moved the end")
		}
		if !errors.Is(err, ErrFailed) || !errors.Is(err, syscall.EIO) {
			t.Fatalf("%v: %v", op, err)
		}
		m.Fail(nil)
		if _, err := add(l, body(3), 3); !errors.Is(err, ErrFailed) {
			t.Fatalf("write after a failed %v: %v", op, err)
		}
		if _, _, err := l.Sync(); !errors.Is(err, ErrFailed) {
			t.Fatalf("sync after a failed %v: %v", op, err)
		}
		if l.Synced() != 0 {
			t.Fatalf("synced %d", l.Synced())
		}
	}
}

func TestNoSpace(t *testing.T) {
	m := vfs.NewMem()
	m.SetCapacity(3 * fileSize)
	l, _ := openLog(t, m, nil)
	n := 0
	for ; ; n++ {
		if _, err := add(l, body(n), 1); err != nil {
			if !errors.Is(err, syscall.ENOSPC) || l.Err() != nil {
				t.Fatalf("%v (stopped: %v)", err, l.Err())
			}
			break
		}
	}
	if names, _ := m.ReadDir(testDir); len(names) > 3 {
		t.Fatalf("files %v", names)
	}
	m.SetCapacity(10 * fileSize)
	mustAdd(t, l, body(n), 1)
	var got []string
	openLog(t, m, bodies(&got))
	if len(got) != n+1 {
		t.Fatalf("%d records, want %d", len(got), n+1)
	}
}

func TestAheadIsReservedAndDeleted(t *testing.T) {
	m := vfs.NewMem()
	l, _ := openLog(t, m, nil)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { l.RunAhead(ctx) })
	for l.End() < fileSize*3/4 {
		mustAdd(t, l, body(3), 1)
	}
	// nextFile waits for a reservation under way, or finds it done.
	cancel()
	wg.Wait()
	l.ahead.want(fileSize)
	ctx, cancel = context.WithCancel(context.Background())
	wg.Go(func() { l.RunAhead(ctx) })
	l.ahead.mu.Lock()
	for l.ahead.ready != fileSize {
		l.ahead.cond.Wait()
	}
	l.ahead.mu.Unlock()
	cancel()
	wg.Wait()
	if size, _, err := m.Stat(segment.Join(testDir, fileSize)); err != nil || size != fileSize {
		t.Fatalf("reserved file: %d, %v", size, err)
	}
	if err := l.Close(true); err != nil {
		t.Fatal(err)
	}
	if _, _, err := m.Stat(segment.Join(testDir, fileSize)); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("reserved file after Close: %v", err)
	}
}

func TestPoolBoundsOpenFiles(t *testing.T) {
	m := vfs.NewMem()
	o := options(m)
	o.MaxOpen = 3
	l, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Recover(0, func(*message.Record) error { return nil }); err != nil {
		t.Fatal(err)
	}
	var at []int64
	for i := range 200 {
		at = append(at, mustAdd(t, l, body(i), 1))
		if i%20 == 19 {
			if _, _, err := l.Sync(); err != nil {
				t.Fatal(err)
			}
		}
	}
	held, ref, err := l.View(at[0], 100)
	if err != nil {
		t.Fatal(err)
	}
	before := bytes.Clone(held)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(g), 1))
			for range 500 {
				pos := at[rng.IntN(len(at))]
				size, _, err := l.Head(pos)
				if err != nil {
					t.Error(err)
					return
				}
				_, r, err := l.View(pos, int(size))
				if err != nil {
					t.Error(err)
					return
				}
				r.Release()
			}
		})
	}
	wg.Wait()
	l.pool.mu.Lock()
	n := len(l.pool.open)
	l.pool.mu.Unlock()
	if n > 3+4+1 { // four readers and the writer hold some open
		t.Fatalf("%d files open", n)
	}
	if err := l.Close(true); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(held, before) {
		t.Fatal("a held view changed")
	}
	ref.Release()
	if _, _, err := l.View(at[0], 100); !errors.Is(err, ErrNotFound) {
		t.Fatalf("View after Close: %v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	m := vfs.NewMem()
	l, _ := openLog(t, m, nil)
	for i := range 40 {
		mustAdd(t, l, body(i), 1)
	}
	o := options(m)
	o.FileSize = 2 * fileSize
	if _, err := Open(o); !errors.Is(err, segment.ErrLayout) {
		t.Fatalf("other file size: %v", err)
	}
	o.FileSize = 10
	if _, err := Open(o); err == nil {
		t.Fatal("tiny file size accepted")
	}
	if err := m.Remove(segment.Join(testDir, fileSize)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(options(m)); !errors.Is(err, segment.ErrLayout) {
		t.Fatalf("gap: %v", err)
	}
	if _, err := l.Recover(1<<40, nil); err == nil {
		t.Fatal("recovery from nowhere accepted")
	}
}

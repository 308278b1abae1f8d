// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package fsck

import (
	"crypto/sha256"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/store/segment"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/message"
)

const (
	logSize   = 8192
	queueSize = 200
	dir       = "/data/store"
)

var host = netip.MustParseAddrPort("127.0.0.1:10911")

// config is a store with small files whose goroutines do nothing by the clock.
func config(m vfs.FS) store.Config {
	var now atomic.Int64
	now.Store(1_700_000_000_000)
	return store.Config{Dir: dir, FS: m, CommitLogFileSize: logSize, ConsumeQueueFileSize: queueSize, IndexSlots: 13, IndexEntries: 40,
		NowMillis: func() int64 { return now.Add(700) }, FlushInterval: time.Hour, ViewFlushInterval: time.Hour,
		FlushThoroughInterval: time.Hour, DelayLevels: []int64{1000, 5000}}
}

func options(m vfs.FS) Options {
	return Options{FS: m, Dir: dir, IndexSlots: 13, IndexEntries: 40, DelayLevels: []int64{1000, 5000}, Now: 1_800_000_000_000}
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// put appends records of one queue and returns where they came to stand.
func put(t testing.TB, s *store.Store, topic string, queue int32, records ...*message.Record) []store.Appended {
	t.Helper()
	var b store.Batch
	for _, r := range records {
		r.BornHost, r.StoreHost = host, host
		if err := b.Add(s.Queue(topic, queue), r); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Append(&b); err != nil {
		t.Fatal(err)
	}
	at := make([]store.Appended, b.Len())
	for i := range at {
		at[i] = b.Result(i)
	}
	return at
}

func record(body string, properties ...string) *message.Record {
	r := &message.Record{Body: []byte(body)}
	for i := 0; i < len(properties); i += 2 {
		r.Properties = message.AppendProperty(r.Properties, properties[i], properties[i+1])
	}
	return r
}

// fill writes what a broker writes: messages with keys and tags, a delayed one, a
// committed, a rolled back and a discarded transaction.
func fill(t testing.TB, s *store.Store) {
	t.Helper()
	for i := range 40 {
		put(t, s, fmt.Sprintf("T%d", i%3), int32(i%2), record(fmt.Sprintf("body of message %d", i),
			"UNIQ_KEY", fmt.Sprintf("ID%d", i), "KEYS", fmt.Sprintf("a%d b%d", i, i%5), "TAGS", fmt.Sprintf("tag%d", i%4)))
	}
	put(t, s, message.TopicSchedule, 1, record("later", "DELAY", "2", "UNIQ_KEY", "D1"))
	op := func(half int64, kind, distance int) *message.Record {
		r := record(strconv.FormatInt(half, 10), "WAIT", "true", "TAGS", "d")
		r.Flag, r.PreparedOffset = int32(kind|distance<<2), half
		return r
	}
	outcome := func(topic string, kind int, flag message.SysFlag, h store.Appended) {
		distance := 0
		if topic != "" {
			r := record("half", "UNIQ_KEY", "TX"+strconv.FormatInt(h.QueueOffset, 10), "PGROUP", "g")
			r.SysFlag, r.PreparedOffset = flag, h.PhysicalOffset
			distance = int(put(t, s, topic, 0, r)[0].Size)
		}
		put(t, s, message.TopicOpHalf, 0, op(h.QueueOffset, kind, distance))
	}
	for i := range 3 {
		h := put(t, s, message.TopicHalf, 0, record("half", "UNIQ_KEY", "TX"+strconv.Itoa(i), "PGROUP", "g", "REAL_TOPIC", "T0", "REAL_QID", "0"))[0]
		switch i {
		case 0:
			outcome("T0", 1, message.TransactionCommit, h)
		case 1:
			outcome("", 2, 0, h)
		case 2:
			outcome(message.TopicCheckMax, 3, 0, h)
		}
	}
	for i := range 20 {
		put(t, s, "T0", 0, record(fmt.Sprintf("body %d", i), "UNIQ_KEY", fmt.Sprintf("E%d", i)))
	}
}

// stopped is a store that was written and closed.
func stopped(t testing.TB) *vfs.Mem {
	t.Helper()
	m := vfs.NewMem()
	s := must(store.Open(config(m)))(t)
	fill(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return m
}

// killed is a store whose process was killed after the half of it was flushed.
func killed(t testing.TB) *vfs.Mem {
	t.Helper()
	m := vfs.NewMem()
	s := must(store.Open(config(m)))(t)
	fill(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = must(store.Open(config(m)))(t)
	for i := range 70 {
		put(t, s, "T0", 0, record("more", "UNIQ_KEY", fmt.Sprintf("M%d", i)))
	}
	left := m.Kill()
	_ = s.Close()
	return left
}

// tree is the files of a file system below dir, with their bytes.
func tree(t testing.TB, m vfs.FS, dir string) map[string][]byte {
	t.Helper()
	files := make(map[string][]byte)
	var walk func(dir string)
	walk = func(dir string) {
		for _, name := range must(m.ReadDir(dir))(t) {
			path := dir + "/" + name
			if _, isDir, err := m.Stat(path); err != nil {
				t.Fatal(err)
			} else if isDir {
				walk(path)
			} else {
				files[path] = must(vfs.ReadFile(m, path))(t)
			}
		}
	}
	walk(dir)
	return files
}

func digest(files map[string][]byte) map[string]string {
	sums := make(map[string]string)
	for name, data := range files {
		sums[name] = fmt.Sprintf("%x", sha256.Sum256(data))
	}
	return sums
}

// change writes b to a file.
func change(t testing.TB, m vfs.FS, name string, at int64, b ...byte) {
	t.Helper()
	f := must(m.OpenFile(name, os.O_RDWR))(t)
	if _, err := f.WriteAt(b, at); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func truncate(t testing.TB, m vfs.FS, name string, size int64) {
	t.Helper()
	f := must(m.OpenFile(name, os.O_RDWR))(t)
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func logFileName(start int64) string { return dir + "/commitlog/" + segment.Name(start) }
func queueFileName(topic string, id int, start int64) string {
	return fmt.Sprintf("%s/consumequeue/%s/%d/%s", dir, topic, id, segment.Name(start))
}

func verify(t testing.TB, m vfs.FS) *Report {
	t.Helper()
	return must(Verify(t.Context(), options(m)))(t)
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package offset

import (
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/twostage/twostage/internal/vfs"
)

func config(fsys vfs.FS) Config {
	return Config{FS: fsys, Dir: "/store/config", Logger: slog.New(slog.DiscardHandler)}
}

func open(t testing.TB, fsys vfs.FS) *Table {
	t.Helper()
	tb, err := Open(config(fsys))
	if err != nil {
		t.Fatal(err)
	}
	return tb
}

func want(t testing.TB, tb *Table, group, topic string, queue int32, offset int64) {
	t.Helper()
	got, ok := tb.Query(group, topic, queue)
	if !ok {
		got = -1
	}
	if got != offset {
		t.Errorf("%s@%s queue %d: %d, want %d", topic, group, queue, got, offset)
	}
}

func TestCommitAndQuery(t *testing.T) {
	tb := open(t, vfs.NewMem())
	want(t, tb, "g", "T", 0, -1)
	tb.Commit("g", "T", 5, 50) // queues come in any order
	tb.Commit("g", "T", 0, 0)
	tb.CommitBytes([]byte("g"), []byte("T"), 2, 20)
	tb.Commit("g", "T", 2, 21)
	tb.Commit("g", "U", 2, 7)
	tb.Commit("h", "T", 2, 8)
	tb.Commit("g", "T", 5, 40) // back
	want(t, tb, "g", "T", 0, 0)
	want(t, tb, "g", "T", 1, -1)
	want(t, tb, "g", "T", 2, 21)
	want(t, tb, "g", "T", -1, -1)
	want(t, tb, "g", "T", 5, 40)
	want(t, tb, "g", "U", 2, 7)
	want(t, tb, "h", "T", 2, 8)
	want(t, tb, "T", "g", 2, -1)
	if got, ok := tb.QueryBytes([]byte("h"), []byte("T"), 2); !ok || got != 8 {
		t.Errorf("QueryBytes: %d, %v", got, ok)
	}
	if got := tb.Queues("g", "T"); !maps.Equal(got, map[int32]int64{0: 0, 2: 21, 5: 40}) {
		t.Errorf("queues %v", got)
	}
	if got := tb.Topics("g"); !slices.Equal(got, []string{"T", "U"}) {
		t.Errorf("topics %v", got)
	}
	if got := tb.Groups("T"); !slices.Equal(got, []string{"g", "h"}) {
		t.Errorf("groups %v", got)
	}
	all := tb.All()
	if len(all.OffsetTable) != 3 || all.DataVersion != nil || all.OffsetTable["T@g"][5] != 40 {
		t.Errorf("all: %v", all)
	}
	if tb.Queues("x", "T") != nil || tb.Topics("x") != nil || tb.Groups("x") != nil {
		t.Error("something of nothing")
	}
}

func TestRefusedCommitsLeaveTheTable(t *testing.T) {
	m := vfs.NewMem()
	tb := open(t, m)
	tb.Commit("g", "T", 0, 5)
	if err := tb.Flush(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		group, topic string
		queue        int32
		offset       int64
	}{
		{"g", "T", -1, 1}, {"g", "T", MaxQueue + 1, 1}, {"g", "T", 0, -1}, {"g", "new", 1 << 30, 1}, {"g", "new", 0, -1},
		{"", "T", 0, 1}, {"g", "", 0, 1}, {"a@b", "T", 0, 1}, {"g", "T@g", 0, 1}, {"g", "a\"b", 0, 1}, {strings.Repeat("x", 256), "T", 0, 1},
	} {
		tb.Commit(c.group, c.topic, c.queue, c.offset)
		tb.CommitBytes([]byte(c.group), []byte(c.topic), c.queue, c.offset)
	}
	if tb.Len() != 1 || !maps.Equal(tb.Queues("g", "T"), map[int32]int64{0: 5}) || tb.dirty.Load() {
		t.Errorf("table %v, dirty %v", tb.All(), tb.dirty.Load())
	}
	for says, err := range map[string]error{"queueId -1": Check(-1, 0), "queueId 65536": Check(65536, 0), "commitOffset -1": Check(0, -1)} {
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", says, err)
		}
	}
	if err := Check(MaxQueue, 1<<62); err != nil {
		t.Error(err)
	}
}

// What a client can put into the table is bounded, and room that deletion makes
// can be used again.
func TestRoomIsBounded(t *testing.T) {
	tb := open(t, vfs.NewMem())
	tb.Commit("g", "T", 0, 1)
	if got, want := tb.size.Load(), int64(2+pairSize+entrySize); got != want {
		t.Fatalf("size %d, want %d", got, want)
	}
	before := tb.size.Load()
	tb.size.Store(MaxSize - entrySize + 1)
	tb.Commit("g", "T", 1, 1)
	tb.Commit("h", "T", 0, 1)
	tb.Commit("g", "T", 0, 2) // is there already
	want(t, tb, "g", "T", 0, 2)
	want(t, tb, "g", "T", 1, -1)
	want(t, tb, "h", "T", 0, -1)
	tb.size.Store(before)
	tb.Commit("g", "T", 1, 1)
	tb.Commit("h", "U", 0, 1)
	tb.DeleteGroup("g")
	if got, want := tb.size.Load(), int64(2+pairSize+entrySize); got != want {
		t.Errorf("size %d after deletion, want %d", got, want)
	}
	tb.DeleteTopic("U")
	if got := tb.size.Load(); got != 0 || tb.Len() != 0 {
		t.Errorf("size %d of an empty table", got)
	}
}

// The size that is counted is never less than that of the file.
func TestSizeIsNotLessThanTheFiles(t *testing.T) {
	m := vfs.NewMem()
	tb := open(t, m)
	for i := range int32(300) {
		tb.Commit("g", "T", MaxQueue-i, 1<<63-1)
		tb.Commit(strings.Repeat("g", int(i%9)+1), strings.Repeat("T", int(i%7)+1), i%3, 1<<63-1)
	}
	if err := tb.Flush(); err != nil {
		t.Fatal(err)
	}
	size, _, err := m.Stat("/store/config/consumerOffset.json")
	if err != nil {
		t.Fatal(err)
	}
	const frame = 32
	if counted := tb.size.Load() + frame; size > counted {
		t.Errorf("%d bytes, counted %d", size, counted)
	}
	if again := open(t, m); again.size.Load() != tb.size.Load() {
		t.Errorf("counted %d after reading, %d before", again.size.Load(), tb.size.Load())
	}
}

func TestDelete(t *testing.T) {
	m := vfs.NewMem()
	tb := open(t, m)
	for _, group := range []string{"g", "h", "gg"} {
		for _, topic := range []string{"T", "U"} {
			tb.Commit(group, topic, 0, 1)
		}
	}
	if err := tb.Flush(); err != nil {
		t.Fatal(err)
	}
	tb.DeleteGroup("g")
	if tb.Topics("g") != nil || len(tb.Topics("gg")) != 2 || tb.Len() != 4 {
		t.Errorf("left %v", tb.All())
	}
	tb.DeleteTopic("T")
	if got := tb.Len(); got != 2 || tb.Groups("T") != nil {
		t.Errorf("left %v", tb.All())
	}
	if err := tb.Flush(); err != nil {
		t.Fatal(err)
	}
	if got := open(t, m).All(); len(got.OffsetTable) != 2 {
		t.Errorf("in the file: %v", got)
	}
}

func TestHotPathDoesNotAllocate(t *testing.T) {
	tb := open(t, vfs.NewMem())
	group, topic := []byte("some-group"), []byte("some-topic-with-a-longer-name-than-thirty-two-bytes")
	g, tp := string(group), string(topic)
	offset := int64(0)
	tb.Commit(g, tp, 3, offset)
	if n := testing.AllocsPerRun(200, func() {
		offset++
		tb.Commit(g, tp, 3, offset)
		tb.CommitBytes(group, topic, 3, offset)
		tb.Query(g, tp, 3)
		tb.QueryBytes(group, topic, 3)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Commits, deletions and flushes at the same time: each queue ends with its last
// offset, in the table and in the file.
func TestConcurrentUse(t *testing.T) {
	m := vfs.NewMem()
	tb := open(t, m)
	const groups, last = 4, 300
	var wg sync.WaitGroup
	for i := range groups {
		group := string(rune('a' + i))
		wg.Go(func() {
			for offset := range int64(last + 1) {
				tb.Commit(group, "T", int32(offset%3), offset)
				tb.Commit("victim", group, 0, offset)
			}
		})
	}
	stop := make(chan struct{})
	var flusher sync.WaitGroup
	flusher.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			tb.DeleteGroup("victim")
			if err := tb.Flush(); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Wait()
	close(stop)
	flusher.Wait()
	if err := tb.Flush(); err != nil {
		t.Fatal(err)
	}
	left := open(t, m.Crash(vfs.CrashOptions{}))
	for i := range groups {
		for q := range int64(3) {
			want(t, left, string(rune('a'+i)), "T", int32(q), last-(last-q)%3)
		}
	}
}

// TestRetryTopicsOfPops holds that a group has offsets in the retry topics of its
// pops, in both forms: without one each pop begins at the first message again.
func TestRetryTopicsOfPops(t *testing.T) {
	fsys := vfs.NewMem()
	tb := open(t, fsys)
	tb.Commit("g", "%RETRY%g_T", 0, 3)
	tb.Commit("g", "%RETRY%g+T", 0, 4)
	if err := tb.Reset("g", "%RETRY%g+U", 0, 5); err != nil {
		t.Error(err)
	}
	tb.Commit("g", "T+U", 0, 6) // no retry topic
	if err := tb.Flush(); err != nil {
		t.Fatal(err)
	}
	for _, tb := range []*Table{tb, open(t, fsys)} {
		want(t, tb, "g", "%RETRY%g_T", 0, 3)
		want(t, tb, "g", "%RETRY%g+T", 0, 4)
		want(t, tb, "g", "%RETRY%g+U", 0, 5)
		want(t, tb, "g", "T+U", 0, -1)
	}
}

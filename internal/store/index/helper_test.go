// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package index_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/store/index"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/message"
)

const dir = "/store/index"

var epoch = time.Date(2026, 11, 22, 16, 5, 34, 0, time.UTC).UnixMilli()

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got error %v, want %v", err, want)
	}
}

// newMem has the store directory, durably.
func newMem(t testing.TB) *vfs.Mem {
	t.Helper()
	m := vfs.NewMem()
	must(t, vfs.MkdirAllSync(m, "/store"))
	return m
}

// options are for small files. The clock stands still.
func options(fs vfs.FS) index.Options {
	return index.Options{FS: fs, Dir: dir, Slots: 7, Entries: 20, Trusted: index.TrustAll,
		Clock: func() time.Time { return time.UnixMilli(epoch).UTC() }}
}

func open(t testing.TB, o index.Options) *index.Index {
	t.Helper()
	x, err := index.Open(o)
	must(t, err)
	return x
}

// record is what the index is told of one.
type record struct {
	topic, uniq, keys string
	offset, time      int64
}

func put(x *index.Index, r record) error {
	return x.Put([]byte(r.topic), []byte(r.uniq), []byte(r.keys), r.offset, r.time)
}

// someRecords has keys that occur often, and some that share a hash.
func someRecords(rng *rand.Rand, n int) []record {
	keys := []string{"a", "b", "Aa", "BB", "order-1", "order-2", "schlüssel", "\xff"}
	records := make([]record, n)
	offset, at := int64(0), epoch
	for i := range records {
		r := record{topic: fmt.Sprint("T", rng.IntN(2)), offset: offset, time: at}
		if rng.IntN(5) > 0 {
			r.uniq = fmt.Sprintf("%08X", i)
		}
		for range rng.IntN(4) {
			r.keys += keys[rng.IntN(len(keys))] + strings.Repeat(" ", rng.IntN(3))
		}
		records[i] = r
		offset += 50 + rng.Int64N(100)
		at += rng.Int64N(700)
	}
	return records
}

func (r record) hashes() []int32 {
	var hashes []int32
	if r.uniq != "" {
		hashes = append(hashes, message.KeyHash(r.topic, r.uniq))
	}
	for _, key := range strings.Fields(r.keys) {
		hashes = append(hashes, message.KeyHash(r.topic, key))
	}
	return hashes
}

// answers checks what x says about every key of the records.
func answers(t testing.TB, x *index.Index, records []record) {
	t.Helper()
	byHash := make(map[int32][]int64)
	for _, r := range records {
		for _, h := range r.hashes() {
			byHash[h] = append(byHash[h], r.offset)
		}
	}
	ask := func(topic, key string) {
		t.Helper()
		want := slices.Compact(slices.Clone(byHash[message.KeyHash(topic, key)]))
		for _, most := range []int{1, 3, 10_000} {
			got, _, _, err := x.Query(topic, key, most, 0, math.MaxInt64)
			must(t, err)
			if want := want[max(0, len(want)-most):]; !slices.Equal(got, want) {
				t.Fatalf("%d of %s#%s: got %v, want %v", most, topic, key, got, want)
			}
		}
	}
	for _, r := range records {
		if r.uniq != "" {
			ask(r.topic, r.uniq)
		}
		for _, key := range strings.Fields(r.keys) {
			ask(r.topic, key)
		}
	}
	ask("T0", "no such key")
}

// copyTree copies a directory of the machine into m and makes it durable.
func copyTree(t testing.TB, m *vfs.Mem, from, to string) {
	t.Helper()
	must(t, filepath.WalkDir(from, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := to + filepath.ToSlash(strings.TrimPrefix(path, from))
		if d.IsDir() {
			return vfs.MkdirAllSync(m, name)
		}
		data, err := os.ReadFile(path)
		if err == nil {
			err = vfs.WriteFile(m, name, data)
		}
		return err
	}))
	must(t, m.SyncDir(to))
}

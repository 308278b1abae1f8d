// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package index_test

import (
	"encoding/binary"
	"encoding/hex"
	"math"
	"testing"

	"github.com/twostage/twostage/internal/store/index"
	"github.com/twostage/twostage/internal/vfs"
)

// putter puts records with a UNIQ_KEY and one key, as a producer's.
type putter struct {
	x          *index.Index
	uniq, keys []byte
	n          int64
}

func newPutter(t testing.TB, slots int) *putter {
	x := open(t, index.Options{FS: vfs.OS(), Dir: t.TempDir() + "/index", Slots: slots, Trusted: index.TrustAll})
	return &putter{x: x, uniq: []byte("7F00000176FC4E0E2F2A6F998D160000"), keys: []byte("order-00000000")}
}

func (p *putter) put() error {
	p.n++
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], uint32(p.n))
	hex.Encode(p.uniq[24:], b[:])
	hex.Encode(p.keys[6:], b[:])
	return p.x.Put([]byte("SomeTopic"), p.uniq, p.keys, p.n*1000, epoch+p.n/100)
}

func TestAllocations(t *testing.T) {
	p := newPutter(t, 100_000)
	for range 100_000 { // all pages are there, the tail has grown
		must(t, p.put())
	}
	if n := testing.AllocsPerRun(100, func() {
		for range 1000 {
			if err := p.put(); err != nil {
				t.Fatal(err)
			}
		}
	}); n > 0 {
		t.Errorf("%v allocations in 1000 records", n)
	}
	must(t, p.x.Close())
}

func BenchmarkPut(b *testing.B) {
	p := newPutter(b, index.DefaultSlots)
	b.ReportAllocs()
	for b.Loop() {
		if err := p.put(); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	must(b, p.x.Close())
}

func BenchmarkQuery(b *testing.B) {
	p := newPutter(b, index.DefaultSlots)
	for range 1_000_000 {
		must(b, p.put())
	}
	b.ReportAllocs()
	for b.Loop() {
		if got, _, _, err := p.x.Query("SomeTopic", "order-00000abc", 32, 0, math.MaxInt64); err != nil || len(got) != 1 {
			b.Fatal(got, err)
		}
	}
	b.StopTimer()
	must(b, p.x.Close())
}

// BenchmarkFlush is a flush after 100,000 records at random slots.
func BenchmarkFlush(b *testing.B) {
	p := newPutter(b, index.DefaultSlots)
	for b.Loop() {
		b.StopTimer()
		for range 100_000 {
			must(b, p.put())
		}
		b.StartTimer()
		if _, err := p.x.Flush(); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	must(b, p.x.Close())
}

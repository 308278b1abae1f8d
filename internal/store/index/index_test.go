// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package index_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/store/index"
	"github.com/twostage/twostage/internal/vfs"
)

// Over many small files, before, between and after flushes and restarts.
func TestQueriesEqualModel(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 1))
		m := newMem(t)
		records := someRecords(rng, 150)
		x := open(t, options(m))
		for i, r := range records {
			must(t, put(x, r))
			switch rng.IntN(30) {
			case 0:
				safe, err := x.Flush()
				must(t, err)
				if safe != r.time {
					t.Fatalf("safe %d, want %d", safe, r.time)
				}
			case 1:
				must(t, x.Close())
				x = open(t, options(m))
			case 2:
				answers(t, x, records[:i+1])
			}
		}
		answers(t, x, records)
		// Records that are here already change nothing.
		for _, r := range records {
			must(t, put(x, r))
		}
		answers(t, x, records)
		must(t, x.Close())
		x = open(t, options(m))
		answers(t, x, records)
		must(t, x.Close())
	}
}

func TestTimeWindow(t *testing.T) {
	x := open(t, options(newMem(t)))
	defer x.Close()
	// Three files of 19 records, one a second.
	var records []record
	for i := range int64(50) {
		r := record{topic: "T", keys: "k", offset: i * 100, time: epoch + i*1000}
		records = append(records, r)
		must(t, put(x, r))
	}
	for range 2 {
		for begin := int64(-1); begin <= 51; begin += 3 {
			for end := begin; end <= 51; end += 4 {
				got, lastTime, lastOffset, err := x.Query("T", "k", 100, epoch+begin*1000, epoch+end*1000)
				must(t, err)
				var want []int64
				for i, r := range records {
					if int64(i) >= begin && int64(i) <= end {
						want = append(want, r.offset)
					}
				}
				if !slices.Equal(got, want) || lastTime != epoch+49_000 || lastOffset != 4900 {
					t.Errorf("[%d,%d]: got %v, want %v; last %d %d", begin, end, got, want, lastTime, lastOffset)
				}
			}
		}
		_, err := x.Flush()
		must(t, err)
	}
	if got, _, _, err := x.Query("T", "k", 0, 0, math.MaxInt64); err != nil || len(got) != 0 {
		t.Errorf("none asked: %v, %v", got, err)
	}
}

func TestKeysOfOneRecord(t *testing.T) {
	x := open(t, options(newMem(t)))
	defer x.Close()
	if x.ResumeFrom() != 0 {
		t.Error("empty, but not from the start")
	}
	must(t, x.Put([]byte("T"), nil, nil, 0, epoch))
	if _, lastTime, _, err := x.Query("T", "", 10, 0, math.MaxInt64); err != nil || lastTime != 0 {
		t.Error("a record without keys left a trace")
	}
	// 30 keys go into two files, twice the same key is found once.
	keys := "dup dup"
	for i := range 28 {
		keys += fmt.Sprintf("  key-%d ", i)
	}
	r := record{"T", "uniq", keys, 700, epoch + 5}
	must(t, put(x, r))
	answers(t, x, []record{r})
	if x.ResumeFrom() != 700 {
		t.Errorf("ResumeFrom %d", x.ResumeFrom())
	}
	for _, bad := range []record{{offset: -1, time: epoch}, {offset: 1, time: -1}, {offset: 1, time: math.MaxInt64}} {
		if err := put(x, bad); err == nil {
			t.Errorf("took %+v", bad)
		}
	}
}

// The clock stands still or goes back: names ascend all the same.
func TestFileNames(t *testing.T) {
	m := newMem(t)
	o := options(m)
	at := time.Date(2026, 12, 31, 23, 59, 59, 999e6, time.UTC)
	o.Clock = func() time.Time { at = at.Add(-time.Hour); return at }
	x := open(t, o)
	for _, r := range someRecords(rand.New(rand.NewPCG(1, 1)), 60) {
		must(t, put(x, r))
	}
	must(t, x.Close())
	names, err := m.ReadDir(dir)
	must(t, err)
	if len(names) < 5 || names[0] != "20261231225959999" || names[1] != "20261231225960000" {
		t.Errorf("names %v", names)
	}
}

func TestTruncatePhysical(t *testing.T) {
	records := someRecords(rand.New(rand.NewPCG(3, 3)), 80)
	for keep := 0; keep <= len(records); keep++ {
		m := newMem(t)
		x := open(t, options(m))
		for _, r := range records {
			must(t, put(x, r))
		}
		end := int64(math.MaxInt64)
		if keep < len(records) {
			end = records[keep].offset
		}
		must(t, x.TruncatePhysical(end))
		answers(t, x, records[:keep])
		if x.ResumeFrom() >= end && end > 0 {
			t.Fatalf("ResumeFrom %d of a log that ends at %d", x.ResumeFrom(), end)
		}
		if keep%2 == 0 {
			must(t, x.Close())
			x = open(t, options(m))
			answers(t, x, records[:keep])
		}
		// Other records take their place.
		for i, r := range records[keep:] {
			r.uniq = fmt.Sprint("other", i)
			records := append(slices.Clone(records[:keep]), r)
			must(t, put(x, r))
			answers(t, x, records)
			break
		}
		must(t, x.Close())
	}
}

func TestSetMin(t *testing.T) {
	m := newMem(t)
	x := open(t, options(m))
	records := someRecords(rand.New(rand.NewPCG(4, 4)), 100)
	for _, r := range records {
		must(t, put(x, r))
	}
	before, err := m.ReadDir(dir)
	must(t, err)
	middle := records[50].offset
	must(t, x.SetMin(middle))
	after, err := m.ReadDir(dir)
	must(t, err)
	if len(after) >= len(before) || len(after) < 2 {
		t.Errorf("%d files, then %d", len(before), len(after))
	}
	got, _, _, err := x.Query(records[99].topic, "a", 1000, 0, math.MaxInt64)
	must(t, err)
	if len(got) == 0 {
		t.Error("nothing is left")
	}
	_, err = x.Flush()
	must(t, err)
	must(t, x.SetMin(math.MaxInt64))
	if left, err := m.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("left %v, %v", left, err)
	}
	must(t, x.Close())
	wantErr(t, x.SetMin(1), index.ErrClosed)
}

func TestClosed(t *testing.T) {
	x := open(t, options(newMem(t)))
	must(t, put(x, record{"T", "u", "", 1, epoch}))
	must(t, x.Close())
	must(t, x.Close())
	wantErr(t, put(x, record{"T", "u", "", 1, epoch}), index.ErrClosed)
	_, _, _, err := x.Query("T", "u", 1, 0, math.MaxInt64)
	wantErr(t, err, index.ErrClosed)
	_, err = x.Flush()
	wantErr(t, err, index.ErrClosed)
	wantErr(t, x.TruncatePhysical(0), index.ErrClosed)
}

func TestOpenNamesWhatIsWrong(t *testing.T) {
	const size = 40 + 4*7 + 20*20
	for name, c := range map[string]struct {
		sizes   []int
		trusted int64
		files   int // left, when it opens
	}{
		"too large":                    {sizes: []int{size + 1}},
		"short after a clean stop":     {sizes: []int{size - 1}, trusted: index.TrustAll},
		"short, not the last":          {sizes: []int{size - 1, size}},
		"short, the last after a kill": {sizes: []int{size - 1}, files: 0},
		"empty":                        {sizes: []int{0, size}, trusted: index.TrustAll, files: 1},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMem(t)
			must(t, m.MkdirAll(dir))
			must(t, vfs.WriteFile(m, dir+"/README", []byte("not ours")))
			for i, size := range c.sizes {
				must(t, vfs.WriteFile(m, fmt.Sprintf("%s/2026112216053400%d", dir, i), make([]byte, size)))
			}
			o := options(m)
			o.Trusted = c.trusted
			x, err := index.Open(o)
			if strings.HasPrefix(name, "empty") || strings.HasPrefix(name, "short, the last") {
				must(t, err)
				must(t, x.Close())
				if names, err := m.ReadDir(dir); err != nil || len(names) != c.files+1 {
					t.Errorf("left %v, %v", names, err)
				}
				return
			}
			wantErr(t, err, index.ErrFileSize)
			if !strings.Contains(err.Error(), dir+"/20261122160534000 ") {
				t.Errorf("%v does not name the file", err)
			}
		})
	}
	for _, o := range []index.Options{{Slots: -1}, {Entries: 1}, {Slots: math.MaxInt32}, {Entries: math.MaxInt32}} {
		o.FS, o.Dir = newMem(t), dir
		if _, err := index.Open(o); err == nil {
			t.Errorf("%+v taken", o)
		}
	}
}

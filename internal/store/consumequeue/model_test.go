// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package consumequeue_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/twostage/twostage/internal/store/consumequeue"
	"github.com/twostage/twostage/internal/vfs"
)

// queueModel is a queue as it should be.
type queueModel struct {
	low     int64           // Min
	entries map[int64]entry // records by offset; what is missing below next is blank
	next    int64           // Max
}

func (m *queueModel) append(index int64, e entry) {
	if index < m.next {
		return
	}
	if m.low == m.next {
		m.low = index
	}
	m.entries[index] = e
	m.next = index + 1
}

// after moves to the first record from index on, or the end.
func (m *queueModel) after(index int64) int64 {
	for ; index < m.next; index++ {
		if _, ok := m.entries[index]; ok {
			break
		}
	}
	return index
}

func (m *queueModel) setMin(physical int64) {
	if _, ok := m.entries[m.low]; !ok {
		return
	}
	for m.low < m.next {
		if e, ok := m.entries[m.low]; ok && e.Offset >= physical {
			return
		}
		delete(m.entries, m.low)
		m.low = m.after(m.low + 1)
	}
}

func (m *queueModel) truncate(end int64) {
	for i := m.low; i < m.next; i++ {
		if e, ok := m.entries[i]; ok && e.Offset+int64(e.Size) > end {
			for k := i; k < m.next; k++ {
				delete(m.entries, k)
			}
			m.next = i
		}
	}
}

func (m *queueModel) maxPhysical() int64 {
	for i := m.next - 1; i >= m.low; i-- {
		if e, ok := m.entries[i]; ok {
			return e.Offset + int64(e.Size)
		}
	}
	return -1
}

func (m *queueModel) check(t rapid.TB, q *consumequeue.Queue) {
	t.Helper()
	if q.Min() != m.low || q.Max() != m.next {
		t.Fatalf("queue holds [%d,%d), want [%d,%d)", q.Min(), q.Max(), m.low, m.next)
	}
	if m.low < m.next && q.MaxPhysical() != m.maxPhysical() {
		t.Fatalf("MaxPhysical %d, want %d", q.MaxPhysical(), m.maxPhysical())
	}
	got, err := q.Read(nil, m.low, int(m.next-m.low))
	if err != nil || int64(len(got)) != m.next-m.low {
		t.Fatalf("read %d of %d entries: %v", len(got), m.next-m.low, err)
	}
	for i, e := range got {
		want, ok := m.entries[m.low+int64(i)]
		if e.Blank() == ok || ok && e != want {
			t.Fatalf("entry %d is %v, want %v", m.low+int64(i), e, want)
		}
	}
}

func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fs := vfs.NewMem()
		fileSize := 20 * rapid.Int64Range(1, 12).Draw(t, "entries in a file")
		var s *consumequeue.Set
		reopen := func() {
			var err error
			s, err = consumequeue.Open(consumequeue.Options{FS: fs, Dir: dir, FileSize: fileSize, MaxOpen: 1, Clean: true})
			if err != nil {
				t.Fatal(err)
			}
		}
		reopen()
		defer func() { s.Close() }()
		models := map[int32]*queueModel{}
		end := int64(0) // of the log
		ok := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		pick := func(t *rapid.T) (*queueModel, *consumequeue.Queue) {
			id := rapid.Int32Range(0, 1).Draw(t, "queue")
			if models[id] == nil {
				models[id] = &queueModel{entries: map[int64]entry{}}
			}
			return models[id], s.Queue("T", id)
		}
		t.Repeat(map[string]func(*rapid.T){
			"append": func(t *rapid.T) {
				m, q := pick(t)
				for range rapid.IntRange(1, 30).Draw(t, "count") {
					e := entry{end + 1, rapid.Int32Range(1, 50).Draw(t, "size"), rapid.Int64().Draw(t, "tags")}
					index := m.next
					if rapid.IntRange(0, 9).Draw(t, "gap or repetition") == 0 {
						index = max(0, index+rapid.Int64Range(-3, 30).Draw(t, "distance"))
					}
					ok(q.Append(index, e))
					m.append(index, e)
					end += int64(e.Size) + 1
				}
			},
			"flush": func(t *rapid.T) { ok(s.Flush()) },
			"setMin": func(t *rapid.T) {
				m, q := pick(t)
				at := rapid.Int64Range(0, end+1).Draw(t, "physical")
				ok(q.SetMin(at))
				m.setMin(at)
			},
			"truncate": func(t *rapid.T) {
				m, q := pick(t)
				at := rapid.Int64Range(0, end+1).Draw(t, "physical")
				ok(q.TruncatePhysical(at))
				m.truncate(at)
			},
			"reopen": func(t *rapid.T) {
				ok(s.Close())
				reopen()
				for id, m := range models {
					// What was below Min in the first file is there again.
					if q := s.Queue("T", id); m.low < m.next {
						ok(q.SetMin(m.entries[m.low].Offset))
					} else {
						ok(q.SetMin(end + 1))
						m.low, m.next = q.Min(), q.Max() // an empty queue without files starts anew
					}
				}
			},
			"": func(t *rapid.T) {
				for id, m := range models {
					m.check(t, s.Queue("T", id))
				}
			},
		})
	})
}

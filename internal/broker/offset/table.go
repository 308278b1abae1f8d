// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package offset

import (
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/message"
)

const (
	// MaxQueue is the highest queue id that can have an offset.
	MaxQueue = 65535
	// MaxPairs is how many pairs of topic and group can have offsets.
	MaxPairs = 1 << 20
	// MaxSize is about how many bytes the file can have: less than what
	// body.Unmarshal reads.
	MaxSize = 192 << 20

	pairSize  = 16 // in the file, besides the names
	entrySize = 26
)

// Config is what a Table needs. FS, Dir and Logger are required.
type Config struct {
	FS     vfs.FS
	Dir    string // of consumerOffset.json; made when missing
	Logger *slog.Logger
}

// Table is the offsets of the groups of a broker. All methods are safe for
// concurrent use.
type Table struct {
	cfg  Config
	path string

	dirty atomic.Bool
	size  atomic.Int64 // at most what the file will have
	flush sync.Mutex   // one Flush at a time

	mu    sync.RWMutex
	pairs map[pair]*queues
	full  bool // refused a pair, and said so

	pending atomic.Int64 // entries whose reset is pending
}

type pair struct{ group, topic string }

func (p pair) size() int64 { return int64(len(p.group)+len(p.topic)) + pairSize }

// queues is the offsets of a group in the queues of a topic.
type queues struct {
	mu      sync.Mutex
	entries []entry // by ascending queue
	deleted bool    // the table has it no longer: what still comes is dropped
}

type entry struct {
	queue  int32
	reset  reset
	offset int64
	pulled int64 // the next offset that consumers have not asked for yet, as far as known; 0: not known
}

// at finds the entry of a queue, or where it belongs; q.mu is held. In nearly all
// tables entry i is queue i.
func (q *queues) at(queue int32) (int, bool) {
	if i := int(queue); i >= 0 && i < len(q.entries) && q.entries[i].queue == queue {
		return i, true
	}
	return slices.BinarySearchFunc(q.entries, queue, func(e entry, queue int32) int { return int(e.queue) - int(queue) })
}

// noOffset is that of an entry that was just made.
const noOffset = -1

// entry finds or makes the entry of a queue. A new one has noOffset; it is counted
// in size, and nil when there is no room or the queues are deleted. q.mu is held.
func (q *queues) entry(queue int32, size *atomic.Int64) *entry {
	i, ok := q.at(queue)
	if !ok {
		if q.deleted || size.Load()+entrySize > MaxSize {
			return nil
		}
		size.Add(entrySize)
		q.entries = slices.Insert(q.entries, i, entry{queue: queue, offset: noOffset})
	}
	return &q.entries[i]
}

func (q *queues) get(queue int32) (int64, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if i, ok := q.at(queue); ok {
		return q.entries[i].offset, true
	}
	return 0, false
}

// delete empties the queues for good, and returns what they had in the file and
// how many of their resets were pending.
func (q *queues) delete() (size, pending int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range q.entries {
		if q.entries[i].reset.pending {
			pending++
		}
	}
	size = int64(len(q.entries)) * entrySize
	q.entries, q.deleted = nil, true
	return size, pending
}

func (q *queues) all() map[int32]int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	m := make(map[int32]int64, len(q.entries))
	for _, e := range q.entries {
		m[e.queue] = e.offset
	}
	return m
}

// Check tests what a client wants to commit. Commit drops silently what Check
// refuses.
func Check(queue int32, offset int64) error {
	switch {
	case queue < 0 || queue > MaxQueue:
		return fmt.Errorf("consumer offset: queueId %d must be 0 to %d", queue, MaxQueue)
	case offset < 0:
		return fmt.Errorf("consumer offset: commitOffset %d must not be negative", offset)
	}
	return nil
}

// Commit sets the offset of the next message that the group is to get from a
// queue; it may go back. After Reset it is dropped for a while. It does not
// allocate, unless it is the first for its queue.
func (t *Table) Commit(group, topic string, queue int32, offset int64) {
	t.CommitPull(group, topic, queue, offset, 0)
}

// CommitPull is Commit with what the consumers of the group have been given of the
// queue: all below pulled. 0 says nothing of that. It is for figures only, and in
// memory only.
func (t *Table) CommitPull(group, topic string, queue int32, offset, pulled int64) {
	q := t.find(group, topic)
	if q == nil {
		q = t.add(group, topic, queue, offset)
	}
	t.commit(q, queue, offset, pulled)
}

// CommitBytes is Commit for names in bytes.
func (t *Table) CommitBytes(group, topic []byte, queue int32, offset int64) {
	t.mu.RLock()
	q := t.pairs[pair{string(group), string(topic)}]
	t.mu.RUnlock()
	if q == nil {
		q = t.add(string(group), string(topic), queue, offset)
	}
	t.commit(q, queue, offset, 0)
}

// commit is the end of Commit; q is nil when the pair is refused.
func (t *Table) commit(q *queues, queue int32, offset, pulled int64) {
	if q == nil || queue < 0 || queue > MaxQueue || offset < 0 {
		return
	}
	q.mu.Lock()
	e := q.entry(queue, &t.size)
	if e == nil || e.reset.pending {
		q.mu.Unlock()
		return
	}
	old := e.offset
	e.offset = offset
	if pulled > 0 {
		e.pulled = pulled
	}
	q.mu.Unlock()
	if offset != old {
		t.dirty.Store(true)
	}
	if offset < old {
		t.cfg.Logger.Info("a consumer offset goes back", "queue", queue, "from", old, "to", offset)
	}
}

// find gives the queues of a group in a topic, nil when it has none.
func (t *Table) find(group, topic string) *queues {
	t.mu.RLock()
	q := t.pairs[pair{group, topic}]
	t.mu.RUnlock()
	return q
}

// add gives the queues of a new pair, nil when it is refused.
func (t *Table) add(group, topic string, queue int32, offset int64) *queues {
	if Check(queue, offset) != nil || message.CheckGroup(group) != nil || message.CheckStoredTopic(topic) != nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	key := pair{group, topic}
	q := t.pairs[key]
	switch {
	case q != nil:
		return q
	case len(t.pairs) >= MaxPairs || t.size.Load()+key.size()+entrySize > MaxSize:
		if !t.full {
			t.full = true
			t.cfg.Logger.Error("too many consumer offsets, those of further groups and topics are not kept",
				"pairs", len(t.pairs), "bytes", t.size.Load(), "group", group, "topic", topic)
		}
		return nil
	}
	q = &queues{}
	t.pairs[key] = q
	t.size.Add(key.size())
	return q
}

// Has says whether the group has an offset in a topic. It does not allocate.
func (t *Table) Has(group, topic string) bool { return t.find(group, topic) != nil }

// Query gives the offset of the next message that the group is to get from a
// queue, false when it has none. It does not allocate.
func (t *Table) Query(group, topic string, queue int32) (int64, bool) {
	q := t.find(group, topic)
	if q == nil {
		return 0, false
	}
	return q.get(queue)
}

// QueryBytes is Query for names in bytes.
func (t *Table) QueryBytes(group, topic []byte, queue int32) (int64, bool) {
	t.mu.RLock()
	q := t.pairs[pair{string(group), string(topic)}]
	t.mu.RUnlock()
	if q == nil {
		return 0, false
	}
	return q.get(queue)
}

// Queues is the offsets of a group in a topic, by queue; empty when it has none.
func (t *Table) Queues(group, topic string) map[int32]int64 {
	q := t.find(group, topic)
	if q == nil {
		return nil
	}
	return q.all()
}

// Topics names the topics in which a group has offsets, sorted.
func (t *Table) Topics(group string) []string {
	return t.list(func(p pair) (string, bool) { return p.topic, p.group == group })
}

// Groups names the groups that have offsets in a topic, sorted.
func (t *Table) Groups(topic string) []string {
	return t.list(func(p pair) (string, bool) { return p.group, p.topic == topic })
}

func (t *Table) list(pick func(pair) (string, bool)) []string {
	t.mu.RLock()
	defer t.mu.RUnlock()
	var names []string
	for p := range t.pairs {
		if name, ok := pick(p); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// DeleteGroup forgets the offsets of a group. Flush makes that last.
func (t *Table) DeleteGroup(group string) {
	t.remove(func(p pair) bool { return p.group == group })
}

// DeleteTopic forgets the offsets in a topic. Flush makes that last.
func (t *Table) DeleteTopic(topic string) {
	t.remove(func(p pair) bool { return p.topic == topic })
}

func (t *Table) remove(pick func(pair) bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := len(t.pairs)
	maps.DeleteFunc(t.pairs, func(p pair, q *queues) bool {
		if !pick(p) {
			return false
		}
		size, pending := q.delete()
		t.size.Add(-p.size() - size)
		t.pending.Add(-pending)
		return true
	})
	if len(t.pairs) < before {
		t.full = false
		t.dirty.Store(true)
	}
}

// Len is how many pairs of topic and group have offsets.
func (t *Table) Len() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.pairs)
}

// All is every offset, by "topic@group" and queue. It is the caller's.
func (t *Table) All() body.ConsumerOffsetSerializeWrapper {
	w := body.ConsumerOffsetSerializeWrapper{OffsetTable: make(map[string]map[int32]int64, t.Len())}
	t.Range(func(group, topic string, queues map[int32]int64) { w.OffsetTable[topic+separator+group] = queues })
	return w
}

// Range calls fn with the offsets of each group in each topic, by queue. The map is
// fn's; fn may call everything.
func (t *Table) Range(fn func(group, topic string, queues map[int32]int64)) {
	t.mu.RLock()
	pairs := maps.Clone(t.pairs)
	t.mu.RUnlock()
	for p, q := range pairs {
		fn(p.group, p.topic, q.all())
	}
}

// Place is a group's in a queue.
type Place struct {
	Queue  int32
	Offset int64 // of the next message that it is to get
	Pulled int64 // of the first that it was not given yet: at least Offset; Offset where that is not known
}

// Places calls fn with the places of each group in each topic, by ascending queue.
// The slice is valid during the call; fn may call everything.
func (t *Table) Places(fn func(group, topic string, places []Place)) {
	t.mu.RLock()
	pairs := make([]struct {
		pair
		*queues
	}, 0, len(t.pairs))
	for p, q := range t.pairs {
		pairs = append(pairs, struct {
			pair
			*queues
		}{p, q})
	}
	t.mu.RUnlock()
	var places []Place
	for _, p := range pairs {
		places = p.queues.places(places[:0])
		fn(p.group, p.topic, places)
	}
}

// places appends those of the queues.
func (q *queues) places(list []Place) []Place {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range q.entries {
		e := &q.entries[i]
		list = append(list, Place{e.queue, e.offset, max(e.pulled, e.offset)})
	}
	return list
}

func newTable(cfg Config) *Table {
	return &Table{cfg: cfg, path: filepath.Join(cfg.Dir, "consumerOffset.json"), pairs: map[pair]*queues{}}
}

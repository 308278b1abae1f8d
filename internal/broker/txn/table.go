// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package txn

import (
	"container/heap"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Outcome is how a transaction ended.
type Outcome uint8

// The outcomes. None is that of an undecided transaction.
const (
	None Outcome = iota
	Commit
	Rollback
	Discard
)

func (o Outcome) String() string {
	switch o {
	case Commit:
		return "committed"
	case Rollback:
		return "rolled back"
	case Discard:
		return "discarded"
	}
	return "undecided"
}

// Half is one stored half message.
type Half struct {
	QueueOffset int64 // in the half queue
	Physical    int64 // in the commit log, bytes
	OpMark      int64 // the op queue's max offset before the half was stored
	Group       string
	Key         string // UNIQ_KEY; two halves of a group that share it are one transaction
	Topic       string // the real topic
	StoredAt    int64  // store timestamp, Unix milliseconds
}

// Refusals of Table.Decide.
var (
	// ErrUnknown: no undecided half message has this queue offset. Either it was
	// decided long ago, or the offset was never a half message.
	ErrUnknown = errors.New("no undecided half message at this queue offset")
	// ErrMismatch: the request names a half message, but not with its own group
	// or commit log offset.
	ErrMismatch = errors.New("the half message differs")
	// ErrDecided: the transaction has the other outcome.
	ErrDecided = errors.New("the transaction is decided")
	// ErrBusy: the same decision is being made durable by another request.
	ErrBusy = errors.New("the decision is being stored")
)

// Table is the set of undecided transactions, ordered by when each is next due
// for a check. Times are monotonic milliseconds of the caller's choosing. A
// Table is not safe for concurrent use.
type Table struct {
	checkMax int32
	interval int64
	recent   recentOutcomes

	byOffset map[int64]*tx
	topics   map[string]int // undecided transactions by real topic
	byKey    map[chainKey]*tx
	due      dueHeap
	waiting  map[string]map[*tx]struct{} // by producer group: due, but nobody to ask, or nobody takes it

	order  []int64            // half queue offsets in rising order, decided ones dropped from the front
	next   int64              // every half queue offset below it was seen
	ahead  map[int64]struct{} // those seen beyond next: one below was stored, but is not added yet
	opMark int64              // where op reading may begin when nothing is pending
	lastOp int64              // the op mark that Marks gave last
}

type chainKey struct{ group, key string }

// tx is one transaction: one or more half records, one outcome.
type tx struct {
	halves   []Half
	group    string
	key      string
	checks   int32
	due      int64
	heapPos  int // -1: not in the heap
	deciding Outcome
	decision *Decision // while deciding
}

// NewTable returns an empty table. The next half message to be stored gets the
// queue offset next; what is added below it was found in the log. A transaction
// that was checked checkMax times is discarded at its next due time; two checks
// are interval milliseconds apart.
func NewTable(checkMax int32, intervalMillis, next, opMark int64) *Table {
	return &Table{
		checkMax: checkMax, interval: intervalMillis,
		byOffset: map[int64]*tx{}, topics: map[string]int{}, byKey: map[chainKey]*tx{}, waiting: map[string]map[*tx]struct{}{},
		recent: newRecentOutcomes(), next: next, ahead: map[int64]struct{}{}, opMark: opMark, lastOp: opMark,
	}
}

// Add puts a stored half message under watch: its first check is due at due.
// checks is how often it was checked before a restart. A half message of a
// transaction that is already there joins it and changes neither its deadline
// nor, unless higher, its count.
func (t *Table) Add(h Half, due int64, checks int32) {
	if _, ok := t.byOffset[h.QueueOffset]; ok {
		return
	}
	t.see(h.QueueOffset)
	if h.Key != "" {
		if x := t.byKey[chainKey{h.Group, h.Key}]; x != nil && x.deciding == None {
			x.halves = append(x.halves, h)
			x.checks = max(x.checks, checks)
			t.byOffset[h.QueueOffset] = x
			return
		}
	}
	x := &tx{halves: []Half{h}, group: h.Group, key: h.Key, checks: checks, due: due, heapPos: -1}
	t.byOffset[h.QueueOffset] = x
	t.topics[h.Topic]++
	if h.Key != "" {
		t.byKey[chainKey{h.Group, h.Key}] = x
	}
	heap.Push(&t.due, x)
}

// see notes that a half queue offset is taken. Connections add their half
// messages in another order than the log got them.
func (t *Table) see(off int64) {
	i := len(t.order)
	for i > 0 && t.order[i-1] > off {
		i--
	}
	t.order = slices.Insert(t.order, i, off)
	if off > t.next {
		t.ahead[off] = struct{}{}
	}
	if off != t.next {
		return
	}
	for t.next++; ; t.next++ {
		if _, ok := t.ahead[t.next]; !ok {
			return
		}
		delete(t.ahead, t.next)
	}
}

// Decision is a transaction whose outcome is being made durable: the caller
// appends the records and then calls Settle.
type Decision struct {
	Outcome Outcome
	Half    Half   // the half message that the request named
	All     []Half // every half message of the transaction; each needs an op message
	x       *tx
	stored  bool   // the outcome's own record is in the log already, only op messages are missing
	doubt   string // why nobody knows before the next recovery whether it is durable; "" while that is open
}

// Decide begins to give the transaction of a half message its outcome. The
// half message is named by its queue offset; physical offset and group must be
// its own. On success nothing else can decide it, and no check is due, until
// Settle. The same outcome a second time is (nil, nil): there is nothing to do
// and the answer is success. With ErrBusy comes the decision that is being
// stored; any other error comes with none.
func (t *Table) Decide(queueOffset, physical int64, group string, o Outcome) (*Decision, error) {
	x := t.byOffset[queueOffset]
	if x == nil {
		was, ok := t.recent.get(queueOffset)
		if !ok {
			return nil, ErrUnknown
		}
		if was.physical != physical || was.group != group {
			return nil, fmt.Errorf("%w: it was stored at %d for group %q", ErrMismatch, was.physical, was.group)
		}
		if was.outcome != o {
			return nil, fmt.Errorf("%w: it was %s", ErrDecided, was.outcome)
		}
		return nil, nil
	}
	var named Half
	for _, h := range x.halves {
		if h.QueueOffset == queueOffset {
			named = h
		}
	}
	switch {
	case named.Group != group:
		return nil, fmt.Errorf("%w: it belongs to producer group %q, the request says %q", ErrMismatch, named.Group, group)
	case named.Physical != physical:
		return nil, fmt.Errorf("%w: it is stored at commit log offset %d, the request says %d", ErrMismatch, named.Physical, physical)
	case x.deciding == o:
		return x.decision, ErrBusy
	case x.deciding != None:
		return nil, fmt.Errorf("%w: it is being %s", ErrDecided, x.deciding)
	}
	x.deciding = o
	t.park(x)
	if k := (chainKey{x.group, x.key}); t.byKey[k] == x {
		delete(t.byKey, k) // a half that arrives from now on is a new transaction
	}
	x.decision = &Decision{Outcome: o, Half: named, All: x.halves, x: x}
	return x.decision, nil
}

// Settle ends what Decide began: durable says whether the outcome is in the
// log. If it is not, the transaction is undecided again and due at retry.
func (t *Table) Settle(d *Decision, durable bool, retry int64) {
	x := d.x
	x.decision = nil
	if !durable {
		x.deciding = None
		if k := (chainKey{x.group, x.key}); x.key != "" && t.byKey[k] == nil {
			t.byKey[k] = x
		}
		x.due = retry
		heap.Push(&t.due, x)
		return
	}
	topic := x.halves[0].Topic
	if t.topics[topic]--; t.topics[topic] == 0 {
		delete(t.topics, topic)
	}
	for _, h := range x.halves {
		delete(t.byOffset, h.QueueOffset)
		t.recent.put(h.QueueOffset, decided{physical: h.Physical, group: h.Group, outcome: d.Outcome})
	}
}

// park takes x out of everything that could make it due.
func (t *Table) park(x *tx) {
	if x.heapPos >= 0 {
		heap.Remove(&t.due, x.heapPos)
	}
	if set := t.waiting[x.group]; set != nil {
		delete(set, x)
		if len(set) == 0 {
			delete(t.waiting, x.group)
		}
	}
}

// Due is a transaction whose time has come.
type Due struct {
	Half   Half
	Checks int32 // before this one
	// Expired: all its checks are used up, so it is to be discarded (Decide
	// with Discard) instead of checked.
	Expired bool
	x       *tx
}

// NextDue is the earliest time at which TakeDue has something to give.
func (t *Table) NextDue() (at int64, ok bool) {
	if len(t.due) == 0 {
		return 0, false
	}
	return t.due[0].due, true
}

// TakeDue takes the earliest transaction that is due at now. The caller answers
// with Decide (expired), Checked or NoProducer.
func (t *Table) TakeDue(now int64) (Due, bool) {
	if len(t.due) == 0 || t.due[0].due > now {
		return Due{}, false
	}
	x := heap.Pop(&t.due).(*tx)
	last := x.halves[len(x.halves)-1]
	return Due{Half: last, Checks: x.checks, Expired: x.checks >= t.checkMax, x: x}, true
}

// Checked says that the check was handed to a live connection: it counts, and
// the next one is due an interval later.
func (t *Table) Checked(d Due, now int64) {
	d.x.checks++
	t.reschedule(d.x, now+t.interval)
}

// Retry puts a due transaction back, uncounted, to be due again at due.
func (t *Table) Retry(d Due, due int64) { t.reschedule(d.x, due) }

func (t *Table) reschedule(x *tx, due int64) {
	if x.deciding != None || t.byOffset[x.halves[0].QueueOffset] != x || x.heapPos >= 0 {
		return // decided while its check was on the way
	}
	x.due = due
	heap.Push(&t.due, x)
}

// NoProducer says that nobody of the group is there to be asked, or takes the
// check: the transaction waits for Online or Probe and its checks are not used
// up.
func (t *Table) NoProducer(d Due) {
	x := d.x
	if x.deciding != None || t.byOffset[x.halves[0].QueueOffset] != x || x.heapPos >= 0 {
		return
	}
	set := t.waiting[x.group]
	if set == nil {
		set = map[*tx]struct{}{}
		t.waiting[x.group] = set
	}
	set[x] = struct{}{}
}

// Online makes every waiting transaction of the group due at now.
func (t *Table) Online(group string, now int64) {
	for x := range t.waiting[group] {
		t.reschedule(x, now)
	}
	delete(t.waiting, group)
}

// Probe makes one waiting transaction of the group due at now; false: none waits.
func (t *Table) Probe(group string, now int64) bool {
	for x := range t.waiting[group] {
		t.park(x)
		t.reschedule(x, now)
		return true
	}
	return false
}

// Spare makes no transaction expire before due.
func (t *Table) Spare(due int64) {
	for _, x := range t.due {
		if x.checks >= t.checkMax {
			x.due = max(x.due, due)
		}
	}
	heap.Init(&t.due)
}

// Marks are the low-water marks: every half message below half is decided, and
// every op message below op belongs to one of those.
func (t *Table) Marks() (half, op int64) {
	i := 0
	for i < len(t.order) && t.order[i] < t.next && t.byOffset[t.order[i]] == nil {
		i++
	}
	t.order = t.order[i:]
	switch {
	case len(t.order) > 0 && t.order[0] < t.next:
		half = t.order[0]
		for _, h := range t.byOffset[half].halves {
			if h.QueueOffset == half {
				op = h.OpMark
			}
		}
	case len(t.ahead) > 0: // the op messages of those are somewhere behind
		half, op = t.next, t.lastOp
	default:
		half, op = t.next, t.opMark
	}
	t.lastOp = op
	return half, op
}

// SetOpMark tells the op queue's max offset, for when nothing is pending.
func (t *Table) SetOpMark(op int64) { t.opMark = op }

// Waiting is how many undecided transactions are due, but nobody is there or
// takes the check.
func (t *Table) Waiting() int {
	n := 0
	for _, set := range t.waiting {
		n += len(set)
	}
	return n
}

// ByTopic counts the undecided transactions by their real topic. The map is the
// caller's.
func (t *Table) ByTopic() map[string]int { return maps.Clone(t.topics) }

// Checks lists the check counts above zero by the queue offset of each
// transaction's first half message.
func (t *Table) Checks() map[int64]int32 {
	m := map[int64]int32{}
	for off, x := range t.byOffset {
		if x.checks > 0 && x.halves[0].QueueOffset == off {
			m[off] = x.checks
		}
	}
	return m
}

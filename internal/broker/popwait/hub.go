// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package popwait

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twostage/twostage/internal/pq"

	"github.com/twostage/twostage/message"
)

// AnyQueue stands for all queues of a topic.
const AnyQueue int32 = -1

// recheck is when Ready is asked again after it was true and nothing was found.
const recheck = 100 * time.Millisecond

// Limits bound a hub.
type Limits struct {
	Waits  int // in all (maxPopPollingSize)
	Keys   int // groups, topics and queues that are waited for (popPollingMapSize)
	OneKey int // waits of one group, topic and queue (popPollingSize)
	// Every: a message whose queue offset is a multiple of it lets go whatever the
	// filter, so that a group that gets nothing still moves on; 0: none does
	// (popLongPollingForceNotifyInterval).
	Every int64
}

// Result is what became of a wait that was to be held.
type Result uint8

const (
	Held Result = iota // Wake will be called, or the owner dropped
	Full               // a limit is reached
	Due                // the deadline has passed, or the hub has ended
)

// Filter tells which messages concern a request. Its dynamic type is comparable: a
// message is shown once to equal ones, however many waits have them. It is used by
// several goroutines at once, without a lock of the hub.
type Filter interface {
	// Cost is about how long Arrival takes at most, in ns, for a message with this
	// tags code and so many bytes of properties text.
	Cost(tagsCode int64, props int) int
	// Arrival tells whether the message concerns the request; props is valid during
	// the call, and nil when there are none.
	Arrival(tagsCode int64, props []byte) bool
}

// Wait is a held request. The fields are set before the first Hold and not changed
// after it. A wait that was let go may be held again, as the same request: the hub
// then knows that a Ready that was true brought nothing.
type Wait struct {
	Group, Topic string
	Queue        int32  // AnyQueue, or the one queue
	Filter       Filter // nil: every message concerns it
	Deadline     time.Time
	// Ready tells whether there is something for the request now; nil: not asked.
	Ready func() bool
	Owner any // whose it is, for Drop: a pointer; nil: nobody's
	// Wake is called once a Hold: arrived says that there may be something, false
	// that the deadline has come or the hub ends.
	Wake func(arrived bool)

	kind       *kind
	at         time.Time // the deadline, or when Ready is to be asked again
	unsure     bool      // let go because Ready was true
	done       bool
	pos        uint32 // in times
	prev, next *Wait  // of the same owner
	seq        uint64 // rises with every Hold
	older      *Wait  // of the same kind
	younger    *Wait
}

// queue is the waits of a key.
type queue struct {
	in    *interest
	id    int32
	kinds []*kind // in no order, none empty
	n     int     // waits
}

// kind is the waits of a key that have the same filter, in the order they came: a
// message lets go the first of them or none.
type kind struct {
	of             *queue
	filter         Filter
	at             int // in queue.kinds
	oldest, newest *Wait
}

// kindKey finds a kind.
type kindKey struct {
	of     *queue
	filter Filter
}

// interest is a group that waits at a topic.
type interest struct {
	group, topic string
	queues       map[int32]*queue
}

// Hub holds waits. All methods are safe for concurrent use.
type Hub struct {
	limits Limits
	log    *slog.Logger
	last   bool
	count  atomic.Int64

	mu      sync.Mutex
	topics  map[string]map[string]*interest // by topic and group
	retries map[string][]*interest          // by the name of the pop retry topic
	keys    int
	kinds   map[kindKey]*kind
	seq     uint64 // the last Hold's
	times   pq.Queue[*Wait, byTime]
	owned   map[any]*Wait // the owner's newest wait, the others behind it
	woken   []wakeup
	head    int           // of woken
	kick    chan struct{} // for Run: another first deadline
	work    chan struct{} // for Serve: something in woken
	ended   bool          // Run has ended: nothing is held any more
}

type wakeup struct {
	w       *Wait
	arrived bool
}

// New returns a hub. newestFirst is which wait of a key a message lets go.
func New(limits Limits, newestFirst bool, logger *slog.Logger) *Hub {
	return &Hub{
		limits: limits, log: logger, last: newestFirst, topics: map[string]map[string]*interest{}, retries: map[string][]*interest{},
		kinds: map[kindKey]*kind{}, owned: map[any]*Wait{}, kick: make(chan struct{}, 1), work: make(chan struct{}, 1),
	}
}

// Hold keeps w until it is let go.
func (h *Hub) Hold(w *Wait) Result {
	now := time.Now()
	h.mu.Lock()
	if h.ended || !w.Deadline.After(now) {
		h.mu.Unlock()
		return Due
	}
	unsure := w.unsure
	w.unsure, w.done, w.at = false, false, w.Deadline
	if again := now.Add(recheck); unsure && again.Before(w.Deadline) {
		w.at = again
	}
	if !h.enter(w) {
		h.mu.Unlock()
		return Full
	}
	h.own(w)
	h.times.Push(w)
	first := h.times.Items()[0] == w
	h.count.Add(1)
	h.mu.Unlock()
	if first {
		poke(h.kick)
	}
	if !unsure && w.Ready != nil && h.ready(w) {
		h.found(w)
	}
	return Held
}

// found lets go a wait whose Ready is true.
func (h *Hub) found(w *Wait) {
	h.mu.Lock()
	if !w.done {
		w.unsure = true
		h.release(w, true)
	}
	h.mu.Unlock()
}

// Arrive says that a message has come to a queue of a topic, at a queue offset.
// props may be nil.
func (h *Hub) Arrive(topic string, queue int32, at, tagsCode int64, props []byte) {
	if h.count.Load() == 0 {
		return
	}
	var m *arrival
	if h.limits.Every <= 0 || at%h.limits.Every != 0 {
		m = &arrival{tagsCode: tagsCode, props: props, left: work}
	}
	h.mu.Lock()
	if m != nil {
		if h.collect(topic, queue, m); len(m.asked) > 0 {
			h.mu.Unlock()
			m.ask()
			h.mu.Lock() // whose filter has come meanwhile is let go, and looks
		}
	}
	defer h.mu.Unlock()
	for _, in := range h.topics[topic] {
		h.pick(in, AnyQueue, m)
		h.pick(in, queue, m)
	}
	if len(topic) > len(message.RetryPrefix) && topic[:len(message.RetryPrefix)] == message.RetryPrefix {
		for _, in := range h.retries[topic] {
			h.pickAny(in, AnyQueue)
		}
	}
}

// Notify says that a group may have something at a topic that no new message
// brought. With AnyQueue any of its waits may be let go, otherwise one for any
// queue and one for the queue.
func (h *Hub) Notify(group, topic string, queue int32) {
	if h.count.Load() == 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	in := h.topics[topic][group]
	switch {
	case in == nil:
	case queue == AnyQueue:
		h.pickAny(in, queue)
	default:
		h.pick(in, AnyQueue, nil)
		h.pick(in, queue, nil)
	}
}

// pickAny lets go one wait, of the queue id if it has one.
func (h *Hub) pickAny(in *interest, id int32) {
	if h.pick(in, id, nil) {
		return
	}
	for id := range in.queues {
		h.pick(in, id, nil)
		return
	}
}

// Drop forgets the waits of an owner that is gone: Wake is not called.
func (h *Hub) Drop(owner any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for w := h.owned[owner]; w != nil; {
		next := w.next // take ends w's chain
		h.take(w)
		w = next
	}
}

// LetGo lets all waits of the groups and topics go that gone names, as if
// something had come for each. It looks at each group of each topic, under the
// lock.
func (h *Hub) LetGo(gone func(group, topic string) bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, groups := range h.topics {
		for _, in := range groups {
			if !gone(in.group, in.topic) {
				continue
			}
			for _, q := range in.queues {
				for len(q.kinds) > 0 {
					h.release(q.kinds[0].oldest, true)
				}
			}
		}
	}
}

// Held is how many waits a group has for a queue of a topic, or for any queue
// with AnyQueue.
func (h *Hub) Held(group, topic string, queue int32) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	if in := h.topics[topic][group]; in != nil && in.queues[queue] != nil {
		return in.queues[queue].n
	}
	return 0
}

// Len is how many waits are held.
func (h *Hub) Len() int { return int(h.count.Load()) }

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

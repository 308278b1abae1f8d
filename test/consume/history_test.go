// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package consume

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
)

// kind is what happened.
type kind uint8

const (
	sendAsked   kind = iota // a producer sends message id to queue q
	sendDone                // that was acknowledged, at offset
	queryAsked              // who asks for the group's offset of q
	queryDone               // it is offset
	commitAsked             // who stores the group's offset of q
	commitDone              // acknowledged
	lockAsked               // who locks q for the group
	lockDone                // granted
	unlockAsked             // who gives q back
	tenureBegan             // who consumes q from offset on, as tenure
	pulled                  // a pull of tenure gave the record at offset of q
	began                   // who begins to consume it
	done                    // consumed
	failed                  // not consumed
	backAsked               // who gives it back, for a later try or the dead letters
	backDone                // acknowledged
	popAsked                // who pops
	popped                  // that gave the record at offset of q, from some time on invisible to others until
	ackAsked                // who acknowledges what it popped
	ackDone                 // acknowledged
	hideAsked               // who makes it invisible for longer or shorter
	hideDone                // acknowledged: until
	crashed                 // who is gone without a word
	killed                  // the broker is killed
	kept                    // while it is down: the group's offset of q in its files
	restarted               // it is back
)

// queue names a queue of the broker.
type queue struct {
	topic string
	id    int32
}

func (q queue) String() string { return q.topic + "/" + strconv.Itoa(int(q.id)) }

// event is one line of a history. Which fields count is said at the kinds.
type event struct {
	kind       kind
	group, who string
	q          queue
	offset     int64
	id         string // of the message
	times      int32  // reconsume times of the record
	of         int    // number of the event that this one answers
	tenure     int
	from       int64 // ms since 1970
	until      int64 // ms since 1970
	at         int64 // ms since 1970
}

// history is what happened, in order: what is in it before something else
// happened before that ended. Safe for concurrent use.
type history struct {
	mu      sync.Mutex
	events  []event
	life    int // of the broker: goes up when it is killed
	tenures int
}

// add notes e and gives its number.
func (h *history) add(e event) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.put(e)
}

func (h *history) put(e event) int {
	e.at = time.Now().UnixMilli()
	h.events = append(h.events, e)
	switch e.kind {
	case killed:
		h.life++
	case tenureBegan:
		h.tenures++
	}
	return len(h.events) - 1
}

// addIf notes e if ok holds at that moment, which nothing that is noted
// separates from it.
func (h *history) addIf(ok func(life int) bool, e event) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !ok(h.life) {
		return false
	}
	h.put(e)
	return true
}

// begin notes the beginning of a tenure and gives its number.
func (h *history) begin(e event) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	e.kind, e.tenure = tenureBegan, h.tenures
	h.put(e)
	return e.tenure
}

func (h *history) lifeNow() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.life
}

// since gives the events from n on. They do not change any more.
func (h *history) since(n int) []event {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.events[n:len(h.events):len(h.events)]
}

// keyed makes the id of the n-th message of a key; serial takes it apart.
func keyed(key string, n int) string { return fmt.Sprintf("%s#%d", key, n) }

func serial(id string) (key string, n int, ok bool) {
	key, digits, ok := strings.Cut(id, "#")
	if !ok {
		return "", 0, false
	}
	n, err := strconv.Atoi(digits)
	return key, n, err == nil
}

// record is what a queue holds at the end.
type record struct {
	id    string
	times int32
}

// run is what the checker looks at.
type run struct {
	events []event
	groups []group
	queues map[queue][]record         // from offset 0 on; topics, retry topics and dead letters
	final  map[string]map[queue]int64 // offsets of the groups at the end
}

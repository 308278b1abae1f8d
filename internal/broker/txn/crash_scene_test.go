// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package txn

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/broker/txn/state"
	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/message"
)

// In a scene a transaction is checked after half a second, again a second later,
// and discarded a second and a half after that. The log's files are small, so
// that it rolls. step is how far apart the producers do something: nothing of the
// broker's own falls on the same millisecond.
const step = 313 * time.Millisecond

var sceneGroups = []string{"g", "h", "i"}

func sceneConfig(l *ledger) option {
	return func(sc *store.Config, c *Config) {
		sc.CommitLogFileSize = 16 << 10
		c.Producers, c.Timeout, c.Interval, c.Checks = l.pick, 500*time.Millisecond, time.Second, 2
	}
}

// scene is a random piece of the producers' lives. It goes on when the file system
// has died.
func (l *ledger) scene(rng *rand.Rand, life int) {
	for i := range 20 {
		switch n := rng.IntN(16); {
		case i < 3 || n < 5:
			d := &deal{group: sceneGroups[rng.IntN(3)], key: fmt.Sprintf("%d-%d", life, i/2), want: Commit, patience: []int{0, 1, 1000}[rng.IntN(3)]}
			if rng.IntN(3) == 0 {
				d.want = Rollback
			}
			if l.find(d.group, d.key, -1) == nil { // equal keys of two groups are two transactions
				l.deals = append(l.deals, d)
				l.store(rng, d)
			}
		case n < 7:
			l.with(rng, func(d *deal) bool {
				return len(d.at) > 0 && !d.asked[Commit] && !d.asked[Rollback] && !d.parked && d.resumes == 0
			}, func(d *deal) {
				l.again++
				l.store(rng, d)
			})
		case n < 11:
			l.with(rng, func(d *deal) bool { return len(d.at) > 0 && d.answered == 0 }, func(d *deal) {
				a, b := d.at[rng.IntN(len(d.at))], d.at[rng.IntN(len(d.at))]
				l.end(d, a.QueueOffset, a.PhysicalOffset, d.want, false)
				switch rng.IntN(4) {
				case 0:
					l.end(d, b.QueueOffset, b.PhysicalOffset, d.want, false)
				case 1:
					l.end(d, b.QueueOffset, b.PhysicalOffset, contrary(d.want), false)
				}
			})
		case n < 13:
			l.with(rng, func(d *deal) bool { return d.answered != 0 && len(d.at) > 0 }, func(d *deal) { l.confirm(rng, d) })
		case n < 14:
			l.with(rng, func(d *deal) bool { return d.answered != 0 && !d.old && !l.lossy }, func(d *deal) { // the key again: another transaction
				d.old = true
				next := &deal{group: d.group, key: d.key, want: d.want, patience: rng.IntN(2)}
				l.deals = append(l.deals, next)
				l.store(rng, next)
			})
		case n < 15:
			l.with(rng, func(d *deal) bool { return d.parked }, func(d *deal) { l.resume(rng, d) })
		default:
			l.online(sceneGroups[rng.IntN(3)])
		}
		after(step)
		l.look()
	}
}

// with does something with a random one of the deals that fit.
func (l *ledger) with(rng *rand.Rand, fits func(*deal) bool, do func(*deal)) {
	l.mu.Lock()
	var list []*deal
	for _, d := range l.deals {
		if fits(d) {
			list = append(list, d)
		}
	}
	l.mu.Unlock()
	if len(list) > 0 {
		do(list[rng.IntN(len(list))])
		synctest.Wait()
	}
}

// store stores a half message of the deal.
func (l *ledger) store(rng *rand.Rand, d *deal) {
	rec := prepared(d.group, d.key)
	if rng.IntN(8) == 0 {
		rec = prepared(d.group, d.key, message.PropertyDelay, "1")
	}
	rec.Topic, rec.BornTimestamp = []byte("T"+d.group), time.Now().UnixMilli()
	rec.Body = []byte(strings.Repeat("x", []int{10, 600, 5000}[rng.IntN(3)]))
	at, err := l.rig.tryHalf(rec)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err == nil:
		l.halves++
		d.at = append(d.at, at)
	case !l.dead():
		l.note("%s was not stored: %v", d.name(), err)
	}
}

// confirm gives the same answer again, and the contrary.
func (l *ledger) confirm(rng *rand.Rand, d *deal) {
	for _, o := range []Outcome{d.answered, contrary(d.answered)} {
		at := d.at[rng.IntN(len(d.at))]
		code := l.end(d, at.QueueOffset, at.PhysicalOffset, o, false)
		synctest.Wait()
		l.mu.Lock()
		if *code == -1 && !l.dead() {
			l.note("%s: %v got no answer", d.name(), o)
		}
		l.mu.Unlock()
	}
}

// resume takes a discarded deal up again, by its half message or by the parked
// copy.
func (l *ledger) resume(rng *rand.Rand, d *deal) {
	r := l.rig
	physical := d.physical
	if parked, err := r.all(message.TopicCheckMax, 0); err == nil && rng.IntN(2) == 0 {
		for _, rec := range parked {
			if rec.PreparedOffset == d.physical || d.resumes == 0 && text(&rec, message.PropertyProducerGroup) == d.group && text(&rec, message.PropertyUniqueKey) == d.key {
				physical = rec.PhysicalOffset
			}
		}
	}
	d.parked = false
	d.resumes++
	r.svc.Resume(physical, "somebody", func(off int64, err error) {
		var h stored
		if err == nil {
			h, err = r.svc.halfAt(off)
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		switch {
		case err == nil:
			l.resumed++
			d.patience = rng.IntN(2)
			d.at = append(d.at, store.Appended{QueueOffset: off, PhysicalOffset: h.physical})
		case !l.dead():
			l.note("%s was discarded and can't be resumed: %v", d.name(), err)
		}
	})
}

// look finds out which deals are discarded.
func (l *ledger) look() {
	synctest.Wait()
	for _, d := range l.deals {
		if len(d.at) == 0 || d.answered != 0 || d.parked {
			continue
		}
		kind, open, off, err := l.rig.fate(d.at[0])
		if err == nil && !open && kind == state.Discarded && !l.dead() {
			h, err := l.rig.svc.halfAt(off)
			d.parked, d.physical = err == nil, h.physical
			l.parked++
		}
	}
}

// all reads the records of a queue; nil where there is no such queue.
func (r *rig) all(topic string, queue int32) (list []message.Record, err error) {
	q := r.st.LookupQueue(topic, queue)
	if q == nil {
		return nil, nil
	}
	err = r.svc.readQueue(q, q.Min(), q.Max(), func(_ int64, rec *message.Record) {
		copied := *rec
		copied.Topic, copied.Body, copied.Properties = bytes.Clone(rec.Topic), bytes.Clone(rec.Body), bytes.Clone(rec.Properties)
		list = append(list, copied)
	})
	return list, err
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package pop

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"github.com/twostage/twostage/internal/vfs"
)

// fate is what the model knows of a message.
type fate struct {
	acked   bool  // an ack in time has returned
	maybe   bool  // one has failed: it may count or not
	twice   bool  // a change has failed: the message may be in two checkpoints
	until   int64 // invisible until then
	handles []got // what consumers have
}

// model is random consumption with kills: messages by their text.
type model struct {
	*rig
	rng   *rand.Rand
	fates map[string]*fate
	sent  int
	power bool // the machine ends, not the process alone
	kills int
	again int
}

// fault has the file system die after some operations from now on.
func (m *model) fault(after int) {
	var left atomic.Int64
	left.Store(int64(after))
	m.fs.Fail(func(vfs.Op, string) error {
		if left.Add(-1) < 0 {
			return errDead
		}
		return nil
	})
}

func (m *model) kill() {
	m.kills++
	m.restart(func(fs *vfs.Mem) *vfs.Mem {
		if !m.power {
			return fs.Kill()
		}
		return fs.Crash(vfs.CrashOptions{Data: vfs.KeepSome, Names: vfs.KeepSome, Rand: m.rng})
	})
}

// give takes in what a pop gave, and says what is wrong with it.
func (m *model) give(list []got, invisible int64) {
	for i := range list {
		g := &list[i]
		f := m.fates[g.text]
		switch {
		case f == nil:
			m.t.Fatalf("%q was never sent", g.text)
		case f.acked && !f.twice:
			m.t.Fatalf("%q is given again after it was acked (%+v)", g.text, g.handle)
		case m.now < f.until && !f.twice:
			m.t.Fatalf("%q is given again %d ms before its time (%+v)", g.text, f.until-m.now, g.handle)
		}
		if len(f.handles) > 0 {
			m.again++
		}
		f.until = m.now + invisible
		f.handles = append(f.handles, *g)
	}
}

func (m *model) pop(most int, invisible int64) error {
	list, err := m.rig.pop(Request{Group: "g", Topic: "T", Queue: int32(m.rng.IntN(3)) - 1, Max: most, Invisible: invisible})
	if err == nil {
		m.give(list, invisible)
	}
	return err
}

// any is a message that a consumer has had.
func (m *model) any() *fate {
	for range 20 {
		if f := m.fates[fmt.Sprint("m", m.rng.IntN(max(m.sent, 1)))]; f != nil && len(f.handles) > 0 {
			return f
		}
	}
	return nil
}

// ack acks some messages together, the same one twice at times.
func (m *model) ack() (failed error) {
	type one struct {
		*fate
		last bool
	}
	var of []one
	var acks []Ack
	for range 1 + m.rng.IntN(5) {
		if f := m.any(); f != nil {
			i := m.rng.IntN(len(f.handles))
			of, acks = append(of, one{f, i == len(f.handles)-1}), append(acks, f.handles[i].ack())
		}
	}
	m.s.AckAll(acks)
	for i, f := range of {
		switch err := acks[i].Err; {
		case err != nil:
			f.maybe, failed = f.maybe || f.last, err
		case f.last && m.now < f.until:
			f.acked = true
		case f.last: // it counts if nothing has been revived yet
			f.maybe = true
		}
	}
	return failed
}

func (m *model) change() error {
	f := m.any()
	if f == nil {
		return nil
	}
	g := f.handles[len(f.handles)-1]
	invisible := int64(1 + m.rng.IntN(5000))
	time, _, err := m.s.Change("g", g.topic, g.handle.Queue, &g.handle, g.handle.Offset, invisible)
	switch {
	case errors.Is(err, ErrLate):
		if !f.acked && !f.maybe && m.now < f.until {
			m.t.Fatalf("%q can't be changed though it is invisible: %v", g.text, err)
		}
		return nil
	case err != nil:
		f.until, f.maybe = 0, true // either time counts, or both
		f.twice = true
		return err
	}
	g.handle.Start, g.handle.PopTime, g.handle.Invisible = g.handle.Offset, time, invisible
	f.handles = append(f.handles, g)
	f.until = time + invisible
	return nil
}

func (m *model) step() error {
	switch n := m.rng.IntN(100); {
	case n < 20:
		texts := make([]string, 1+m.rng.IntN(4))
		for i := range texts {
			texts[i] = fmt.Sprint("m", m.sent+i)
		}
		if err := m.send(int32(m.rng.IntN(2)), texts...); err != nil {
			for _, text := range texts { // nobody knows whether they are there
				m.fates[text] = &fate{maybe: true}
			}
			m.sent += len(texts)
			return err
		}
		for _, text := range texts {
			m.fates[text] = new(fate)
		}
		m.sent += len(texts)
	case n < 45:
		return m.pop(1+m.rng.IntN(8), int64(1+m.rng.IntN(4000)))
	case n < 65:
		return m.ack()
	case n < 72:
		return m.change()
	case n < 85:
		m.now += int64(m.rng.IntN(3000))
		return m.turn()
	case n < 90:
		return m.s.Note()
	case n < 94:
		return m.timers.deliver()
	case n < 97:
		m.fault(m.rng.IntN(12))
	default:
		m.kill()
	}
	return nil
}

// TestModel: random pops, acks, changes of time, revivals, notes and ends of the
// process and of the machine, also within an operation. No message is given while
// it is invisible or after an ack that was answered, and in the end each was acked.
func TestModel(t *testing.T) {
	runs, again, kills := 60, 0, 0
	if testing.Short() || raceEnabled {
		runs = 6
	}
	for seed := range runs {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			m := &model{rig: newRig(t), rng: rand.New(rand.NewPCG(uint64(seed), 7)), fates: map[string]*fate{}, power: seed%2 == 1}
			for range 150 {
				if err := m.step(); err != nil {
					m.kill()
				}
			}
			m.kill()
			m.drain()
			again, kills = again+m.again, kills+m.kills
		})
	}
	if again < runs || kills < runs {
		t.Errorf("%d messages were given again, %d kills: the model does not reach what it is for", again, kills)
	}
}

// drain consumes all there is.
func (m *model) drain() {
	idle := 0
	for idle < 3 {
		m.now += 10_000
		if err := m.turn(); err != nil {
			m.t.Fatal(err)
		}
		list, err := m.rig.pop(Request{Group: "g", Topic: "T", Queue: -1, Max: 32, Invisible: 60_000})
		if err != nil {
			m.t.Fatal(err)
		}
		if idle++; len(list) > 0 {
			idle = 0
		}
		m.give(list, 60_000)
		for i := range list {
			if err := m.rig.ack(&list[i]); err != nil {
				m.t.Fatal(err)
			}
			m.fates[list[i].text].acked = true
		}
	}
	for text, f := range m.fates {
		if !f.acked && !f.maybe {
			m.t.Errorf("%q is lost: %+v", text, f)
		}
	}
	if s := m.s.Stats(); s.Open != 0 {
		m.t.Errorf("in the end %+v", s)
	}
}

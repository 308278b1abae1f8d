// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package pending

import (
	"errors"
	"flag"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// machine runs a Table beside its model.
type machine struct {
	*model
	tb      *Table
	stored  []int64 // by half queue offset: when
	untold  []int64 // in the log, but their connections have not told yet
	told    []int64
	open    map[*Decision]*chain
	errands []errand
	rounds  int
}

func newMachine(t *rapid.T) *machine {
	cfg := Config{
		CheckMax: rapid.Int32Range(0, 4).Draw(t, "checkMax"), Interval: 100,
		MaxAge: rapid.SampledFrom([]int64{0, 1000, 5000}).Draw(t, "maxAge"),
		Rate:   rapid.SampledFrom([]int{0, 3, 20, 70}).Draw(t, "rate"), Next: rapid.Int64Range(0, 5).Draw(t, "next"),
	}
	now := rapid.Int64Range(-3000, 3000).Draw(t, "now")
	m := &machine{
		model: &model{cfg: cfg, now: now, spare: -1 << 63, groups: map[string]*crowd{}, seen: map[int64]bool{}},
		tb:    New(cfg), open: map[*Decision]*chain{},
	}
	m.tb.tick(now)
	for off := range cfg.Next {
		m.untold = append(m.untold, off)
		m.stored = append(m.stored, now-900)
	}
	return m
}

func pick[T any](t *rapid.T, list []T) T {
	return list[rapid.IntRange(0, len(list)-1).Draw(t, "which")]
}

func (m *machine) half(t *rapid.T, off int64) Half {
	bits := rapid.IntRange(0, 1<<12-1).Draw(t, "half")
	h := Half{
		QueueOffset: off, Physical: 10*off + 3, Group: [2]string{"g", "h"}[bits&1], Topic: [2]string{"S", "T"}[bits>>1&1],
		Key: [4]string{"", "k", "l", ""}[bits>>2&3], Stored: m.stored[off], Due: m.now - 50 + int64(bits>>4&255),
	}
	if h.Key == "" && bits&64 != 0 {
		h.Key = fmt.Sprint("own", off)
	}
	h.Checks = int32(max(0, bits>>4&7-4))
	return h
}

func (m *machine) Store(*rapid.T) {
	if len(m.chains) < 25 {
		m.untold = append(m.untold, int64(len(m.stored)))
		m.stored = append(m.stored, m.now-700)
	}
}

func (m *machine) Tell(t *rapid.T) {
	if len(m.untold) == 0 {
		m.Again(t)
		return
	}
	i := rapid.IntRange(0, len(m.untold)-1).Draw(t, "which")
	h := m.half(t, m.untold[i])
	m.untold = slices.Delete(m.untold, i, i+1)
	m.told = append(m.told, h.QueueOffset)
	m.add(h)
	m.tb.Add(h)
}

// Again tells what was told before.
func (m *machine) Again(t *rapid.T) {
	if len(m.told) == 0 {
		return
	}
	if off := pick(t, m.told); off >= m.cfg.Next || m.of(off) != nil {
		m.tb.Add(m.half(t, off))
	}
}

func (m *machine) Decide(t *rapid.T) {
	bits := rapid.IntRange(0, 1<<8-1).Draw(t, "decision")
	off := int64(bits)
	if len(m.chains) > 0 && bits&15 != 0 {
		off = pick(t, pick(t, m.chains).halves).QueueOffset
	}
	o := Outcome(1 + bits>>4%3)
	c := m.of(off)
	phys, group := 10*off+3, "g"
	if c != nil {
		group = c.halves[0].Group
	}
	wrong := bits&15 == 1
	if wrong && bits&16 != 0 {
		phys++
	} else if wrong {
		group += "x"
	}
	d, err := m.tb.Decide(off, phys, group, o)
	switch {
	case c == nil:
		m.refused(t, d, err, ErrUnknown)
	case wrong:
		m.refused(t, d, err, ErrMismatch)
	case c.outcome == o:
		if !errors.Is(err, ErrBusy) || m.open[d] != c {
			t.Fatalf("Decide(%d, %v) while that is stored: %v %v", off, o, d, err)
		}
	case c.outcome != None:
		m.refused(t, d, err, ErrDecided)
	default:
		if err != nil || len(d.All) != len(c.halves) || d.Half.QueueOffset != off || d.Half.State != Deciding || d.Outcome != o {
			t.Fatalf("Decide(%d, %v): %+v %v", off, o, d, err)
		}
		for i, h := range c.halves {
			if d.All[i] != h.QueueOffset {
				t.Fatalf("Decide(%d) gave %v, want %v", off, d.All, c.halves)
			}
		}
		c.phase, c.outcome = deciding, o
		m.open[d] = c
	}
}

func (m *machine) refused(t *rapid.T, d *Decision, err, want error) {
	if d != nil || !errors.Is(err, want) {
		t.Fatalf("Decide gave %v %v, want %v", d, err, want)
	}
}

func (m *machine) Settle(t *rapid.T) {
	if len(m.tb.deciding) == 0 {
		return
	}
	d := pick(t, m.tb.deciding)
	durable := rapid.IntRange(0, 3).Draw(t, "durable") > 0
	m.tb.Settle(d, durable, m.now)
	m.settle(m.open[d], durable)
	delete(m.open, d)
	m.tb.Settle(d, !durable, m.now)
}

func (m *machine) Next(t *rapid.T) {
	for range 3 {
		a, ok := m.tb.Next(m.now - int64(m.rounds%2))
		if !ok {
			if at := m.at(); at <= m.now {
				t.Fatalf("nothing to do at %d, but there was at %d", m.now, at)
			}
			if at, ok := m.tb.Wake(); ok && at <= m.now {
				t.Fatalf("Wake at %d, but nothing to do at %d", at, m.now)
			}
			return
		}
		e, wrong := m.take(a)
		if wrong != "" {
			t.Fatalf("at %d: %s: %+v", m.now, wrong, a)
		}
		if m.errands = append(m.errands, e); len(m.errands) > 8 {
			m.Answer(t)
		}
	}
}

func (m *machine) Answer(t *rapid.T) {
	if len(m.errands) == 0 {
		return
	}
	i := rapid.IntRange(0, len(m.errands)-1).Draw(t, "which")
	e := m.errands[i]
	how := rapid.IntRange(0, 15).Draw(t, "answer")
	if len(m.errands) > 8 || how&8 != 0 { // otherwise it is answered twice
		m.errands = slices.Delete(m.errands, i, i+1)
	}
	switch how & 7 {
	case 0:
		m.notSent(e, "nobody")
		m.tb.NobodyThere(e.Action)
	case 1:
		m.notSent(e, "unreadable")
		m.tb.Unreadable(e.Action, m.now)
	case 2, 3:
		m.notSent(e, "not taken")
		m.tb.NotTaken(e.Action, m.now)
	default:
		if got, want := m.tb.Handed(e.Action, m.now), m.handed(e); got != want {
			t.Fatalf("Handed gave %d, want %d", got, want)
		}
	}
}

func (m *machine) Advance(t *rapid.T) { m.tick(m.now + rapid.Int64Range(0, 120).Draw(t, "ms")) }

func (m *machine) WakeUp(*rapid.T) {
	if at, ok := m.tb.Wake(); ok {
		m.tick(min(at, m.now+2000))
	}
}

func (m *machine) Online(t *rapid.T) {
	name := rapid.SampledFrom([]string{"g", "h", "nobody's"}).Draw(t, "group")
	if g := m.groups[name]; g != nil {
		g.absent, g.pause = false, 0
		g.version++
	}
	m.tb.Online(name, m.now)
}

func (m *machine) Recheck(t *rapid.T) {
	off := rapid.Int64Range(0, int64(len(m.stored))).Draw(t, "offset")
	c := m.of(off)
	want := c != nil && c.phase != deciding && (m.cfg.MaxAge == 0 || c.halves[0].Stored+m.cfg.MaxAge > m.now)
	if got := m.tb.Recheck(off, m.now); got != want {
		t.Fatalf("Recheck(%d) = %v, want %v", off, got, want)
	}
	if want && c.phase != out && c.phase != urgent {
		c.phase, c.extra, c.due = urgent, true, m.now
	}
}

func (m *machine) Spare(t *rapid.T) {
	until := m.now + rapid.Int64Range(-100, 500).Draw(t, "ms")
	m.spare = max(m.spare, until)
	m.tb.Spare(until)
}

// Check compares the whole table with the model.
func (m *machine) Check(t *rapid.T) {
	m.rounds++
	m.tb.tick(m.now)
	steps++
	if at, ok := m.tb.Wake(); at > m.at() || !ok && m.at() != never {
		t.Fatalf("Wake at %d %v, but there is something to do at %d", at, ok, m.at())
	}
	low, halves := m.cfg.Next, 0
	for m.seen[low] {
		low++
	}
	for _, c := range m.chains {
		low = min(low, c.halves[0].QueueOffset)
		halves += len(c.halves)
	}
	if m.tb.Low() != low || m.tb.Len() != halves || m.tb.Transactions() != len(m.chains) {
		t.Fatalf("low %d, %d half messages, %d transactions; want %d, %d, %d", m.tb.Low(), m.tb.Len(), m.tb.Transactions(), low, halves, len(m.chains))
	}
	last, n := int64(-1), 0
	m.tb.Range(0, func(i Info) bool {
		n++
		if i.QueueOffset <= last {
			t.Fatalf("%d after %d", i.QueueOffset, last)
		}
		last = i.QueueOffset
		if c := m.of(last); c == nil || i != m.info(c, last) {
			t.Fatalf("at %d: %+v", m.now, i)
		}
		return true
	})
	if n != halves {
		t.Fatalf("%d half messages listed, want %d", n, halves)
	}
	if m.rounds%16 == 0 {
		m.counts(t)
	}
}

func (m *machine) info(c *chain, off int64) Info {
	h := c.halves[slices.IndexFunc(c.halves, func(h Half) bool { return h.QueueOffset == off })]
	i := Info{
		QueueOffset: off, Physical: h.Physical, Group: h.Group, Topic: h.Topic, Stored: h.Stored,
		Due: c.due, Checks: c.checks, First: c.halves[0].QueueOffset,
	}
	if m.usedUp(c) && (c.phase == waiting || c.phase == expiring) {
		i.Due = max(i.Due, m.spare)
	}
	switch due := c.phase == waiting && !m.usedUp(c) && c.due <= m.now; {
	case c.phase == deciding:
		i.State, i.Due = Deciding, 0
	case due && m.groups[h.Group].absent:
		i.State = NoProducer
	case due:
		i.State = Paced
	case c.checks > 0 || c.phase == out || c.phase == urgent:
		i.State = Checking
	}
	return i
}

func (m *machine) counts(t *rapid.T) {
	topics, states := map[string]int{}, map[State]int{}
	for _, c := range m.chains {
		topics[c.halves[0].Topic]++
		states[m.info(c, c.newest()).State]++
	}
	got := m.tb.ByTopic()
	if len(got) != len(topics) || got["S"] != topics["S"] || got["T"] != topics["T"] {
		t.Fatalf("by topic %v, want %v", got, topics)
	}
	if nobody, paced := m.tb.Waiting(); nobody != states[NoProducer] || paced != states[Paced] {
		t.Fatalf("%d without producer, %d paced, want %v", nobody, paced, states)
	}
	off := int64(len(m.stored) / 2)
	below := 0
	for _, c := range m.chains {
		for _, h := range c.halves {
			if h.QueueOffset < off {
				below++
			}
		}
	}
	if got := m.tb.Below(10*off + 3); len(got) != below || !slices.IsSorted(got) {
		t.Fatalf("below %d: %v, want %d", off, got, below)
	}
	var chain []int64
	if c := m.of(off); c != nil {
		for _, h := range c.halves {
			chain = append(chain, h.QueueOffset)
		}
	}
	if got := m.tb.Chain(off); !slices.Equal(got, chain) {
		t.Fatalf("chain of %d: %v, want %v", off, got, chain)
	}
	if i, ok := m.tb.Get(off); ok != (m.of(off) != nil) || ok && i != m.info(m.of(off), off) {
		t.Fatalf("Get(%d) = %+v %v", off, i, ok)
	}
}

var steps int

// The table against a model that looks through a list for everything: a million
// random events, fewer under the race detector.
func TestTableAgainstModel(t *testing.T) {
	checks, runs := flag.Lookup("rapid.checks"), flag.Lookup("rapid.steps")
	ours := checks.Value.String() == checks.DefValue && runs.Value.String() == runs.DefValue
	if ours { // otherwise as the one who runs it says
		set(t, checks, map[bool]string{false: "2400", true: "100"}[raceEnabled])
		set(t, runs, "500")
	}
	steps = 0
	rapid.Check(t, func(t *rapid.T) { t.Repeat(rapid.StateMachineActions(newMachine(t))) })
	if ours && !raceEnabled && !testing.Short() && steps < 1_000_000 {
		t.Errorf("%d steps, want a million", steps)
	}
}

func set(t *testing.T, f *flag.Flag, value string) {
	was := f.Value.String()
	if err := f.Value.Set(value); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Value.Set(was) })
}

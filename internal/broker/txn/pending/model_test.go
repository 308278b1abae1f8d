// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package pending

import "slices"

// model is what a Table should do, said naively: a list of chains, looked
// through for everything.
type model struct {
	cfg    Config
	now    int64
	spare  int64
	chains []*chain
	groups map[string]*crowd
	seen   map[int64]bool // half queue offsets from cfg.Next on
	serial int            // of the last action
}

type chain struct {
	halves  []Half
	phase   phase
	outcome Outcome
	due     int64
	checks  int32
	extra   bool
	unread  int
	serial  int // of its last action
}

type crowd struct {
	absent               bool
	pause, until, tokens int64
	version              int
}

// errand is an action as the model knows it.
type errand struct {
	Action
	serial, version int
}

func (m *model) of(off int64) *chain {
	for _, c := range m.chains {
		if slices.ContainsFunc(c.halves, func(h Half) bool { return h.QueueOffset == off }) {
			return c
		}
	}
	return nil
}

func (m *model) same(like *Half) *chain {
	for _, c := range m.chains {
		if like.Key != "" && c.phase != deciding && c.halves[0].Group == like.Group && c.halves[0].Key == like.Key && c.halves[0].Topic == like.Topic {
			return c
		}
	}
	return nil
}

func (c *chain) sort() {
	slices.SortFunc(c.halves, func(a, b Half) int { return int(a.QueueOffset - b.QueueOffset) })
}

func (c *chain) newest() int64 { return c.halves[len(c.halves)-1].QueueOffset }

func (m *model) burst() int64 { return max(1, int64(m.cfg.Rate)/10) * 1000 }

func (m *model) tick(now int64) {
	for ; m.now < now; m.now++ {
		for _, g := range m.groups {
			g.tokens = min(g.tokens+int64(m.cfg.Rate), m.burst())
		}
	}
}

func (m *model) add(h Half) {
	if m.of(h.QueueOffset) != nil || m.seen[h.QueueOffset] {
		return
	}
	if h.QueueOffset >= m.cfg.Next {
		m.seen[h.QueueOffset] = true
	}
	if m.groups[h.Group] == nil {
		m.groups[h.Group] = &crowd{tokens: m.burst()}
	}
	if c := m.same(&h); c != nil {
		c.halves = append(c.halves, h)
		c.checks = max(c.checks, h.Checks)
		c.sort()
		return
	}
	m.chains = append(m.chains, &chain{halves: []Half{h}, due: h.Due, checks: h.Checks})
}

func (m *model) settle(c *chain, durable bool) {
	m.chains = slices.DeleteFunc(m.chains, func(x *chain) bool { return x == c })
	group := c.halves[0].Group
	if durable {
		if !slices.ContainsFunc(m.chains, func(x *chain) bool { return x.halves[0].Group == group }) {
			delete(m.groups, group)
		}
		return
	}
	c.phase = waiting
	if m.cfg.MaxAge > 0 && c.halves[0].Stored+m.cfg.MaxAge <= m.now {
		c.phase = expiring
	}
	c.outcome, c.due = None, m.now+m.cfg.Interval
	if other := m.same(&c.halves[0]); other != nil {
		m.chains = slices.DeleteFunc(m.chains, func(x *chain) bool { return x == other })
		c.halves = append(c.halves, other.halves...)
		c.checks, c.extra = max(c.checks, other.checks), c.extra || other.extra
		c.sort()
	}
	m.chains = append(m.chains, c)
}

func (m *model) usedUp(c *chain) bool { return c.checks >= m.cfg.CheckMax && !c.extra }

// expires is when c expires for its checks and for its age.
func (m *model) expires(c *chain) (checks, age int64) {
	checks, age = never, never
	if m.usedUp(c) && (c.phase == waiting || c.phase == expiring) {
		checks = max(c.due, m.spare)
	}
	if m.cfg.MaxAge > 0 && c.phase != deciding {
		age = c.halves[0].Stored + m.cfg.MaxAge
	}
	if c.phase == expiring {
		age = max(age, c.due)
	}
	return checks, age
}

// checkAt is when c may be checked if nothing else happens.
func (m *model) checkAt(c *chain) int64 {
	g := m.groups[c.halves[0].Group]
	if c.phase == urgent {
		return m.now
	}
	if c.phase != waiting || m.usedUp(c) || g.absent {
		return never
	}
	at := c.due
	if g.pause > 0 {
		at = max(at, g.until)
	}
	for t, tokens := m.now, g.tokens; m.cfg.Rate > 0 && tokens < 1000; tokens += int64(m.cfg.Rate) {
		t++
		at = max(at, t)
	}
	return at
}

// at is when there is something to do.
func (m *model) at() int64 {
	at := int64(never)
	for _, c := range m.chains {
		checks, age := m.expires(c)
		at = min(at, checks, age, m.checkAt(c))
	}
	return max(at, m.now)
}

// take does what the table said is next, or says why that is wrong.
func (m *model) take(a Action) (errand, string) {
	c := m.of(a.QueueOffset)
	switch {
	case c == nil:
		return errand{}, "an action for what is not pending"
	case a.QueueOffset != c.newest():
		return errand{}, "it does not name the newest half message"
	}
	m.serial++
	c.serial = m.serial
	g := m.groups[a.Group]
	e := errand{a, m.serial, g.version}
	if a.Kind == Expire {
		checks, age := m.expires(c)
		if checks > m.now && age > m.now || (a.Why == UsedUp) != (checks <= m.now) {
			return e, "expired early, or for the wrong reason"
		}
		c.phase, c.due = expiring, m.now+m.cfg.Interval
		return e, ""
	}
	if m.checkAt(c) > m.now {
		return e, "checked early"
	}
	for _, other := range m.chains {
		switch {
		case other.phase == urgent && c.phase != urgent:
			return e, "checked before one that was asked for"
		case other.halves[0].Group == a.Group && c.phase != urgent && m.checkAt(other) <= m.now && other.due < c.due:
			return e, "checked before one of its group that was due before"
		}
	}
	if c.phase == waiting {
		g.tokens -= 1000
		if g.pause > 0 {
			g.until = m.now + g.pause
		}
	}
	c.phase = out
	return e, ""
}

// answered returns the chain whose check e is, nil when e is void.
func (m *model) answered(e errand) (*chain, *crowd) {
	c := m.of(e.QueueOffset)
	if c == nil || c.phase != out || c.serial != e.serial {
		return nil, nil
	}
	c.phase = waiting
	return c, m.groups[e.Group]
}

func (m *model) handed(e errand) int32 {
	c, g := m.answered(e)
	if c == nil {
		return 0
	}
	c.checks++
	c.extra, c.unread = false, 0
	pause := float64(m.cfg.Interval)
	for range c.checks - 1 {
		pause = min(pause*1.5, float64(8*m.cfg.Interval))
	}
	c.due = m.now + int64(pause)
	if g.absent || g.pause > 0 {
		g.absent, g.pause = false, 0
		g.version++
	}
	return c.checks
}

// notSent is the rest: back to its group, which got its token back.
func (m *model) notSent(e errand, how string) {
	c, g := m.answered(e)
	if c == nil {
		return
	}
	fresh := e.version == g.version
	if e.paid && how != "unreadable" {
		g.tokens = min(g.tokens+1000, m.burst())
	}
	switch how {
	case "not taken":
		c.due = m.now
		if fresh {
			g.absent, g.pause = false, min(max(2*g.pause, 500), 10_000)
			g.until = m.now + g.pause
			g.version++
		}
	case "nobody":
		if fresh {
			g.absent = true
			g.version++
		}
	case "unreadable":
		c.due = m.now + min(int64(1000)<<c.unread, 600_000)
		c.unread++
		if fresh && g.pause > 0 {
			g.until = m.now
		}
	}
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package pending

// Kind says what an [Action] wants.
type Kind uint8

// The kinds of actions.
const (
	// Check: ask a producer of the group.
	Check Kind = iota + 1
	// Expire: Decide the transaction with Discard. If nothing comes of that, the
	// action comes again after Config.Interval.
	Expire
)

func (k Kind) String() string {
	switch k {
	case Check:
		return "check"
	case Expire:
		return "expire"
	}
	return "nothing"
}

// Why a transaction expires.
const (
	UsedUp = "checks used up"
	TooOld = "too old"
)

// Action is the next thing to do, about the newest half message of a
// transaction. It is void once the transaction was decided, expired, or became
// one with another: then answers to it do nothing.
type Action struct {
	Kind Kind
	Info
	Why string // of Expire: UsedUp or TooOld

	epoch  uint16
	ticket uint16
	paid   bool // it took a token
}

// Next returns the next thing to do at now; false: nothing before Wake. The
// driver must answer each Check with Handed, NotTaken, NobodyThere or
// Unreadable, unless Decide comes first; the transaction waits for that. What
// was asked for with Recheck comes first; then checks and expiries alternate,
// and the groups that have checks due take turns, each with its oldest. What
// expires does so whether its group is there, pauses or not.
func (t *Table) Next(now int64) (Action, bool) {
	t.tick(now)
	if a, ok := t.nextUrgent(); ok {
		return a, true
	}
	t.expireFirst = !t.expireFirst
	if t.expireFirst {
		if a, ok := t.nextExpiry(); ok {
			return a, true
		}
		return t.nextCheck()
	}
	if a, ok := t.nextCheck(); ok {
		return a, true
	}
	return t.nextExpiry()
}

func (t *Table) nextUrgent() (Action, bool) {
	for len(t.urgent) > 0 {
		off := t.urgent[0]
		if t.urgent = t.urgent[1:]; len(t.urgent) == 0 {
			t.urgent = nil
		}
		if id := t.byOffset.get(off); id != 0 {
			if x := t.nodes.at(id).head; t.nodes.at(x).phase == urgent {
				return t.check(x, false), true
			}
		}
	}
	return Action{}, false
}

func (t *Table) nextCheck() (Action, bool) {
	for len(t.groupsByTime.Items()) > 0 && t.groupsByTime.Items()[0].at <= t.now {
		t.place(t.groupsByTime.Items()[0])
	}
	g := t.ring
	if g == nil {
		return Action{}, false
	}
	t.ring = g.after // the others first
	t.pay(g)
	if g.pause > 0 { // one tries; the next one a pause later, should this one be decided first
		g.until = plus(t.now, g.pause)
	}
	return t.check(g.due.Items()[0], true), true
}

// check gives out the check of a transaction.
func (t *Table) check(x ident, paid bool) Action {
	n := t.nodes.at(x)
	n.phase = out
	n.ticket++
	t.arm(x)
	a := t.action(Check, x)
	a.epoch, a.paid = t.groups.items[n.group].epoch, paid
	return a
}

// action names the newest half message of x: that is the least likely to be
// unreadable.
func (t *Table) action(kind Kind, x ident) Action {
	n := t.nodes.at(x)
	half := x
	if n.next != 0 {
		half = n.next
	}
	return Action{Kind: kind, Info: t.info(half), ticket: n.ticket}
}

func (t *Table) nextExpiry() (Action, bool) {
	for len(t.byExpiry.Items()) > 0 {
		x := t.byExpiry.Items()[0]
		n := t.nodes.at(x)
		if t.expiry(n) > t.now {
			break
		}
		var why string
		switch spent := n.due <= t.now && t.spent(n); {
		case spent && t.now >= t.spare:
			why = UsedUp
		case t.tooOld(n):
			why = TooOld
		default: // spared; or it was too old, until a half message joined that says otherwise
			if spent {
				n.due = t.spare
			}
			n.phase = waiting
			t.arm(x)
			continue
		}
		n.phase = expiring
		n.ticket++
		n.due = plus(t.now, t.cfg.Interval)
		t.arm(x)
		a := t.action(Expire, x)
		a.Why = why
		return a, true
	}
	return Action{}, false
}

// spent reports whether a transaction only waits for its end.
func (t *Table) spent(n *node) bool {
	return t.usedUp(n) && (n.phase == waiting || n.phase == expiring)
}

func (t *Table) tooOld(n *node) bool {
	return t.cfg.MaxAge > 0 && plus(n.stored, t.cfg.MaxAge) <= t.now
}

// Wake is when Next may next have something; after Next had nothing it lies
// behind that time. False: not before something else happens.
func (t *Table) Wake() (at int64, ok bool) {
	if len(t.urgent) > 0 || t.ring != nil {
		return t.now, true
	}
	at = never
	if len(t.groupsByTime.Items()) > 0 {
		at = t.groupsByTime.Items()[0].at
	}
	if len(t.byExpiry.Items()) > 0 {
		at = min(at, t.expiry(t.nodes.at(t.byExpiry.Items()[0])))
	}
	return at, at != never
}

// Spare keeps transactions whose checks are used up from expiring before until:
// after a start, answers may be on their way. An earlier time than the last one
// changes nothing.
func (t *Table) Spare(until int64) { t.spare = max(t.spare, until) }

// answered finds the transaction whose check a is, with the time of the answer;
// nil when a is void.
func (t *Table) answered(a Action) (ident, *node, *group) {
	id := t.byOffset.get(a.QueueOffset)
	if id == 0 {
		return 0, nil, nil
	}
	x := t.nodes.at(id).head
	n := t.nodes.at(x)
	if n.phase != out || n.ticket != a.ticket {
		return 0, nil, nil
	}
	n.phase = waiting
	return x, n, t.groups.items[n.group]
}

// Handed says that a live connection took the check: it counts, and the next one
// is due after a pause: Config.Interval after the first, half as long again
// after each, at most eight times Config.Interval. Its group is there and pauses
// no longer. It returns how many checks were handed over by now, 0 if a is void.
// now, which a driver rounds up so that nothing is due too early, does not move
// the time of the table.
func (t *Table) Handed(a Action, now int64) (checks int32) {
	x, n, g := t.answered(a)
	if n == nil {
		return 0
	}
	n.checks = min(n.checks+1, 1<<24-1)
	n.unread &^= extra | unreadMask
	n.due = plus(max(t.now, now), Pause(t.cfg.Interval, int32(n.checks)))
	t.present(g)
	t.arm(x)
	return int32(n.checks)
}

// Pause is how long to wait after so many checks for the answer to the last one,
// in milliseconds: interval, which is at least 1, after the first, half as long
// again after each, at most eight times interval.
func Pause(interval int64, checks int32) int64 {
	if interval > never/729 {
		return interval
	}
	p := interval
	for n, power := int32(1), int64(3); n < checks && p < 8*interval; n, power = n+1, power*3 {
		p = interval * power >> n
	}
	return min(p, 8*interval)
}

// present ends what keeps the checks of a group waiting, but for its rate limit.
func (t *Table) present(g *group) {
	if g.absent || g.pause > 0 {
		g.absent, g.pause = false, 0
		g.epoch++
	}
}

// NotTaken says that nobody of the group takes checks now, though somebody is
// there. The group pauses: 500 ms, twice as long each time, at most 10 s; then
// one of its transactions tries, the one that waits longest.
func (t *Table) NotTaken(a Action, now int64) {
	t.tick(now)
	x, n, g := t.answered(a)
	if n == nil {
		return
	}
	n.due = t.now
	if a.paid {
		t.refund(g)
	}
	if a.epoch == g.epoch {
		g.absent = false
		g.pause = min(max(2*g.pause, pauseFirst), pauseLongest)
		g.until = plus(t.now, g.pause)
		g.epoch++
	}
	t.arm(x)
}

// NobodyThere says that no producer of the group is online. Its due transactions
// wait until Online and burn nothing. If Online came after the action was given
// out, the check is due again at once.
func (t *Table) NobodyThere(a Action) {
	x, n, g := t.answered(a)
	if n == nil {
		return
	}
	if a.paid {
		t.refund(g)
	}
	if a.epoch == g.epoch {
		g.absent = true
		g.epoch++
	}
	t.arm(x)
}

// Unreadable says that the half record can't be read: the check is due again
// after a pause, 1 s, twice as long each time in a row, at most 10 minutes. It
// doesn't count.
func (t *Table) Unreadable(a Action, now int64) {
	t.tick(now)
	x, n, g := t.answered(a)
	if n == nil {
		return
	}
	times := n.unread & unreadMask
	n.due = plus(t.now, min(int64(1000)<<times, 600_000))
	if times < 10 {
		n.unread++
	}
	if g.pause > 0 && a.epoch == g.epoch {
		g.until = t.now // another one tries
	}
	t.arm(x)
}

// Online says that a live connection of the group appeared: it is there, and its
// pause is over.
func (t *Table) Online(group string, now int64) {
	t.tick(now)
	g := t.groupNames[group]
	if g == nil {
		return
	}
	t.present(g)
	g.epoch++ // a look for producers may have been before
	t.place(g)
}

// Recheck makes the transaction of a half message due at now, whatever its
// deadline, its pauses, and its group's pause, absence or rate limit. When its
// checks are used up it gets one more. False: it is not pending, being decided,
// or too old, so that it is being discarded anyway. A check that is with the
// driver at this moment is the one that was asked for.
func (t *Table) Recheck(queueOffset, now int64) bool {
	t.tick(now)
	id := t.byOffset.get(queueOffset)
	if id == 0 {
		return false
	}
	x := t.nodes.at(id).head
	n := t.nodes.at(x)
	if n.phase == deciding || t.tooOld(n) {
		return false
	}
	if n.phase == out || n.phase == urgent {
		return true
	}
	n.phase = urgent
	n.unread |= extra
	n.due = t.now
	t.urgent = append(t.urgent, queueOffset)
	t.arm(x)
	return true
}

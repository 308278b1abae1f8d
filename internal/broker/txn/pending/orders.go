// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package pending

// byDue orders the transactions of a group by when their checks are due, equal
// times by age.
type byDue struct{ *slab }

func (o byDue) Before(a, b ident) bool {
	x, y := o.at(a), o.at(b)
	if x.due != y.due {
		return x.due < y.due
	}
	return x.offset < y.offset
}

func (o byDue) Placed(id ident, pos uint32) { o.at(id).duePos = pos }

// byExpiry orders transactions by when they expire.
type byExpiry struct{ t *Table }

func (o byExpiry) Before(a, b ident) bool {
	x, y := o.t.nodes.at(a), o.t.nodes.at(b)
	if p, q := o.t.expiry(x), o.t.expiry(y); p != q {
		return p < q
	}
	return x.offset < y.offset
}

func (o byExpiry) Placed(id ident, pos uint32) { o.t.nodes.at(id).expiryPos = pos }

// byReady orders groups by when their next check may go, equal times always the
// same way.
type byReady struct{}

func (byReady) Before(a, b *group) bool {
	if a.at != b.at {
		return a.at < b.at
	}
	return a.id < b.id
}

func (byReady) Placed(g *group, pos uint32) { g.pos = pos }

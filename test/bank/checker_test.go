// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package bank

import (
	"slices"
	"testing"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/test/bank/teller"
)

// made is a made-up run: a ledger of a producer that was there, one of an
// abandoned one, and what the broker has.
type made struct {
	raw, abandoned    []teller.Event
	committed, parked []record
}

func (m *made) judge() *verdict {
	return judge([]book{
		{"raw", teller.Raw, slices.Values(m.raw)}, {"abandoned", teller.Abandoned, slices.Values(m.abandoned)},
	}, m.committed, m.parked)
}

// next gives the number of the last line, for what is sent now.
func (m *made) next() int { return len(m.raw) }

func (m *made) add(e ...teller.Event) { m.raw = append(m.raw, e...) }

func begun(key string) teller.Event {
	return teller.Event{Kind: teller.Begun, Key: key, CRC: uint32(len(key)) + 7}
}

func stored(key string, conn int, offset int64, sent int) teller.Event {
	return teller.Event{Kind: teller.Stored, Key: key, Conn: conn, Offset: offset, Sent: sent}
}

func decided(key string, o teller.Outcome) teller.Event {
	return teller.Event{Kind: teller.Decided, Key: key, Outcome: o}
}

func acked(key string, conn int, offset int64, sent int, o teller.Outcome) teller.Event {
	return teller.Event{Kind: teller.Answered, Key: key, Conn: conn, Offset: offset, Sent: sent, Outcome: o}
}

func checked(key string, conn int, offset int64) teller.Event {
	return teller.Event{Kind: teller.Checked, Key: key, Conn: conn, Offset: offset}
}

func beat(conn, sent int) teller.Event {
	return teller.Event{Kind: teller.Heartbeat, Conn: conn, Sent: sent}
}

func rec(key string) record { return record{key: key, crc: uint32(len(key)) + 7, at: "queue 0"} }

// good is a run in which nothing is wrong: "commit" and "rollback" were
// acknowledged, "asked" was resolved by a check, "chain" has two half messages,
// "again" has one that came after the rollback of the other, "overtaken" was
// asked about on a connection where nothing says that the question is not older
// than the answer, "gone" is abandoned.
func good() *made {
	m := &made{committed: []record{rec("commit"), rec("asked"), rec("chain"), rec("overtaken")}, parked: []record{rec("gone")}}
	m.add(teller.Event{Kind: teller.Opened}, teller.Event{Kind: teller.Dialled, Conn: 1}, teller.Event{Kind: teller.Dialled, Conn: 2})
	m.add(begun("commit"), stored("commit", 1, 0, 4), decided("commit", teller.Commit), acked("commit", 1, 0, 6, teller.Commit))
	m.add(begun("rollback"), stored("rollback", 2, 1, 8), decided("rollback", teller.Rollback), acked("rollback", 2, 1, 10, teller.Rollback))
	refused := acked("rollback", 2, 1, 11, teller.Commit)
	refused.Code = wire.IllegalOperation
	m.add(refused)
	for range 2 {
		m.add(teller.Event{Kind: teller.Faulted, Key: "rollback", Fault: teller.Contradictory})
	}
	forged := acked("rollback", 2, 1, 12, teller.Commit)
	forged.Kind, forged.Code = teller.Forged, wire.SystemError
	m.add(forged)
	m.add(begun("asked"), stored("asked", 1, 2, m.next()), decided("asked", teller.Commit), checked("asked", 2, 2))
	m.add(acked("asked", 2, 2, m.next(), teller.Commit))
	m.add(begun("chain"))
	m.add(stored("chain", 1, 4, m.next()), checked("chain", 1, 3), decided("chain", teller.Commit))
	m.add(acked("chain", 1, 4, m.next(), teller.Commit))
	m.add(begun("again"), checked("again", 1, 5), decided("again", teller.Rollback))
	sent := m.next()
	m.add(acked("again", 1, 5, sent, teller.Rollback), stored("again", 1, 6, sent), checked("again", 1, 6))
	m.add(acked("again", 1, 6, m.next(), teller.Rollback))
	m.add(begun("overtaken"), stored("overtaken", 1, 7, m.next()), decided("overtaken", teller.Commit))
	sent = m.next()
	m.add(acked("overtaken", 1, 7, sent, teller.Commit), beat(2, sent), checked("overtaken", 2, 7))
	m.abandoned = []teller.Event{begun("gone"), stored("gone", 1, 9, 1), checked("gone", 1, 9), begun("unsent")}
	return m
}

func TestJudgeAcceptsWhatIsCorrect(t *testing.T) {
	v := good().judge()
	if len(v.told) > 0 {
		t.Errorf("found %q", v.told)
	}
	if v.transactions != 8 || v.commits != 4 || v.rollbacks != 2 || v.discarded != 1 || v.checks != 6 || v.faults[teller.Contradictory] != 1 {
		t.Errorf("counted %+v", v)
	}
}

func TestJudgeBites(t *testing.T) {
	for _, c := range []struct {
		name   string
		want   violation
		damage func(m *made)
	}{
		{"a commit is not there", lostCommit, func(m *made) { m.committed = m.committed[1:] }},
		{"a commit that was asked for is not there", lostCommit, func(m *made) { m.committed = slices.Delete(m.committed, 1, 2) }},
		{"a commit is there twice", duplicateCommit, func(m *made) { m.committed = append(m.committed, rec("commit")) }},
		{"a chain is there twice", duplicateCommit, func(m *made) { m.committed = append(m.committed, rec("chain")) }},
		{"a rollback is there", commitAfterRollback, func(m *made) { m.committed = append(m.committed, rec("rollback")) }},
		{"nobody began it", phantom, func(m *made) { m.committed = append(m.committed, rec("unknown")) }},
		{"nobody decided it", phantom, func(m *made) { m.committed = append(m.committed, rec("unsent")) }},
		{"another body", phantom, func(m *made) { m.committed[0].crc++ }},
		{"nobody began what is parked", phantom, func(m *made) { m.parked = append(m.parked, rec("unknown")) }},
		{"asked on the same connection", unexpectedCheck, func(m *made) { m.add(checked("commit", 1, 0)) }},
		{"asked on another connection after an answer there", unexpectedCheck, func(m *made) {
			m.add(beat(2, m.next()), checked("overtaken", 2, 7))
		}},
		{"asked on a connection that is younger than the answer", unexpectedCheck, func(m *made) {
			m.add(teller.Event{Kind: teller.Dialled, Conn: 3}, checked("overtaken", 3, 7))
		}},
		{"asked about an older half message of the chain", unexpectedCheck, func(m *made) { m.add(checked("chain", 1, 3)) }},
		{"asked about a younger half message of the chain", unexpectedCheck, func(m *made) {
			m.add(begun("long"), stored("long", 1, 20, m.next()), stored("long", 1, 21, m.next()), decided("long", teller.Rollback))
			m.add(acked("long", 1, 20, m.next(), teller.Rollback), checked("long", 1, 21))
		}},
		{"asked about a transaction of its own after its end", unexpectedCheck, func(m *made) { m.add(checked("again", 1, 6)) }},
		{"the other outcome is accepted", overturned, func(m *made) { m.add(acked("rollback", 1, 1, m.next(), teller.Commit)) }},
		{"a wrong end is accepted", overturned, func(m *made) {
			e := acked("rollback", 1, 1, m.next(), teller.Commit)
			e.Kind = teller.Forged
			m.add(e)
		}},
		{"a discarded one is not listed", unlistedDiscard, func(m *made) { m.parked = nil }},
		{"a discarded one is listed twice", strayDiscard, func(m *made) { m.parked = append(m.parked, rec("gone")) }},
		{"a discarded one is committed", strayDiscard, func(m *made) { m.committed = append(m.committed, rec("gone")) }},
		{"a decided one is discarded", strayDiscard, func(m *made) { m.parked = append(m.parked, rec("asked")) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := good()
			c.damage(m)
			if v := m.judge(); v.found[c.want] != 1 {
				t.Errorf("found %v, want one %s: %q", v.found, c.want, v.told)
			}
		})
	}
}

func TestVerdictIsBounded(t *testing.T) {
	m := good()
	for range maxTold + 5 {
		m.committed = append(m.committed, rec("commit"))
	}
	if v := m.judge(); v.found[duplicateCommit] != maxTold+5 || len(v.told) != maxTold {
		t.Errorf("found %v, told %d", v.found, len(v.told))
	}
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package crash

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// history is a correct run: what was sent and what is stored. 3 queues, 20
// messages each, of which every fifth was not acknowledged and every tenth
// neither acknowledged nor stored.
func history() ([]sent, map[int32][]stored) {
	var log []sent
	queues := make(map[int32][]stored)
	tick, position := int64(0), int64(0)
	for i := range 60 {
		q := int32(i % 3)
		m := sent{key: fmt.Sprintf("m%02d", i), topic: "T", queue: q, crc: uint32(i) * 7}
		tick++
		m.begun = tick
		if i%10 != 9 {
			r := stored{key: m.key, queue: q, queueOffset: int64(len(queues[q])), position: position, crc: m.crc}
			queues[q] = append(queues[q], r)
			position += 100
			if i%5 != 4 {
				tick++
				m.answered, m.offset = tick, r.queueOffset
			}
		}
		log = append(log, m)
	}
	return log, queues
}

// wantProblem holds that there are problems and that one is of the kind.
func wantProblem(t *testing.T, got []string, kind string) {
	t.Helper()
	if !slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, kind+":") }) {
		t.Errorf("problems %q, want one of the kind %q", got, kind)
	}
}

func TestCheckTopicAcceptsWhatIsCorrect(t *testing.T) {
	log, queues := history()
	if got := checkTopic(log, queues); len(got) > 0 {
		t.Errorf("problems in a correct history: %q", got)
	}
}

// renumber gives the records of a queue the offsets of their places and
// ascending positions, so that only what they are is wrong.
func renumber(records []stored) []stored {
	for i := range records {
		records[i].queueOffset, records[i].position = int64(i), int64(i)*100
	}
	return records
}

func TestCheckTopicBites(t *testing.T) {
	for _, c := range []struct {
		name, kind string
		damage     func(log []sent, queues map[int32][]stored)
	}{
		{"drop the last record", "lost", func(_ []sent, q map[int32][]stored) { q[1] = q[1][:len(q[1])-1] }},
		{"drop one, leave a gap", "lost", func(_ []sent, q map[int32][]stored) { q[0] = slices.Delete(q[0], 4, 5) }},
		{"drop one, leave a gap in the offsets", "offsets", func(_ []sent, q map[int32][]stored) { q[0] = slices.Delete(q[0], 4, 5) }},
		{"drop one, close the gap", "moved", func(_ []sent, q map[int32][]stored) { q[0] = renumber(slices.Delete(q[0], 4, 5)) }},
		{"drop a queue", "lost", func(_ []sent, q map[int32][]stored) { delete(q, 2) }},
		{"duplicate one at the end", "twice", func(_ []sent, q map[int32][]stored) { q[0] = renumber(append(q[0], q[0][3])) }},
		{"duplicate one in another queue", "twice", func(_ []sent, q map[int32][]stored) {
			r := q[0][3]
			r.queue = 1
			q[1] = renumber(append(q[1], r))
		}},
		{"one offset twice", "offsets", func(_ []sent, q map[int32][]stored) { q[0][5].queueOffset = 4 }},
		{"swap two", "moved", func(_ []sent, q map[int32][]stored) {
			q[0][5], q[0][6] = q[0][6], q[0][5]
			renumber(q[0])
		}},
		{"swap two and their answers", "order", func(log []sent, q map[int32][]stored) {
			q[0][5], q[0][6] = q[0][6], q[0][5]
			renumber(q[0])
			for i := range log {
				for _, r := range q[0] {
					if log[i].key == r.key {
						log[i].offset = r.queueOffset
					}
				}
			}
		}},
		{"move an unacknowledged one before one acknowledged earlier", "order", func(log []sent, q map[int32][]stored) {
			i := slices.IndexFunc(q[2], func(r stored) bool {
				return log[slices.IndexFunc(log, func(m sent) bool { return m.key == r.key })].answered == 0
			})
			q[2][i], q[2][i-1] = q[2][i-1], q[2][i]
			renumber(q[2])
		}},
		{"positions that go back", "positions", func(_ []sent, q map[int32][]stored) { q[0][5].position = 0 }},
		{"a body that changed", "changed", func(_ []sent, q map[int32][]stored) { q[0][5].crc++ }},
		{"a message of nobody", "unknown", func(_ []sent, q map[int32][]stored) {
			q[0] = renumber(append(q[0], stored{key: "x", queue: 0}))
		}},
		{"a message that was refused", "refused", func(log []sent, q map[int32][]stored) {
			log[slices.IndexFunc(log, func(m sent) bool { return m.key == q[0][5].key })].busy = true
		}},
		{"a record of another queue", "foreign", func(_ []sent, q map[int32][]stored) { q[0][5].queue = 1 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			log, queues := history()
			c.damage(log, queues)
			wantProblem(t, checkTopic(log, queues), c.kind)
		})
	}
}

func TestCheckUnchangedBites(t *testing.T) {
	_, before := history()
	_, after := history()
	after[0] = append(after[0], stored{key: "later"})
	if got := checkUnchanged(before, after); len(got) > 0 {
		t.Errorf("problems after an append: %q", got)
	}
	after[1] = after[1][:3]
	wantProblem(t, checkUnchanged(before, after), "gone")
	after[2][4].crc++
	wantProblem(t, checkUnchanged(before, after), "unstable")
}

// transactions is a correct end of transactions.
func transactions() ([]half, map[int32][]stored) {
	halves := []half{
		{sent: sent{key: "committed", answered: 1}, want: commit, ended: true, settled: true},
		{sent: sent{key: "rolled-back", answered: 2}, want: rollback, ended: true, settled: true},
		{sent: sent{key: "asked", answered: 3, queue: 1, crc: 5}, want: commit, ended: true},
		{sent: sent{key: "open", answered: 4}, want: commit},
		{sent: sent{key: "unacknowledged"}, want: commit},
	}
	return halves, map[int32][]stored{0: {{key: "committed"}}, 1: {{key: "asked", queue: 1, crc: 5}}}
}

func TestCheckTransactionsAcceptsWhatIsCorrect(t *testing.T) {
	halves, queues := transactions()
	if got := checkTransactions(halves, queues, map[string]int{"asked": 2}, false); len(got) > 0 {
		t.Errorf("problems: %q", got)
	}
}

func TestCheckTransactionsBites(t *testing.T) {
	for _, c := range []struct {
		name, kind string
		damage     func(queues map[int32][]stored, asked map[string]int)
		final      bool
	}{
		{"a commit is not visible", "lost", func(q map[int32][]stored, _ map[string]int) { delete(q, 0) }, false},
		{"a commit by check-back is not visible", "lost", func(q map[int32][]stored, _ map[string]int) { delete(q, 1) }, false},
		{"a commit is visible twice", "twice", func(q map[int32][]stored, _ map[string]int) {
			q[0] = append(q[0], stored{key: "committed", queueOffset: 1})
		}, false},
		{"a rollback is visible", "resurrected", func(q map[int32][]stored, _ map[string]int) {
			q[0] = append(q[0], stored{key: "rolled-back", queueOffset: 1})
		}, false},
		{"a message of nobody", "unknown", func(q map[int32][]stored, _ map[string]int) {
			q[0] = append(q[0], stored{key: "x", queueOffset: 1})
		}, false},
		{"another queue", "moved", func(q map[int32][]stored, _ map[string]int) { q[0], q[1] = q[1], q[0] }, false},
		{"another body", "changed", func(q map[int32][]stored, _ map[string]int) { q[0][0].crc++ }, false},
		{"a gap", "offsets", func(q map[int32][]stored, _ map[string]int) { q[0][0].queueOffset++ }, false},
		{"asked about a commit", "asked", func(_ map[int32][]stored, a map[string]int) { a["committed"] = 1 }, false},
		{"asked about a rollback", "asked", func(_ map[int32][]stored, a map[string]int) { a["rolled-back"] = 1 }, false},
		{"never asked", "stuck", func(map[int32][]stored, map[string]int) {}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			halves, queues := transactions()
			asked := map[string]int{"asked": 1}
			c.damage(queues, asked)
			wantProblem(t, checkTransactions(halves, queues, asked, c.final), c.kind)
		})
	}
}

func TestProblemsAreBounded(t *testing.T) {
	var p problems
	for i := range maxProblems + 5 {
		p.add("%d", i)
	}
	if got := p.all(); len(got) != maxProblems+1 || got[maxProblems] != "and 5 more" {
		t.Errorf("got %q", got)
	}
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/twostage/twostage/internal/proctest"
	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// left is transactions in every state, which a producer left behind.
type left struct {
	committed, rolled, discarded, open, second, third half
}

// stray is the group of an outcome that is refused.
const stray = "a_group_that_it_is_not"

// leave makes them, in topic Orders of group shop.
func leave(t *testing.T, s *proctest.Server, p *producer) left {
	t.Helper()
	var l left
	p.meet(s.Broker)
	l.discarded = p.send(s.Broker, "Orders", "DISCARDED", 0)
	l.committed = p.send(s.Broker, "Orders", "COMMITTED", immune)
	l.rolled = p.send(s.Broker, "Orders", "ROLLED", immune)
	l.open = p.send(s.Broker, "Orders", "OPEN", immune)
	l.second = p.send(s.Broker, "Orders", "SECOND", immune)
	l.third = p.send(s.Broker, "Orders", "THIRD", immune)
	if err := p.end(s.Broker, l.committed, message.TransactionCommit, nil); err != nil {
		t.Fatal(err)
	}
	if err := p.end(s.Broker, l.rolled, message.TransactionRollback, nil); err != nil {
		t.Fatal(err)
	}
	if err := p.end(s.Broker, l.rolled, message.TransactionCommit, nil); !errors.Is(err, rpc.IllegalOperation) {
		t.Errorf("a commit after the rollback: %v", err)
	}
	await(t, s, l.discarded.offset, body.Discarded)
	err := p.end(s.Broker, l.open, message.TransactionCommit, func(h *header.EndTransactionRequest) { h.ProducerGroup = stray })
	if !errors.Is(err, rpc.SystemError) {
		t.Errorf("a commit by another group: %v", err)
	}
	return l
}

func (l *left) all() []half {
	return []half{l.discarded, l.committed, l.rolled, l.open, l.second, l.third}
}

// TestCommandLine goes through the commands, with kills in between.
func TestCommandLine(t *testing.T) {
	t.Parallel()
	s, p := serve(t), newProducer(t, "shop")
	l := leave(t, s, p)
	wantLists(t, s, &l)
	before := wantStories(t, s, &l)

	killed(t, s, stray)
	p.meet(s.Broker)
	for i, h := range l.all() {
		wantSame(t, story(t, s, h.offset), before[i])
	}
	wantLists(t, s, &l)
	wantBodies(t, s.Broker, "Orders", "COMMITTED")

	wantDecided(t, s, &l)
	wantRechecked(t, s, p, &l)
	resumed := wantResumed(t, s, p, &l)
	want := []string{"COMMITTED", "OPEN", "THIRD", "DISCARDED"}
	wantBodies(t, s.Broker, "Orders", want...)

	// The last event should be one that can be told from all others.
	const late = "another_group"
	err := p.end(s.Broker, l.open, message.TransactionRollback, func(h *header.EndTransactionRequest) { h.ProducerGroup = late })
	if err == nil {
		t.Error("a rollback by another group is accepted")
	}
	offsets := []int64{resumed}
	for _, h := range l.all() {
		offsets = append(offsets, h.offset)
	}
	before = nil
	for _, offset := range offsets {
		before = append(before, story(t, s, offset))
	}
	killed(t, s, late)
	p.meet(s.Broker)
	for i, offset := range offsets {
		wantSame(t, story(t, s, offset), before[i])
	}
	tx(t, s, 1, []string{"resume", fmt.Sprint(l.discarded.offset)}, "resumed before")
	tx(t, s, 1, []string{"rollback", fmt.Sprint(l.discarded.offset), "--yes"}, "committed")
	wantBodies(t, s.Broker, "Orders", want...)
	tx(t, s, 0, []string{"list"}, "no such transactions")
}

// wantLists holds that `tx list` has them, by its filters and in both forms.
func wantLists(t *testing.T, s *proctest.Server, l *left) {
	t.Helper()
	rows, keys := table(t, tx(t, s, 0, []string{"list", "--state", "all"}))
	if want := []string{"DISCARDED", "COMMITTED", "ROLLED", "OPEN", "SECOND", "THIRD"}; !slices.Equal(keys, want) {
		t.Errorf("listed are %q, want %q", keys, want)
	}
	states := map[string]string{"COMMITTED": "committed", "ROLLED": "rolled-back", "DISCARDED": "discarded"}
	for _, h := range l.all() {
		row, state := rows[h.key], states[h.key]
		if state == "" {
			state = "undecided"
		}
		if row["OFFSET"] != fmt.Sprint(h.offset) || row["STATE"] != state || row["TOPIC"] != "Orders" || row["GROUP"] != "shop" ||
			(row["NEXT"] == "-") != (state != "undecided") {
			t.Errorf("the row of %s is %v", h.key, row)
		}
	}
	for _, c := range []struct {
		args string
		keys []string
	}{
		{"", []string{"OPEN", "SECOND", "THIRD"}},
		{"--state undecided --topic Orders --group shop", []string{"OPEN", "SECOND", "THIRD"}},
		{"--state committed", []string{"COMMITTED"}},
		{"--state rolled-back", []string{"ROLLED"}},
		{"--state discarded", []string{"DISCARDED"}},
		{"--state all --newer-than 1h --limit 2", []string{"DISCARDED", "COMMITTED"}},
		{"--topic Other", nil},
		{"--group other", nil},
		{"--older-than 1h", nil},
		{"--state resumed", nil},
	} {
		args := append([]string{"list"}, strings.Fields(c.args)...)
		var have struct {
			Transactions []struct {
				Broker string
				body.Transaction
			}
			More bool
		}
		decode(t, tx(t, s, 0, append(args, "-o", "json")), &have)
		var keys []string
		for _, one := range have.Transactions {
			keys = append(keys, one.Key)
			at := slices.IndexFunc(l.all(), func(h half) bool { return h.key == one.Key })
			if at < 0 || one.Broker != "inspected" || one.QueueOffset != l.all()[at].offset || one.CommitLogOffset != l.all()[at].position {
				t.Errorf("tx %q: %+v", args, one)
			}
		}
		if !slices.Equal(keys, c.keys) || have.More != strings.Contains(c.args, "limit") {
			t.Errorf("tx %q lists %q, more is %t; want %q", args, keys, have.More, c.keys)
		}
		if len(c.keys) == 0 {
			tx(t, s, 0, args, "no such transactions")
		}
	}
	tx(t, s, 0, []string{"list", "--limit", "1"}, "there are more than these 1")
	tx(t, s, 2, []string{"list", "--state", "lost"}, `state "lost": accepted are undecided`)
	tx(t, s, 2, []string{"list", "-o", "xml"}, "accepted are table, wide, json, yaml")
}

// wantStories holds that `tx show` tells each story, by any of its names, and
// gives the stories.
func wantStories(t *testing.T, s *proctest.Server, l *left) (all []*body.TransactionStory) {
	t.Helper()
	for _, h := range l.all() {
		st := new(body.TransactionStory)
		decode(t, tx(t, s, 0, []string{"show", fmt.Sprint(h.offset), "-o", "json"}), st)
		all = append(all, st)
		for _, id := range []string{h.key, h.id} {
			again := new(body.TransactionStory)
			decode(t, tx(t, s, 0, []string{"show", id, "-o", "json"}), again)
			wantSame(t, again, st)
		}
		wantSame(t, story(t, s, h.key), st)
	}
	wantKinds(t, all[0], "stored", "check", "discarded", "decided discard")
	wantKinds(t, all[1], "stored", "decided commit")
	wantKinds(t, all[2], "stored", "decided rollback", "refused commit")
	wantKinds(t, all[3], "stored", "refused commit")
	wantKinds(t, all[4], "stored")
	text := tx(t, s, 0, []string{"show", "DISCARDED"})
	wantWords(t, text, fmt.Sprintf("%d on inspected at 127.0.0.1:", l.discarded.offset), "discarded", "Orders, queue 0", "shop", "parked", "EVENT",
		"half message stored", "check 1 sent", "127.0.0.1:", "checks used up")
	wantWords(t, tx(t, s, 0, []string{"show", "ROLLED"}), "rolled-back", "refused: commit", "outcome stored: rollback")
	wantWords(t, tx(t, s, 0, []string{"show", l.open.id}), "undecided: its first check is not due yet", "0, next: 59m", stray)
	tx(t, s, 1, []string{"show", "NONE"}, "no such transaction", "twostage tx list --state all")
	return all
}

// wantDecided has an operator decide OPEN and SECOND.
func wantDecided(t *testing.T, s *proctest.Server, l *left) {
	t.Helper()
	open, second := fmt.Sprint(l.open.offset), fmt.Sprint(l.second.offset)
	tx(t, s, 2, []string{"commit", open}, "--yes")
	tx(t, s, 2, []string{"rollback", open}, "--yes")
	committed := "committed transaction=" + open + " broker=inspected"
	if _, err := os.Stat("/dev/ptmx"); err == nil {
		said := terminal(t, 1, "no", "tx", "commit", open, "--namesrv", s.Namesrv)
		wantWords(t, said, "topic Orders, group shop, key OPEN", "Type yes to commit it", "not committed")
		if st := story(t, s, open); st.Transaction.State != body.Undecided {
			t.Fatalf("%s after a no", st.Transaction.State)
		}
		wantWords(t, terminal(t, 0, "yes", "tx", "commit", open, "--namesrv", s.Namesrv), committed)
	} else {
		t.Logf("nobody is asked, because this machine has no terminals: %v", err)
		wantWords(t, tx(t, s, 0, []string{"commit", open, "--yes"}), committed)
	}
	if out := tx(t, s, 0, []string{"rollback", "SECOND", "--yes"}); out != "rolled-back transaction="+second+" broker=inspected\n" {
		t.Errorf("a rollback prints %q", out)
	}
	st := story(t, s, open)
	wantKinds(t, st, "stored", "refused commit", "operator commit", "decided commit")
	if who := operator(t, st); !strings.HasPrefix(who, "127.0.0.1:") || st.Transaction.CommittedOffset == 0 {
		t.Errorf("%q decided, the committed message is at %d", who, st.Transaction.CommittedOffset)
	}
	wantKinds(t, story(t, s, second), "stored", "operator rollback", "decided rollback")
	// The same again is no news, the opposite is refused, by whatever name.
	tx(t, s, 0, []string{"commit", l.open.id, "--yes"})
	tx(t, s, 1, []string{"rollback", "OPEN", "--yes"}, "committed")
	tx(t, s, 1, []string{"commit", second, "--yes"}, "rolled back")
	tx(t, s, 1, []string{"commit", "DISCARDED", "--yes"}, "discarded")
	tx(t, s, 1, []string{"recheck", open}, "committed")
	tx(t, s, 1, []string{"resume", open}, "committed")
	tx(t, s, 1, []string{"commit", "NONE", "--yes"}, "no such transaction")
	wantBodies(t, s.Broker, "Orders", "COMMITTED", "OPEN")
}

// wantRechecked has the producer asked about THIRD, long before its time.
func wantRechecked(t *testing.T, s *proctest.Server, p *producer, l *left) {
	t.Helper()
	p.answer(l.third.key, message.TransactionCommit)
	if out, want := tx(t, s, 0, []string{"recheck", "THIRD"}), fmt.Sprintf("rechecked transaction=%d broker=inspected\n", l.third.offset); out != want {
		t.Errorf("a recheck prints %q, want %q", out, want)
	}
	st := await(t, s, "THIRD", body.Committed)
	wantKinds(t, st, "stored", "rechecked", "check", "answer commit", "decided commit")
}

// wantResumed takes DISCARDED up again; the producer commits it when asked. It
// gives the queue offset of the half message that stands for it now.
func wantResumed(t *testing.T, s *proctest.Server, p *producer, l *left) (offset int64) {
	t.Helper()
	parked := story(t, s, "DISCARDED")
	p.answer(l.discarded.key, message.TransactionCommit)
	out := tx(t, s, 0, []string{"resume", fmt.Sprint(l.discarded.offset)})
	if _, err := fmt.Sscanf(out, "resumed transaction=%d broker=inspected\n", &offset); err != nil || offset <= l.third.offset {
		t.Fatalf("a resume prints %q: %v", out, err)
	}
	await(t, s, offset, body.Committed)
	st := story(t, s, l.discarded.offset)
	if st.Transaction.State != body.Resumed || st.Transaction.ResumedAs != offset {
		t.Errorf("the parked one is %+v", st.Transaction)
	}
	// It is told what was told before, but for the outcome, which it has no more.
	wantKinds(t, st, append(slices.DeleteFunc(kinds(parked), func(kind string) bool { return kind == "decided discard" }), "resumed")...)
	wantKinds(t, story(t, s, offset), "stored", "resumed", "check", "answer commit", "decided commit")
	wantWords(t, tx(t, s, 0, []string{"show", fmt.Sprint(l.discarded.offset)}), "resumed as", fmt.Sprintf("transaction %d", offset))
	// Its outcome is that of the new one now.
	tx(t, s, 1, []string{"rollback", fmt.Sprint(l.discarded.offset), "--yes"}, "committed")
	tx(t, s, 1, []string{"resume", fmt.Sprint(l.discarded.offset)}, "resumed before")
	if err := p.end(s.Broker, l.discarded, message.TransactionCommit, nil); err != nil {
		t.Errorf("the same outcome under the old name: %v", err)
	}
	return offset
}

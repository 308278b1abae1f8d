// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package teller

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
)

func TestEventsComeBack(t *testing.T) {
	for kind := range shape {
		e := Event{Kind: kind, Outcome: Rollback, Code: -3, CRC: 1<<32 - 1, Conn: 7, Sent: 9, Offset: -1, Key: "bank-01-00000002", Fault: HalfLost}
		line := string(appendEvent(nil, &e))
		got, err := parseEvent(strings.TrimSuffix(line, "\n"))
		if err != nil {
			t.Fatal(err)
		}
		if again := string(appendEvent(nil, &got)); again != line {
			t.Errorf("%q came back as %q", line, again)
		}
	}
	for _, bad := range []string{"", "D", "Z", "D key", "D key X", "N x", "B key 1 2", "DD key C", " D key C"} {
		if e, err := parseEvent(bad); err == nil {
			t.Errorf("%q is %+v, want an error", bad, e)
		}
	}
}

func reopen(t *testing.T, path string) *Ledger {
	t.Helper()
	l, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestLedgerDecidesOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger")
	l := reopen(t, path)
	var all sync.WaitGroup
	var got [8][50]Outcome
	for i := range got {
		all.Go(func() {
			for n := range got[i] {
				want := Commit
				if (i+n)%2 == 0 {
					want = Rollback
				}
				o, err := l.Decide(fmt.Sprint("k", n), want)
				if err != nil {
					t.Error(err)
				}
				got[i][n] = o
			}
		})
	}
	all.Wait()
	for i := range got {
		if got[i] != got[0] {
			t.Fatal("two callers were told different outcomes")
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = reopen(t, path)
	defer l.Close()
	for n, was := range got[0] {
		if o, err := l.Decide(fmt.Sprint("k", n), was.Opposite()); o != was || err != nil {
			t.Errorf("k%d was %c, after a restart it is %c (%v)", n, was, o, err)
		}
	}
	if l.Line() != 52 { // Opened, 50 decisions, Opened
		t.Errorf("%d lines", l.Line())
	}
}

func TestLedgerCutsATornLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger")
	l := reopen(t, path)
	l.Note(Event{Kind: Begun, Key: "a", CRC: 1})
	if _, err := l.Decide("a", Commit); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("D b C"); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	l = reopen(t, path)
	if _, ok := l.Decision("b"); ok || l.Begun() != 1 {
		t.Error("the torn line counts")
	}
	if _, err := l.Decide("b", Rollback); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	var kinds []Kind
	for e, err := range Read(path) {
		if err != nil {
			t.Fatal(err)
		}
		kinds = append(kinds, e.Kind)
	}
	if want := []Kind{Opened, Begun, Decided, Opened, Decided}; !reflect.DeepEqual(kinds, want) {
		t.Errorf("the ledger has %q, want %q", kinds, want)
	}
	if err := os.WriteFile(path, []byte("O\nnonsense\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if l, err := Open(path); err == nil {
		_ = l.Close()
		t.Error("a ledger that does not parse was opened")
	} else if !strings.Contains(err.Error(), "line 2") {
		t.Errorf("the error does not name the line: %v", err)
	}
}

func TestPlanReplays(t *testing.T) {
	for _, client := range []Client{Raw, Official, Abandoned} {
		sum := 0
		for _, w := range weights[client] {
			sum += w.of100
		}
		if sum != 100 {
			t.Errorf("the weights of %s make %d", client, sum)
		}
		p := Plan{Seed: 5, Producer: 3, Client: client, Deaths: 200, Doomed: 20}
		faults, last := make(map[Fault]int), 0
		for n := range 2000 {
			a, b := p.Transaction(n), p.Transaction(n)
			if !reflect.DeepEqual(a, b) {
				t.Fatalf("transaction %d is %+v, then %+v", n, a, b)
			}
			if p.Number(a.Key) != n || KeyOf(a.Body) != a.Key || (Plan{Producer: 4}).Number(a.Key) != -1 {
				t.Fatalf("the key of transaction %d is %q, its body %q", n, a.Key, a.Body)
			}
			faults[a.Fault]++
			if a.Last {
				last++
			}
			if next := p.Transaction(n + 1); a.Fault == Died && !a.Last != (next.Fault == Died) {
				t.Fatalf("transaction %d is %+v, then comes %+v", n, a, next)
			}
		}
		if faults[Died] != 200 || last != 10 {
			t.Errorf("%d of %s die, %d of them are the last", faults[Died], client, last)
		}
		for _, w := range weights[client] {
			if got, want := faults[w.fault], 18*w.of100; got < want/2 || got > want*2 {
				t.Errorf("%s has %d of %s, want about %d", client, got, w.fault, want)
			}
		}
	}
}

func TestArgsAreRead(t *testing.T) {
	want := Work{
		Plan:   Plan{Seed: 1 << 40, Producer: 12, Client: Official, Deaths: 7, Doomed: 3},
		Broker: "b:1", Namesrv: "n:2", Topic: "T", Group: "G", Ledger: "/l", Rate: 2.5, Limit: 0,
	}
	if got, err := Flags(want.Args()); err != nil || got != want {
		t.Errorf("read %+v, want %+v (%v)", got, want, err)
	}
	if _, err := Flags([]string{"-ledger=x", "-topic=t", "-group=g", "-client=nobody"}); err == nil {
		t.Error("an unknown client was taken")
	}
	want.Doomed = 4
	if _, err := Flags(want.Args()); err == nil || !strings.Contains(err.Error(), "-deaths=7 -doomed=4") {
		t.Errorf("4 of 7 die: %v", err)
	}
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/message"
)

// txLoad is a short load of a fake broker.
func txLoad(b *fakeBroker) TxLoad {
	return TxLoad{Load: Load{
		Targets: []Target{{Addr: b.addr, Queues: 4}}, Topic: "T", Conns: 3, Inflight: 5, Size: 100,
		Warmup: 5 * time.Millisecond, Duration: 150 * time.Millisecond, PID: os.Getpid(),
	}}
}

func runTx(t *testing.T, l TxLoad) *TxResult {
	t.Helper()
	res, err := Tx(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func TestTx(t *testing.T) {
	for _, enc := range []wire.Encoding{wire.JSON, wire.Binary} {
		b := (&fakeBroker{}).start(t)
		l := txLoad(b)
		l.Encoding, l.RollbackRate, l.Keys = enc, 0.5, true
		res := runTx(t, l)
		sent, committed, rolledBack, open, _ := b.outcomes()
		if c := res.Counts; c != (TxCounts{Sent: sent, Committed: committed, RolledBack: rolledBack}) || open != 0 {
			t.Errorf("%v: counted %+v, the broker has %d sent, %d committed, %d rolled back, %d open", enc, c, sent, committed, rolledBack, open)
		}
		if committed == 0 || rolledBack == 0 || res.Messages == 0 || res.Committed == 0 || res.Committed > committed {
			t.Errorf("%v: %+v of %d and %d", enc, res, committed, rolledBack)
		}
		if res.Half.TotalCount() == 0 || res.Latency.TotalCount() == 0 || res.Half.Min() >= res.Latency.Max() {
			t.Errorf("%v: %d and %d latencies", enc, res.Half.TotalCount(), res.Latency.TotalCount())
		}
		if err := res.Err(); err != nil {
			t.Errorf("%v: %v", enc, err)
		}
		if keys, _ := message.Property([]byte(b.halves[0].props), message.PropertyKeys); string(keys) != b.halves[0].key {
			t.Errorf("KEYS %q of %s", keys, b.halves[0].key)
		}
	}
}

func TestTxAnswersChecks(t *testing.T) {
	for name, set := range map[string]func(*fakeBroker, *TxLoad){
		"answered":       func(*fakeBroker, *TxLoad) {},
		"one-way":        func(_ *fakeBroker, l *TxLoad) { l.OneWay = true },
		"keys in record": func(b *fakeBroker, _ *TxLoad) { b.anonymous = true },
	} {
		b := &fakeBroker{}
		b.onUnknown = func(h *fakeHalf, _ *remoting.Conn) { b.ask(h, b.anyone()) }
		b.start(t)
		l := txLoad(b)
		l.UnknownRate, l.CheckUnknownRate, l.CheckRollbackRate = 0.5, 0.5, 0.5
		set(b, &l)
		res := runTx(t, l)
		c := res.Counts
		sent, committed, rolledBack, open, checks := b.outcomes()
		// What was on its way when the load ended may be missing on one side; of
		// one-way outcomes, on the broker's.
		lost := c.Committed > committed || c.RolledBack > rolledBack || c.Open < open
		if c.Sent != sent || c.Checks > checks || c.Committed+c.RolledBack+c.Open != c.Sent || lost && !l.OneWay {
			t.Errorf("%s: counted %+v, the broker has %d sent, %d committed, %d rolled back, %d open, %d checks", name, c, sent, committed, rolledBack, open, checks)
		}
		if c.Checks == 0 || c.Unknown == 0 || c.Committed == 0 || c.RolledBack == 0 || c.ForeignCheck != 0 {
			t.Errorf("%s: %+v", name, c)
		}
		if err := res.Err(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTxCountsUnexpectedChecks(t *testing.T) {
	for name, to := range map[string]func(b *fakeBroker, from *remoting.Conn) *remoting.Conn{
		"the connection that told the outcome": func(_ *fakeBroker, from *remoting.Conn) *remoting.Conn { return from },
		"any connection":                       func(b *fakeBroker, _ *remoting.Conn) *remoting.Conn { return b.anyone() },
	} {
		for _, oneWay := range []bool{false, true} {
			b := &fakeBroker{}
			last := map[string]*fakeHalf{} // by place in flight
			b.onStored = func(h *fakeHalf, from *remoting.Conn) {
				place := h.key[:24]
				// The load has read the answer to the outcome of the one before.
				if before := last[place]; before != nil {
					b.ask(before, to(b, from))
				}
				last[place] = h
			}
			b.start(t)
			l := txLoad(b)
			l.RollbackRate, l.OneWay = 0.3, oneWay
			res := runTx(t, l)
			_, _, _, _, checks := b.outcomes()
			if c := res.Counts; c.UnexpectedCheck == 0 || c.UnexpectedCheck > checks || c.UnexpectedCheck != c.Checks || c.DuplicatedCheck != 0 {
				t.Errorf("to %s: %+v of %d", name, c, checks)
			}
			if err := res.Err(); err == nil || !strings.Contains(err.Error(), "whose outcome had been answered") {
				t.Errorf("to %s: %v", name, err)
			}
		}
	}
}

func TestTxCountsDuplicatedChecks(t *testing.T) {
	for _, oneWay := range []bool{false, true} {
		b := &fakeBroker{}
		b.onUnknown = func(h *fakeHalf, from *remoting.Conn) { b.ask(h, from) }
		b.onDecided = func(h *fakeHalf, from *remoting.Conn) {
			if h.decided == 1 {
				b.ask(h, from)
			}
		}
		b.start(t)
		l := txLoad(b)
		l.UnknownRate, l.CheckRollbackRate, l.CheckUnknownRate, l.OneWay = 1, 0.3, 0.3, oneWay
		res := runTx(t, l)
		c := res.Counts
		if c.DuplicatedCheck == 0 || c.DuplicatedCheck >= c.Checks || c.UnexpectedCheck != 0 || c.Unknown != c.Sent {
			t.Errorf("%+v", c)
		}
		if err := res.Err(); err == nil || !strings.Contains(err.Error(), "decided by a check before") {
			t.Errorf("%v", err)
		}
	}
}

// TestTxChecksThatAreInOrder has checks come for transactions that the broker has
// not answered an outcome of, and for others' transactions.
func TestTxChecksThatAreInOrder(t *testing.T) {
	b := &fakeBroker{}
	b.beforeEnd = func(h *fakeHalf, from *remoting.Conn) {
		b.ask(h, from) // read before the answer: its local transaction runs
		b.push(&fakeHalf{key: alien, offset: -1}, b.anyone())
	}
	b.start(t)
	res := runTx(t, txLoad(b))
	c := res.Counts
	if c.Checks == 0 || c.ForeignCheck == 0 || c.UnexpectedCheck != 0 || c.DuplicatedCheck != 0 || res.Err() != nil {
		t.Errorf("%+v %v", c, res.Err())
	}
}

func TestTxRefusals(t *testing.T) {
	b := (&fakeBroker{endCode: wire.IllegalOperation}).start(t)
	res := runTx(t, txLoad(b))
	if c := res.Counts; c.Refused != c.Sent || c.Committed != 0 || res.Messages != 0 {
		t.Errorf("%+v", c)
	}
	if err := res.Err(); err == nil || !strings.Contains(err.Error(), "604") || !strings.Contains(err.Error(), "decided or expired") {
		t.Errorf("%v", err)
	}
	b = (&fakeBroker{sendCode: wire.SystemBusy}).start(t)
	if _, err := Tx(t.Context(), txLoad(b)); err == nil || !strings.Contains(err.Error(), "no room") {
		t.Errorf("a refused half message: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Tx(ctx, txLoad(b)); err == nil {
		t.Error("a load that is interrupted has a result")
	}
	l := txLoad(b)
	for name, spoil := range map[string]func(*TxLoad){
		"no broker":   func(l *TxLoad) { l.Targets = nil },
		"connections": func(l *TxLoad) { l.Conns = 1 << 16 },
		"in flight":   func(l *TxLoad) { l.Inflight = 0 },
		"rate":        func(l *TxLoad) { l.UnknownRate = 1.5 },
		"no rate":     func(l *TxLoad) { l.CheckRollbackRate = math.NaN() },
	} {
		bad := l
		spoil(&bad)
		if _, err := Tx(t.Context(), bad); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestTxResultErr(t *testing.T) {
	for _, c := range []struct {
		counts TxCounts
		want   string
	}{
		{TxCounts{UnexpectedCheck: 3}, "3 checks of transactions whose"}, {TxCounts{DuplicatedCheck: 4}, "4 checks"},
		{TxCounts{Refused: 5}, "5 outcomes were refused"}, {TxCounts{Unanswered: 6}, "6 half messages or outcomes got no answer"},
	} {
		if err := (&TxResult{Counts: c.counts}).Err(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c.counts, err)
		}
	}
	if err := (&TxResult{Counts: TxCounts{Sent: 9, Committed: 3, RolledBack: 3, Unknown: 3, Open: 3, Checks: 3, ForeignCheck: 1}}).Err(); err != nil {
		t.Error(err)
	}
}

func TestOutcomesFollowTheRates(t *testing.T) {
	r := &txRun{id: 7, load: &TxLoad{RollbackRate: 0.2, UnknownRate: 0.5, CheckRollbackRate: 0.5, CheckUnknownRate: 0}}
	const all = 100_000
	for check, want := range []map[message.SysFlag]float64{
		{message.TransactionRollback: 0.2, message.TransactionNone: 0.4, message.TransactionCommit: 0.4},
		{message.TransactionRollback: 0.5, message.TransactionCommit: 0.5},
		{message.TransactionRollback: 0.5, message.TransactionCommit: 0.5},
	} {
		got := map[message.SysFlag]int{}
		for i := range all {
			n := txNumber(i%8, i%64, uint32(i))
			o := r.outcome(n, int32(check))
			if o != r.outcome(n, int32(check)) {
				t.Fatal("the outcome changes")
			}
			got[o]++
		}
		if len(got) != len(want) {
			t.Errorf("check %d: %v", check, got)
		}
		for o, share := range want {
			if n := float64(got[o]) / all; math.Abs(n-share) > 0.01 {
				t.Errorf("check %d: a share of %.3f is %d, want %.1f", check, n, o, share)
			}
		}
	}
}

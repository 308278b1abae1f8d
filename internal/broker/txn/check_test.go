// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package txn

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

func TestCheckAsksALiveProducer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, vfs.NewMem(), newMarks())
		p := r.online("g", &producer{})
		began := time.Now()
		at := r.half("g", "k")
		after(6*time.Second - time.Millisecond)
		if n := p.count(); n != 0 {
			t.Fatalf("%d checks before transactionTimeOut", n)
		}
		after(time.Millisecond)
		if n := p.count(); n != 1 || p.times()[0].Sub(began) != 6*time.Second {
			t.Fatalf("%d checks at %v, want one at 6 s", n, p.times())
		}
		req := p.sent()[0]
		h := req.Header.(*header.CheckTransactionRequest)
		if req.Code != wire.ReqCheckTransactionState || !req.OneWay || h.TranStateTableOffset != at.QueueOffset ||
			h.CommitLogOffset != at.PhysicalOffset || h.MsgID != "k" || h.TransactionID != "k" ||
			h.OffsetMsgID != string(message.AppendOffsetID(nil, testHost, at.PhysicalOffset)) {
			t.Errorf("check %+v %+v", req, h)
		}
		var rec message.Record
		if n, err := message.DecodeRecord(req.Body, &rec, true); err != nil || n != len(req.Body) {
			t.Fatal(err)
		}
		if string(rec.Topic) != "T" || rec.QueueID != 2 || property(&rec, "REAL_TOPIC") != "T" || string(rec.Body) != "body of k" ||
			rec.QueueOffset != at.QueueOffset || rec.PhysicalOffset != at.PhysicalOffset {
			t.Errorf("body of the check: %+v", rec)
		}
		// The producer answers with the offsets it was asked with.
		p2 := store.Appended{QueueOffset: h.TranStateTableOffset, PhysicalOffset: h.CommitLogOffset}
		r.mustEnd(p2, "g", Commit)
		after(time.Hour)
		if n := p.count(); n != 1 || r.keys("T", 2) != "k" {
			t.Errorf("%d checks, topic holds %q", n, r.keys("T", 2))
		}
	})
}

func TestRule7EachHalfHasItsOwnDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, vfs.NewMem(), newMarks())
		p := r.online("g", &producer{})
		began := time.Now()
		r.half("g", "late", "CHECK_IMMUNITY_TIME_IN_SECONDS", "30")
		r.half("g", "early", "CHECK_IMMUNITY_TIME_IN_SECONDS", "2")
		r.half("g", "odd", "CHECK_IMMUNITY_TIME_IN_SECONDS", "soon")
		r.half("g", "zero", "CHECK_IMMUNITY_TIME_IN_SECONDS", "0")
		after(time.Second)
		r.half("g", "second")
		after(30 * time.Second)
		first := map[string]time.Duration{}
		for i, c := range p.sent() {
			key := c.Header.(*header.CheckTransactionRequest).MsgID
			if _, ok := first[key]; !ok {
				first[key] = p.times()[i].Sub(began)
			}
		}
		for key, want := range map[string]time.Duration{"late": 30 * time.Second, "early": 2 * time.Second, "odd": 6 * time.Second,
			"zero": 6 * time.Second, "second": 7 * time.Second} {
			if first[key] != want {
				t.Errorf("%s was first checked after %v, want %v", key, first[key], want)
			}
		}
	})
}

// The clock of a machine is between two milliseconds nearly always: a deadline
// must be noticed whatever the fraction.
func TestFirstDeadlineIsNoticedBetweenMilliseconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		jitter := time.Duration(0)
		r := start(t, vfs.NewMem(), newMarks(), func(_ *store.Config, c *Config) {
			c.Now = func() time.Time { // each look at the clock is 0.7 ms later
				jitter += 700 * time.Microsecond
				return time.Now().Add(jitter)
			}
		})
		synctest.Wait()
		p := r.online("g", &producer{})
		synctest.Wait()
		r.half("g", "k")
		after(7 * time.Second)
		if n := p.count(); n != 1 {
			t.Errorf("%d checks after 7 s, want 1", n)
		}
	})
}

func TestChecksAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, vfs.NewMem(), newMarks())
		p := r.online("g", &producer{})
		at := r.half("g", "k")
		after(52 * time.Second) // at 6, 16, 31
		if n := p.count(); n != 3 {
			t.Fatalf("%d checks, want 3", n)
		}
		if got := r.keys(message.TopicCheckMax, 0); got != "" {
			t.Fatalf("parked before its time: %q", got)
		}
		after(2 * time.Second) // 53.5
		parked := r.records(message.TopicCheckMax, 0)
		if len(parked) != 1 {
			t.Fatalf("%d parked, want 1", len(parked))
		}
		rec := parked[0]
		if property(&rec, "TRANSACTION_CHECK_TIMES") != "3" || property(&rec, "REAL_TOPIC") != "T" || property(&rec, "REAL_QID") != "2" ||
			rec.SysFlag != message.FlagCompressed || string(rec.Body) != "body of k" || rec.PreparedOffset != at.PhysicalOffset {
			t.Errorf("parked %+v %q", rec, rec.Properties)
		}
		if ops := r.records(message.TopicOpHalf, 0); len(ops) != 1 || string(ops[0].Body) != "0" {
			t.Errorf("ops %+v", ops)
		}
		after(time.Hour)
		if n := p.count(); n != 3 || r.pending() != 0 || r.svc.Stats().Discarded != 1 {
			t.Errorf("%d checks, %d pending, %+v", n, r.pending(), r.svc.Stats())
		}
		if a := r.end(at, "g", Commit); a.code != wire.IllegalOperation || r.keys("T", 2) != "" {
			t.Errorf("commit after the discard: %+v, topic holds %q", a, r.keys("T", 2))
		}
	})
}

func TestRule7NobodyOnlineBurnsNoCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, vfs.NewMem(), newMarks())
		r.online("other", &producer{})
		r.half("g", "k")
		after(24 * time.Hour)
		if st := r.svc.Stats(); st.NoProducer != 1 || st.Checks != 0 || st.Discarded != 0 || r.pending() != 1 {
			t.Fatalf("after a day alone: %+v", st)
		}
		p := r.online("g", &producer{})
		synctest.Wait()
		if n := p.count(); n != 1 {
			t.Fatalf("%d checks when the producer came, want 1 at once", n)
		}
		r.offline("g")
		after(24 * time.Hour)
		q := r.online("g", &producer{})
		after(time.Minute)
		if n := q.count(); n != 2 || r.svc.Stats().Discarded != 1 {
			t.Errorf("%d more checks, want the 2 that were left; %+v", n, r.svc.Stats())
		}
	})
}

func TestRule7ACheckThatNobodyTookDoesNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, vfs.NewMem(), newMarks())
		p := r.online("g", &producer{refuse: true})
		r.half("g", "k")
		after(time.Minute)
		if st := r.svc.Stats(); st.Checks != 0 || st.Discarded != 0 || r.pending() != 1 {
			t.Fatalf("%+v", st)
		}
		q := r.online("g", &producer{}) // another process of the group
		after(time.Second)
		if p.count() != 0 || q.count() != 1 {
			t.Errorf("%d and %d checks, want the second producer asked", p.count(), q.count())
		}
	})
}

func TestRule8ChecksGoRoundTheProducers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, vfs.NewMem(), newMarks())
		a, b := r.online("g", &producer{}), r.online("g", &producer{})
		r.half("g", "k")
		after(20 * time.Second)
		if a.count() != 1 || b.count() != 1 {
			t.Errorf("%d and %d checks, want one each", a.count(), b.count())
		}
	})
}

// A producer that answers from within the push, and one that answers a check of
// a transaction that was decided meanwhile, leave nothing due.
func TestRule4AnswerOvertakesTheCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, vfs.NewMem(), newMarks())
		var answers []chan answer
		p := &producer{}
		p.answer = func(req *wire.Request) {
			h := req.Header.(*header.CheckTransactionRequest)
			at := store.Appended{QueueOffset: h.TranStateTableOffset, PhysicalOffset: h.CommitLogOffset}
			answers = append(answers, r.ask(at, "g", Commit), r.ask(at, "g", Commit))
		}
		r.online("g", p)
		r.half("g", "k")
		after(time.Hour)
		if n := p.count(); n != 1 || r.keys("T", 2) != "k" || r.pending() != 0 {
			t.Errorf("%d checks, topic holds %q", n, r.keys("T", 2))
		}
		for _, ch := range answers {
			if len(ch) != 1 || (<-ch).code != wire.Success {
				t.Error("an answer to a check was not answered with success")
			}
		}
	})
}

func TestManyDueAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, vfs.NewMem(), newMarks())
		p := r.online("g", &producer{})
		const n = 3*checkRound + 1
		for i := range n {
			r.half("g", "k"+itoa(int64(i)))
		}
		after(6 * time.Second)
		if got := p.count(); got != n {
			t.Errorf("%d checks for %d transactions", got, n)
		}
	})
}

// TestOnlyDecidersAreAsked: a producer that may not decide about the topic is passed
// over and burns no check, and what others may be asked about goes on.
func TestOnlyDecidersAreAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &rig{t: t, fs: vfs.NewMem(), marks: newMarks(), producers: map[string][]*producer{}}
		trusted := map[Producer]bool{}
		if err := r.start(func(_ *store.Config, c *Config) {
			c.Deciders = func(group, topic string) (Producer, bool) {
				for range 2 {
					if p, ok := r.pick(group); ok && trusted[p] {
						return p, true
					}
				}
				return nil, false
			}
		}); err != nil {
			t.Fatal(err)
		}
		stranger, owner := r.online("g", &producer{}), &producer{}
		r.half("g", "k")
		after(time.Hour)
		if n := stranger.count(); n != 0 || r.pending() != 1 || r.find("k").Checks != 0 {
			t.Fatalf("the stranger was asked %d times, %d are pending", n, r.pending())
		}
		trusted[owner] = true
		r.online("g", owner)
		after(11 * time.Minute)
		if stranger.count() != 0 || owner.count() == 0 {
			t.Errorf("the stranger was asked %d times, the owner %d", stranger.count(), owner.count())
		}
	})
}

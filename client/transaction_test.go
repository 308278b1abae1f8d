// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

func answerUnknown(context.Context, *message.Received) Outcome { return Unknown }

func newTestTransactions(t *testing.T, w *world, check Checker) *TransactionProducer {
	t.Helper()
	p, err := NewTransactionProducer("g", check, w.with()...)
	if err != nil {
		t.Fatal(err)
	}
	closing(t, p)
	return p
}

func decodeEnd(t *testing.T, c call) header.EndTransactionRequest {
	t.Helper()
	var h header.EndTransactionRequest
	if err := h.DecodeExt(c.Ext); err != nil {
		t.Fatal(err)
	}
	return h
}

func TestTransactionOutcomes(t *testing.T) {
	for outcome, code := range map[Outcome]int32{Commit: 8, Rollback: 12, Unknown: 0} {
		t.Run(outcome.String(), func(t *testing.T) {
			w := newWorld(t)
			a := w.broker("a", 10001, nil)
			w.topic("T", 1, a)
			p := newTestTransactions(t, w, answerUnknown)
			m := message.New("T", []byte("order"))
			stored := false
			res, err := p.SendInTransaction(t.Context(), m, func(_ context.Context, h *Half) Outcome {
				stored = len(a.records(t, 0)) == 1 && len(a.got(wire.ReqEndTransaction)) == 0 && h.CommitLogOffset == 1000
				return outcome
			})
			if err != nil || res.EndError != nil || res.Outcome != outcome || !stored {
				t.Fatalf("%+v, %v, half stored before the local transaction: %v", res, err, stored)
			}
			half := a.records(t, 0)[0]
			if half.SysFlag.Transaction() != message.TransactionPrepared || !half.Prepared() || half.ProducerGroup() != "g" || half.UniqueKey() != res.MessageID {
				t.Errorf("half message %+v", half)
			}
			if m.Prepared() || len(m.Properties) != 0 {
				t.Errorf("the message was changed: %v", m.Properties)
			}
			if first := a.got(0)[0]; first.Code != wire.ReqHeartBeat {
				t.Errorf("the first request is %s: the broker could not ask the producer", wire.CodeName(first.Code))
			}
			if err := p.Close(); err != nil { // what is one-way has arrived then
				t.Fatal(err)
			}
			ends := a.got(wire.ReqEndTransaction)
			if len(ends) != 1 || ends[0].IsOneWay() != (outcome == Unknown) {
				t.Fatalf("%d ends", len(ends))
			}
			want := header.EndTransactionRequest{
				ProducerGroup: "g", TranStateTableOffset: 0, CommitLogOffset: 1000, CommitOrRollback: code,
				MsgID: res.MessageID, TransactionID: res.MessageID, Topic: "T",
			}
			if h := decodeEnd(t, ends[0]); h != want {
				t.Errorf("end %+v, want %+v", h, want)
			}
		})
	}
}

func TestHalfIsSentOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, b := w.broker("a", 10001, mute(wire.ReqSendMessageV2)), w.broker("b", 10002, refuse(wire.ReqSendMessageV2, wire.SystemBusy))
		w.topic("T", 1, a, b)
		p := newTestTransactions(t, w, answerUnknown)
		for range 2 { // one of them to each
			_, err := p.SendInTransaction(t.Context(), message.New("T", []byte("x")), func(context.Context, *Half) Outcome {
				t.Error("the local transaction ran")
				return Commit
			})
			var answer *AnswerError
			if !errors.Is(err, context.DeadlineExceeded) && !(errors.As(err, &answer) && answer.Code == wire.SystemBusy) {
				t.Errorf("%v", err)
			}
		}
		if x, y := len(a.got(wire.ReqSendMessageV2)), len(b.got(wire.ReqSendMessageV2)); x != 1 || y != 1 {
			t.Errorf("two half messages were sent %d and %d times", x, y)
		}
		if n := len(a.got(wire.ReqEndTransaction)) + len(b.got(wire.ReqEndTransaction)); n != 0 {
			t.Errorf("%d ends of transactions that did not begin", n)
		}
		// Where nothing was sent, another broker may have it.
		a.stop()
		b.stop()
		c := w.broker("c", 10003, nil)
		w.topic("U", 1, a, c)
		for range 2 {
			res, err := p.SendInTransaction(t.Context(), message.New("U", []byte("x")), func(context.Context, *Half) Outcome { return Commit })
			if err != nil || res.Queue.Broker != "c" {
				t.Errorf("%+v, %v", res, err)
			}
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		c.stop()
	})
}

func TestHalfStoredUnsafely(t *testing.T) {
	w := newWorld(t)
	var a *broker
	a = w.broker("a", 10001, func(r *remoting.Request) bool {
		if r.Code != wire.ReqSendMessageV2 {
			return false
		}
		resp := a.store(r)
		resp.Code = wire.FlushDiskTimeout
		r.Reply(resp)
		return true
	})
	w.topic("T", 1, a)
	p := newTestTransactions(t, w, answerUnknown)
	res, err := p.SendInTransaction(t.Context(), message.New("T", []byte("x")), func(context.Context, *Half) Outcome {
		t.Error("the local transaction ran")
		return Commit
	})
	if err != nil || res.Outcome != Rollback || res.Status != FlushDiskTimeout || res.EndError != nil {
		t.Fatalf("%+v, %v", res, err)
	}
	if h := decodeEnd(t, a.got(wire.ReqEndTransaction)[0]); h.CommitOrRollback != 12 {
		t.Errorf("end %+v", h)
	}
	delayed := message.New("T", []byte("x"))
	delayed.SetDelayLevel(3)
	if _, err := p.SendInTransaction(t.Context(), delayed, nil); err == nil {
		t.Error("a delayed half message was sent")
	}
}

func TestEndIsToldAfterTheContext(t *testing.T) {
	w := newWorld(t)
	a := w.broker("a", 10001, nil)
	w.topic("T", 1, a)
	p := newTestTransactions(t, w, answerUnknown)
	ctx, cancel := context.WithCancel(t.Context())
	res, err := p.SendInTransaction(ctx, message.New("T", []byte("x")), func(context.Context, *Half) Outcome {
		cancel()
		return Commit
	})
	if err != nil || res.EndError != nil || len(a.got(wire.ReqEndTransaction)) != 1 {
		t.Errorf("%+v, %v", res, err)
	}
	w2 := newWorld(t)
	b := w2.broker("b", 10001, refuse(wire.ReqEndTransaction, wire.SystemError))
	w2.topic("T", 1, b)
	p = newTestTransactions(t, w2, answerUnknown)
	res, err = p.SendInTransaction(t.Context(), message.New("T", []byte("x")), func(context.Context, *Half) Outcome { return Commit })
	var answer *AnswerError
	if err != nil || res.Outcome != Commit || !errors.As(res.EndError, &answer) {
		t.Errorf("%+v, %v", res, err)
	}
}

// checkBack asks a client for the outcome of a half message.
func checkBack(t *testing.T, conn *remoting.Conn, records ...*message.Record) {
	t.Helper()
	var b []byte
	for _, r := range records {
		b = message.AppendRecord(b, r)
	}
	err := conn.Push(&wire.Request{Code: wire.ReqCheckTransactionState, Body: b, Header: &header.CheckTransactionRequest{
		TranStateTableOffset: 5, CommitLogOffset: 777, MsgID: "ID", TransactionID: "TX", OffsetMsgID: "OFF",
	}})
	if err != nil {
		t.Fatal(err)
	}
}

func halfRecord(group, body string) *message.Record {
	props := message.Properties{message.PropertyProducerGroup: group, message.PropertyUniqueKey: "UNIQ", message.PropertyTransactionPrepared: "true"}
	return &message.Record{Topic: []byte("T"), Body: []byte(body), Properties: props.Append(nil), SysFlag: message.TransactionPrepared}
}

func TestCheckBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a := w.broker("a", 10001, nil)
		w.topic("T", 1, a)
		var asked []string
		p := newTestTransactions(t, w, func(_ context.Context, m *message.Received) Outcome {
			asked = append(asked, string(m.Body))
			return map[string]Outcome{"yes": Commit, "no": Rollback}[string(m.Body)]
		})
		if err := p.Start(t.Context(), "T"); err != nil {
			t.Fatal(err)
		}
		conn := a.got(wire.ReqHeartBeat)[0].conn
		for i, want := range []struct {
			body string
			code int32
		}{{"yes", 8}, {"no", 12}, {"perhaps", 0}} {
			checkBack(t, conn, halfRecord("g", want.body))
			synctest.Wait()
			ends := a.got(wire.ReqEndTransaction)
			if len(ends) != i+1 || !ends[i].IsOneWay() || ends[i].conn != conn {
				t.Fatalf("%d ends", len(ends))
			}
			if h := decodeEnd(t, ends[i]); h != (header.EndTransactionRequest{
				ProducerGroup: "g", TranStateTableOffset: 5, CommitLogOffset: 777, CommitOrRollback: want.code,
				FromTransactionCheck: true, MsgID: "UNIQ", TransactionID: "TX", Topic: "T",
			}) {
				t.Errorf("%s: %+v", want.body, h)
			}
		}
		small, err := message.Deflate([]byte("yes"), 5)
		if err != nil {
			t.Fatal(err)
		}
		r := halfRecord("g", string(small))
		r.SysFlag |= message.FlagCompressed
		checkBack(t, conn, r)
		checkBack(t, conn, halfRecord("other group", "yes"))
		checkBack(t, conn, halfRecord("g", "yes"), halfRecord("g", "yes"))
		checkBack(t, conn)
		if err := conn.Push(&wire.Request{Code: wire.ReqCheckTransactionState, Body: message.AppendRecord(nil, halfRecord("g", "yes"))}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if len(asked) != 4 || asked[3] != "yes" || len(a.got(wire.ReqEndTransaction)) != 4 {
			t.Errorf("asked %q, %d ends", asked, len(a.got(wire.ReqEndTransaction)))
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		a.stop()
	})
}

// A producer that leaves still gives the answers that it has.
func TestCheckBackWhileClosing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a := w.broker("a", 10001, nil)
		w.topic("T", 1, a)
		p := newTestTransactions(t, w, func(ctx context.Context, _ *message.Received) Outcome {
			<-ctx.Done()
			time.Sleep(time.Second)
			return Commit
		})
		if err := p.Start(t.Context(), "T"); err != nil {
			t.Fatal(err)
		}
		conn := a.got(wire.ReqHeartBeat)[0].conn
		checkBack(t, conn, halfRecord("g", "x"))
		synctest.Wait()
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		ends := a.got(wire.ReqEndTransaction)
		if len(ends) != 1 || decodeEnd(t, ends[0]).CommitOrRollback != 8 {
			t.Errorf("%d ends", len(ends))
		}
		if n := len(a.got(wire.ReqUnregisterClient)); n != 1 {
			t.Errorf("unregistered %d times", n)
		}
		a.stop()
	})
}

// After a lost connection the broker knows the producer again before it gets a
// half message.
func TestHeartbeatOnNewConnection(t *testing.T) {
	w := newWorld(t)
	a := w.broker("a", 10001, nil)
	w.topic("T", 1, a)
	p := newTestTransactions(t, w, answerUnknown)
	commit := func(context.Context, *Half) Outcome { return Commit }
	for i := range 3 {
		if i == 2 {
			a.stop()
			a.start()
		}
		if _, err := p.SendInTransaction(t.Context(), message.New("T", []byte("x")), commit); err != nil {
			t.Fatal(err)
		}
	}
	beats, halves := a.got(wire.ReqHeartBeat), a.got(wire.ReqSendMessageV2)
	if len(beats) != 2 || len(halves) != 3 || beats[0].conn != halves[1].conn || beats[1].conn != halves[2].conn || beats[0].conn == beats[1].conn {
		t.Errorf("%d heartbeats for %d half messages over two connections", len(beats), len(halves))
	}
}

// Start tells all brokers that it reaches, and fails when it reaches none.
func TestTransactionProducerStartsWithSomeBrokers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, b := w.broker("a", 10001, nil), w.broker("b", 10002, nil)
		w.topic("T", 1, a, b)
		w.topic("U", 1, a)
		start := func(topic string) error {
			p, err := NewTransactionProducer("g", func(context.Context, *message.Received) Outcome { return Unknown },
				w.with(w.hanging(a.addr))...)
			if err != nil {
				t.Fatal(err)
			}
			closing(t, p)
			return p.Start(t.Context(), topic)
		}
		if err := start("T"); err != nil || len(b.got(wire.ReqHeartBeat)) != 1 {
			t.Errorf("%v, %d heartbeats", err, len(b.got(wire.ReqHeartBeat)))
		}
		if err := start("U"); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), a.addr) {
			t.Errorf("without a broker: %v", err)
		}
	})
}

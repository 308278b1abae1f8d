// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"net/netip"
	"sync"
	"testing"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// fakeBroker is a broker of transactions that does wrong what a test has it do.
// Its fields are set before it starts; what they are called with is the half
// message, under the broker's lock.
type fakeBroker struct {
	t *testing.T

	onStored  func(h *fakeHalf, from *remoting.Conn) // after the answer
	onUnknown func(h *fakeHalf, from *remoting.Conn)
	onDecided func(h *fakeHalf, from *remoting.Conn) // after the answer, each time
	beforeEnd func(h *fakeHalf, from *remoting.Conn)
	sendCode  int32
	endCode   int32
	anonymous bool // checks do not say the key

	addr string

	mu     sync.Mutex
	conns  []*remoting.Conn // that sent a heartbeat
	next   int              // of conns
	halves []*fakeHalf      // by queue offset
	keys   map[string]bool
	checks int // sent of known half messages
}

type fakeHalf struct {
	key      string
	props    string
	offset   int64
	outcome  message.SysFlag
	decided  int // how often
	unknowns int
	checks   int
}

// physical is where a half message is in the log of the fake.
func (h *fakeHalf) physical() int64 { return 1<<32 + h.offset*1000 }

var fakeHost = netip.MustParseAddrPort("127.0.0.1:10911")

func (b *fakeBroker) start(t *testing.T) *fakeBroker {
	t.Helper()
	b.t, b.keys = t, map[string]bool{}
	routes := map[int32]func(*remoting.Request){wire.ReqHeartBeat: b.heartbeat, wire.ReqSendMessageV2: b.send, wire.ReqEndTransaction: b.end}
	s := remoting.NewServer(remoting.ServerConfig{
		Addr: "127.0.0.1:0",
		Routes: func(code int32) (remoting.Route, bool) {
			h, ok := routes[code]
			return remoting.Route{Handler: h}, ok
		},
	})
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Run(context.Background()) }()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	b.addr = s.Addr().String()
	return b
}

func (b *fakeBroker) heartbeat(r *remoting.Request) {
	var h body.HeartbeatData
	if err := body.Unmarshal(r.Body, &h); err != nil || len(h.ProducerDataSet) != 1 || h.ProducerDataSet[0].GroupName != TxGroup {
		b.t.Errorf("heartbeat %+v: %v", h, err)
	}
	b.mu.Lock()
	b.conns = append(b.conns, r.Conn)
	b.mu.Unlock()
	r.Reply(&wire.Response{})
}

func (b *fakeBroker) send(r *remoting.Request) {
	var h header.SendRequest
	if err := h.Decode(r.Code, r.Ext); err != nil {
		b.t.Error(err)
		return
	}
	if b.sendCode != 0 {
		r.Reply(&wire.Response{Code: b.sendCode, Remark: "no room"})
		return
	}
	key, _ := message.Property(h.Properties, message.PropertyUniqueKey)
	prepared, _ := message.Property(h.Properties, message.PropertyTransactionPrepared)
	group, _ := message.Property(h.Properties, message.PropertyProducerGroup)
	if string(prepared) != "true" || string(group) != TxGroup || message.SysFlag(h.SysFlag) != message.TransactionPrepared || h.BornTimestamp < 1e12 {
		b.t.Errorf("no half message: %q, flag %d, born %d", h.Properties, h.SysFlag, h.BornTimestamp)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.keys[string(key)] {
		b.t.Errorf("the key %s is used twice", key)
	}
	b.keys[string(key)] = true
	half := &fakeHalf{key: string(key), props: string(h.Properties), offset: int64(len(b.halves))}
	b.halves = append(b.halves, half)
	r.Reply(&wire.Response{Header: &header.SendResponse{MsgID: message.AppendOffsetID(nil, fakeHost, half.physical()), QueueOffset: half.offset}})
	call(b.onStored, half, r.Conn)
}

func call(fn func(*fakeHalf, *remoting.Conn), h *fakeHalf, from *remoting.Conn) {
	if fn != nil {
		fn(h, from)
	}
}

func (b *fakeBroker) end(r *remoting.Request) {
	var h header.EndTransactionRequest
	if err := h.DecodeExt(r.Ext); err != nil {
		b.t.Error(err)
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if h.TranStateTableOffset < 0 || h.TranStateTableOffset >= int64(len(b.halves)) {
		if h.MsgID != alien || message.SysFlag(h.CommitOrRollback) != message.TransactionRollback {
			b.t.Errorf("outcome of what is no half message: %+v", h)
		}
		return
	}
	half := b.halves[h.TranStateTableOffset]
	if h.CommitLogOffset != half.physical() || h.MsgID != half.key || h.ProducerGroup != TxGroup || h.FromTransactionCheck && half.checks == 0 {
		b.t.Errorf("outcome %+v of half message %+v", h, half)
	}
	outcome := message.SysFlag(h.CommitOrRollback)
	if outcome == message.TransactionNone {
		if !r.IsOneWay() {
			b.t.Error("an unknown outcome waits for an answer that never comes")
		}
		half.unknowns++
		call(b.onUnknown, half, r.Conn)
		return
	}
	if half.decided > 0 && half.outcome != outcome {
		b.t.Errorf("outcome %d after %d", outcome, half.outcome)
	}
	half.outcome = outcome
	half.decided++
	call(b.beforeEnd, half, r.Conn)
	r.Reply(&wire.Response{Code: b.endCode, Remark: "decided or expired"})
	call(b.onDecided, half, r.Conn)
}

// ask sends a check over a connection. The lock is held.
func (b *fakeBroker) ask(h *fakeHalf, to *remoting.Conn) {
	h.checks++
	b.checks++
	b.push(h, to)
}

// anyone is a connection of the group, each in turn. The lock is held.
func (b *fakeBroker) anyone() *remoting.Conn {
	b.next++
	return b.conns[b.next%len(b.conns)]
}

func (b *fakeBroker) push(h *fakeHalf, to *remoting.Conn) {
	req := &header.CheckTransactionRequest{TranStateTableOffset: h.offset, CommitLogOffset: h.physical(), MsgID: h.key, TransactionID: h.key}
	if b.anonymous {
		req.MsgID = ""
	}
	rec := message.AppendRecord(nil, &message.Record{Topic: []byte("T"), Body: []byte("b"), BornHost: fakeHost, StoreHost: fakeHost, Properties: []byte(h.props)})
	_ = to.Push(&wire.Request{Code: wire.ReqCheckTransactionState, OneWay: true, Header: req, Body: rec}) // the load may be over
}

const alien = "0102030405060708090A0B0C0D0E0F10"

// outcomes counts what the half messages ended as.
func (b *fakeBroker) outcomes() (sent, committed, rolledBack, open, checks int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, h := range b.halves {
		switch {
		case h.decided == 0:
			open++
		case h.outcome == message.TransactionCommit:
			committed++
		default:
			rolledBack++
		}
	}
	return int64(len(b.halves)), committed, rolledBack, open, int64(b.checks)
}

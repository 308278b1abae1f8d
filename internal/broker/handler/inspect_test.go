// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package handler

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// fakeInspector is an Inspector with transactions at 3, 5 and 8.
type fakeInspector struct {
	mu    sync.Mutex
	calls []string

	filter body.TransactionFilter
	found  map[string][]int64
	later  sync.WaitGroup // answers given by other goroutines
	err    error          // of everything
}

func (f *fakeInspector) called(format string, args ...any) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, fmt.Sprintf(format, args...))
	return f.err
}

func (f *fakeInspector) List(filter body.TransactionFilter) ([]body.Transaction, int64, error) {
	f.filter = filter
	return []body.Transaction{{QueueOffset: 3, State: body.Undecided}, {QueueOffset: 5, State: body.Discarded}}, 8, f.called("list")
}

func (f *fakeInspector) Show(offset int64) (*body.TransactionStory, error) {
	if err := f.called("show %d", offset); err != nil {
		return nil, err
	}
	s := &body.TransactionStory{
		Transaction: body.Transaction{QueueOffset: offset, CommitLogOffset: offset * 100, State: body.Undecided},
		Events:      []body.TransactionEvent{{At: 1, Kind: body.EventStored}},
	}
	switch offset {
	case 3, 8:
	case 5:
		s.Transaction.State, s.Transaction.ParkedOffset = body.Discarded, 555
	default:
		return nil, fmt.Errorf("%w at queue offset %d", body.ErrNoHalf, offset)
	}
	return s, nil
}

func (f *fakeInspector) Find(id string) ([]int64, error) {
	return f.found[id], f.called("find %s", id)
}

func (f *fakeInspector) Decide(offset int64, commit bool, who string, done func(error)) {
	err := f.called("decide %d %t by %s", offset, commit, who)
	if offset == 8 && !commit {
		err = fmt.Errorf("%w: committed at noon", body.ErrDecided)
	}
	f.later.Go(func() { done(err) })
}

func (f *fakeInspector) Recheck(offset int64, who string) error {
	return f.called("recheck %d by %s", offset, who)
}

func (f *fakeInspector) Resume(physical int64, who string, done func(int64, error)) {
	err := f.called("resume %d by %s", physical, who)
	if physical == 404 {
		err = fmt.Errorf("%w: nothing is parked at %d", body.ErrNoHalf, physical)
	}
	done(77, err)
}

// from is a listener whose connections come from another address.
type from struct {
	net.Listener
	addr netip.AddrPort
}

type connFrom struct {
	net.Conn
	addr netip.AddrPort
}

func (c connFrom) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.addr) }

func (f from) Accept() (net.Conn, error) {
	c, err := f.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return connFrom{c, f.addr}, nil
}

// inspected serves an Inspector to one peer and gives the way to ask it.
func inspected(t *testing.T, in *fakeInspector, peer string) func(code int32, h wire.Header) *wire.Command {
	t.Helper()
	const addr = "127.0.0.1:10911"
	i := &Inspect{Transactions: in, Broker: "broker-a"}
	memory := remoting.NewMemNetwork()
	s := remoting.NewServer(remoting.ServerConfig{
		Addr: addr,
		Listen: func(addr string) (net.Listener, error) {
			ln, err := memory.Listen(addr)
			return from{ln, netip.MustParseAddrPort(peer)}, err
		},
		Routes: func(code int32) (remoting.Route, bool) {
			h := map[int32]remoting.Handler{
				wire.ReqTxList: i.List, wire.ReqTxShow: i.Show, wire.ReqTxDecide: i.Decide, wire.ReqTxRecheck: i.Recheck,
				wire.ReqTxResume: i.Resume, wire.ReqResumeCheckHalfMessage: i.ResumeCheck,
			}[code]
			return remoting.Route{Handler: h}, h != nil
		},
	})
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run(context.Background()) }()
	c := remoting.NewClient(remoting.ClientConfig{Dial: memory.Dial})
	t.Cleanup(func() {
		in.later.Wait()
		if err := errors.Join(c.Close(), s.Close(), <-ended); err != nil {
			t.Error(err)
		}
	})
	return func(code int32, h wire.Header) *wire.Command {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		answer, err := c.Invoke(ctx, addr, &wire.Request{Code: code, Header: h})
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
}

const operator = "127.0.0.1:5000"

func TestInspectList(t *testing.T) {
	in := &fakeInspector{}
	ask := inspected(t, in, operator)
	a := ask(wire.ReqTxList, &header.TxListRequest{Topic: "t", Group: "g", State: "discarded", MinAge: 1000, MaxAge: 2000, From: 3, Limit: 7})
	var list body.TransactionList
	if err := body.Unmarshal(a.Body, &list); err != nil || a.Code != wire.Success || list.Broker != "broker-a" || list.Next != 8 || len(list.Transactions) != 2 || list.Transactions[1].State != body.Discarded {
		t.Errorf("%d %s: %s, %v", a.Code, a.Remark, a.Body, err)
	}
	want := body.TransactionFilter{Topic: "t", Group: "g", State: body.Discarded, MinAge: time.Second, MaxAge: 2 * time.Second, From: 3, Limit: 7}
	if in.filter != want {
		t.Errorf("%+v", in.filter)
	}
	if a := ask(wire.ReqTxList, &header.TxListRequest{BrokerName: "broker-a", MaxAge: 1<<63 - 1}); a.Code != wire.Success || in.filter.Limit != body.TransactionLimit || in.filter.MaxAge < 290*365*24*time.Hour {
		t.Errorf("%d %s, %+v", a.Code, a.Remark, in.filter)
	}
	for want, h := range map[string]*header.TxListRequest{
		"accepted are undecided": {State: "lost"},
		"can't be negative":      {MinAge: -1 << 63},
		"limit 1001":             {Limit: 1001},
		"the request is for broker broker-b, but this is broker-a": {BrokerName: "broker-b"},
	} {
		if a := ask(wire.ReqTxList, h); a.Code != wire.InvalidParameter || !strings.Contains(string(a.Remark), want) {
			t.Errorf("%+v: %d %s", h, a.Code, a.Remark)
		}
	}
	in.err = errors.New("bad disk")
	if a := ask(wire.ReqTxList, &header.TxListRequest{}); a.Code != wire.SystemError || string(a.Remark) != "bad disk" {
		t.Errorf("%d %s", a.Code, a.Remark)
	}
}

var (
	parkedID = string(message.AppendOffsetID(nil, netip.MustParseAddrPort("10.0.0.1:10911"), 4711))
	goneID   = string(message.AppendOffsetID(nil, netip.MustParseAddrPort("10.0.0.1:10911"), 404))
)

// TestInspectNames names transactions in each way, in the requests that take one.
func TestInspectNames(t *testing.T) {
	in := &fakeInspector{found: map[string][]int64{"key": {3}, "again": {3, 5}, parkedID: {8}}}
	ask := inspected(t, in, operator)
	for _, c := range []struct {
		id     string
		offset int64
		code   int32
		remark string
	}{
		{"3", 3, wire.Success, ""}, {"0003", 3, wire.Success, ""}, {"key", 3, wire.Success, ""}, {parkedID, 8, wire.Success, ""},
		{"4", 0, wire.QueryNotFound, "no such half message at queue offset 4"},
		{"other", 0, wire.QueryNotFound, "no such half message: other is neither"},
		{"-3", 0, wire.QueryNotFound, "-3 is neither"},
		{strings.Repeat("1", 32), 0, wire.QueryNotFound, "is neither"},
		{"9999999999999999999", 0, wire.QueryNotFound, "is neither"}, // beyond 64 bits
		{"again", 0, wire.InvalidParameter, "again names several, name one of them by its half queue offset: 3, 5"},
		{"", 0, wire.InvalidParameter, "the id is empty"},
	} {
		a := ask(wire.ReqTxShow, &header.TxRequest{ID: c.id})
		var s body.TransactionStory
		if a.Code != c.code || !strings.Contains(string(a.Remark), c.remark) {
			t.Errorf("%q: %d %s, want %d %s", c.id, a.Code, a.Remark, c.code, c.remark)
		} else if c.code == wire.Success {
			if err := body.Unmarshal(a.Body, &s); err != nil || s.Transaction.QueueOffset != c.offset || s.Broker != "broker-a" || len(s.Events) != 1 {
				t.Errorf("%q: %s, %v", c.id, a.Body, err)
			}
		}
		if c.code == wire.Success || c.id == "4" {
			continue // the fake decides whatever it is told to
		}
		for _, again := range []*wire.Command{
			ask(wire.ReqTxDecide, &header.TxDecideRequest{ID: c.id, Outcome: header.TxCommit}), ask(wire.ReqTxRecheck, &header.TxRequest{ID: c.id}),
			ask(wire.ReqTxResume, &header.TxRequest{ID: c.id}),
		} {
			if again.Code != c.code || string(again.Remark) != string(a.Remark) {
				t.Errorf("%q: %d %s, but shown %d %s", c.id, again.Code, again.Remark, a.Code, a.Remark)
			}
		}
	}
	if a := ask(wire.ReqTxShow, nil); a.Code != wire.SystemError || !strings.Contains(string(a.Remark), "field id is missing") {
		t.Errorf("without an id: %d %s", a.Code, a.Remark)
	}
	many := make([]int64, 25)
	in.found["many"] = many
	if a := ask(wire.ReqTxShow, &header.TxRequest{ID: "many"}); !strings.HasSuffix(string(a.Remark), "0, 0 and 5 more") {
		t.Errorf("%s", a.Remark)
	}
}

func TestInspectActs(t *testing.T) {
	in := &fakeInspector{found: map[string][]int64{"key": {5}, parkedID: {5}}}
	ask := inspected(t, in, operator)
	for _, c := range []struct {
		code   int32
		h      wire.Header
		calls  []string
		answer int64
		failed int32
		remark string
	}{
		{wire.ReqTxDecide, &header.TxDecideRequest{ID: "3", Outcome: "commit"}, []string{"decide 3 true by " + operator}, 3, 0, ""},
		{wire.ReqTxDecide, &header.TxDecideRequest{ID: "key", Outcome: "rollback"}, []string{"find key", "decide 5 false by " + operator}, 5, 0, ""},
		{wire.ReqTxDecide, &header.TxDecideRequest{ID: "8", Outcome: "rollback"}, []string{"decide 8 false by " + operator}, 0, wire.IllegalOperation, "the transaction is decided: committed at noon"},
		{wire.ReqTxDecide, &header.TxDecideRequest{ID: "3", Outcome: "unknown"}, nil, 0, wire.InvalidParameter, `outcome "unknown" is neither commit nor rollback`},
		{wire.ReqTxDecide, &header.TxDecideRequest{BrokerName: "b", ID: "3", Outcome: "commit"}, nil, 0, wire.InvalidParameter, "is for broker b"},
		{wire.ReqTxRecheck, &header.TxRequest{ID: "3"}, []string{"recheck 3 by " + operator}, 3, 0, ""},
		{wire.ReqTxRecheck, &header.TxRequest{BrokerName: "b", ID: "3"}, nil, 0, wire.InvalidParameter, "is for broker b"},
		{wire.ReqTxResume, &header.TxRequest{ID: "5"}, []string{"show 5", "resume 555 by " + operator}, 77, 0, ""},
		{wire.ReqTxResume, &header.TxRequest{ID: "3"}, []string{"show 3", "resume 300 by " + operator}, 77, 0, ""},
		{wire.ReqTxResume, &header.TxRequest{ID: "4"}, []string{"show 4"}, 0, wire.QueryNotFound, "no such half message at queue offset 4"},
		{wire.ReqTxResume, &header.TxRequest{ID: parkedID}, []string{"find " + parkedID, "show 5", "resume 555 by " + operator}, 77, 0, ""},
		{wire.ReqTxResume, &header.TxRequest{BrokerName: "b", ID: "5"}, nil, 0, wire.InvalidParameter, "is for broker b"},
		{wire.ReqTxResume, &header.TxRequest{ID: goneID}, []string{"find " + goneID}, 0, wire.QueryNotFound, "no such half message"},
		{wire.ReqResumeCheckHalfMessage, &header.ResumeCheckRequest{MsgID: parkedID}, []string{"find " + parkedID, "resume 4711 by " + operator}, -1, 0, ""},
		{wire.ReqResumeCheckHalfMessage, &header.ResumeCheckRequest{MsgID: goneID}, []string{"find " + goneID}, 0, wire.SystemError, "neither a half message nor a parked copy of this broker"},
		{wire.ReqResumeCheckHalfMessage, &header.ResumeCheckRequest{MsgID: "17"}, nil, 0, wire.SystemError, "msgId is no offset message id"},
	} {
		in.calls = nil
		a := ask(c.code, c.h)
		where := fmt.Sprintf("%s %+v", wire.CodeName(c.code), c.h)
		if !reflect.DeepEqual(in.calls, c.calls) {
			t.Errorf("%s: called %q, want %q", where, in.calls, c.calls)
		}
		if a.Code != c.failed || !strings.Contains(string(a.Remark), c.remark) || (c.remark == "") != (len(a.Remark) == 0) {
			t.Errorf("%s: %d %s, want %d %s", where, a.Code, a.Remark, c.failed, c.remark)
		}
		var h header.TxResponse
		if err := h.DecodeExt(a.Ext); c.answer > 0 && (err != nil || h.QueueOffset != c.answer) || c.answer < 0 && len(a.Ext) > 0 {
			t.Errorf("%s: answer %s, want %d", where, a.Ext, c.answer)
		}
	}
}

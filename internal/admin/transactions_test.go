// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// brokers is transactions by address of the broker, which are its only state.
type brokers struct {
	names   map[string]string             // by address
	stored  map[string][]body.Transaction // by address, rising
	page    int                           // at most so many a page, 0: as asked
	silent  string                        // address that refuses as from afar
	pages   []string
	acts    []string
	goesOut bool // pages go on where they began
}

func (b *brokers) answer(addr string, r *remoting.Request) *wire.Response {
	if addr == b.silent {
		return &wire.Response{Code: wire.NoPermission, Remark: "on the loopback only"}
	}
	name, _ := r.Ext.Get("brokerName")
	if len(name) > 0 && string(name) != b.names[addr] {
		return &wire.Response{Code: wire.InvalidParameter, Remark: "this is " + b.names[addr]}
	}
	if r.Code == wire.ReqTxList {
		return b.list(addr, r)
	}
	id, _ := r.Ext.Get("id")
	if r.Code == wire.ReqTxResume && len(id) > 19 {
		b.acts = append(b.acts, fmt.Sprintf("%d %s %s", r.Code, addr, id))
		return &wire.Response{Header: &header.TxResponse{QueueOffset: 99}}
	}
	for _, t := range b.stored[addr] {
		if string(id) != strconv.FormatInt(t.QueueOffset, 10) && string(id) != t.Key {
			continue
		}
		if r.Code == wire.ReqTxShow {
			return &wire.Response{Body: body.MarshalStandard(&body.TransactionStory{Broker: b.names[addr], Transaction: t, Events: []body.TransactionEvent{{Kind: body.EventStored}}})}
		}
		outcome, _ := r.Ext.Get("outcome")
		if t.State == body.Committed && string(outcome) == "rollback" {
			return &wire.Response{Code: wire.IllegalOperation, Remark: "committed"}
		}
		b.acts = append(b.acts, strings.TrimSpace(fmt.Sprintf("%d %s %s %s", r.Code, addr, id, outcome)))
		return &wire.Response{Header: &header.TxResponse{QueueOffset: t.QueueOffset + 1}}
	}
	return &wire.Response{Code: wire.QueryNotFound, Remark: "no such half message"}
}

func (b *brokers) list(addr string, r *remoting.Request) *wire.Response {
	var h header.TxListRequest
	if err := h.DecodeExt(r.Ext); err != nil {
		return &wire.Response{Code: wire.SystemError, Remark: err.Error()}
	}
	b.pages = append(b.pages, fmt.Sprintf("%s from %d limit %d", b.names[addr], h.From, h.Limit))
	l := body.TransactionList{Broker: b.names[addr], Next: -1}
	for _, t := range b.stored[addr] {
		if t.QueueOffset < h.From || h.State != "" && string(t.State) != h.State {
			continue
		}
		if most := int(h.Limit); len(l.Transactions) == most || b.page > 0 && len(l.Transactions) == b.page {
			l.Next = t.QueueOffset
			break
		}
		l.Transactions = append(l.Transactions, t)
	}
	if b.goesOut {
		l.Next = h.From
	}
	return &wire.Response{Body: body.MarshalStandard(&l)}
}

const addrFar = "10.0.0.7:2004"

func newBrokers(t *testing.T) (*world, *brokers, *Admin) {
	w := newWorld(t, names1)
	w.broker("C", "a", addrA, 0)
	w.broker("D", "b", addrB, 0)
	w.broker("C", "slave", slaveAddress, 1)
	b := &brokers{names: map[string]string{addrA: "a", addrB: "b"}, stored: map[string][]body.Transaction{
		addrA: {{QueueOffset: 0, Key: "k0", StoredAt: 10, State: body.Committed}, {QueueOffset: 1, Key: "k1", StoredAt: 30, State: body.Undecided}, {QueueOffset: 2, Key: "k2", StoredAt: 50}},
		addrB: {{QueueOffset: 1, Key: "b1", StoredAt: 20}, {QueueOffset: 4, Key: "b4", StoredAt: 40, State: body.Undecided}, {QueueOffset: 9, Key: "k2", StoredAt: 60}},
	}}
	w.inspect = b.answer
	return w, b, New(w.client, []string{names1})
}

func brief(list []Transaction) (all []string) {
	for _, t := range list {
		all = append(all, fmt.Sprintf("%s%d", t.Broker, t.QueueOffset))
	}
	return all
}

func TestListTransactions(t *testing.T) {
	w, b, a := newBrokers(t)
	for _, c := range []struct {
		addr  string
		f     body.TransactionFilter
		limit int
		page  int
		want  string
		more  bool
		pages string
	}{
		{"", body.TransactionFilter{}, 0, 0, "a0 b1 a1 b4 a2 b9", false, "a from 0 limit 1000,b from 0 limit 1000"},
		{"", body.TransactionFilter{}, 3, 0, "a0 b1 a1", true, "a from 0 limit 3,b from 0 limit 3"},
		{"", body.TransactionFilter{}, 2, 0, "a0 b1", true, "a from 0 limit 2,b from 0 limit 2"},
		{"", body.TransactionFilter{State: body.Undecided}, 2, 0, "a1 b4", false, "a from 0 limit 2,b from 0 limit 2"},
		{addrB, body.TransactionFilter{From: 2}, 5, 1, "b4 b9", false, "b from 2 limit 5,b from 9 limit 4"},
		{addrB, body.TransactionFilter{}, 6000, 1, "b1 b4 b9", false, "b from 0 limit 1000,b from 4 limit 1000,b from 9 limit 1000"},
	} {
		b.pages, b.page = nil, c.page
		list, more, err := a.Transactions(t.Context(), c.addr, c.f, c.limit)
		if got := strings.Join(brief(list), " "); err != nil || got != c.want || more != c.more || strings.Join(b.pages, ",") != c.pages {
			t.Errorf("%+v: %s %v %v, pages %q", c, got, more, err, b.pages)
		}
	}
	b.silent = addrA
	list, _, err := a.Transactions(t.Context(), "", body.TransactionFilter{}, 0)
	if len(list) != 3 || !errors.Is(err, rpc.NoPermission) || !strings.Contains(err.Error(), "broker a: ") {
		t.Errorf("%v, %v", brief(list), err)
	}
	b.silent, b.goesOut = "", true
	if _, _, err := a.Transactions(t.Context(), addrB, body.TransactionFilter{}, 0); err == nil || !strings.Contains(err.Error(), "the page from 0 goes on at 0") {
		t.Errorf("%v", err)
	}
	w.clusters = body.ClusterInfo{}
	if _, _, err := a.Transactions(t.Context(), "", body.TransactionFilter{}, 0); !errors.Is(err, ErrCluster) {
		t.Errorf("%v", err)
	}
}

func TestShowTransaction(t *testing.T) {
	_, b, a := newBrokers(t)
	for id, want := range map[string]Place{"0": {"a", addrA}, "4": {"b", addrB}, "k1": {"a", addrA}, "b1": {"b", addrB}} {
		s, err := a.Transaction(t.Context(), "", id)
		if err != nil || s.Place != want || s.Transaction.Key == "" || len(s.Events) != 1 {
			t.Errorf("%s: %+v, %v", id, s, err)
		}
	}
	_, err := a.Transaction(t.Context(), "", "1")
	if !errors.Is(err, ErrWhichBroker) || !strings.Contains(err.Error(), "a at "+addrA+", b at "+addrB) {
		t.Errorf("%v", err)
	}
	if s, err := a.Transaction(t.Context(), addrB, "1"); err != nil || s.Place != (Place{"b", addrB}) {
		t.Errorf("%+v, %v", s, err)
	}
	// An offset message id that two brokers know is that of the one whose address it holds.
	both := string(message.AppendOffsetID(nil, netip.MustParseAddrPort(addrB), 0))
	b.stored[addrA][0].Key, b.stored[addrB][0].Key = both, both
	if s, err := a.Transaction(t.Context(), "", both); err != nil || s.Broker != "b" {
		t.Errorf("%+v, %v", s, err)
	}
	for _, addr := range []string{"", addrA} {
		if _, err := a.Transaction(t.Context(), addr, "7"); !errors.Is(err, ErrNoTransaction) {
			t.Errorf("%q: %v", addr, err)
		}
	}
	b.silent = addrA
	if _, err := a.Transaction(t.Context(), "", "7"); errors.Is(err, ErrNoTransaction) || !errors.Is(err, rpc.NoPermission) {
		t.Errorf("with a broker that does not say: %v", err)
	}
	if s, err := a.Transaction(t.Context(), "", "4"); err != nil || s.Broker != "b" {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestDecideTransaction(t *testing.T) {
	_, b, a := newBrokers(t)
	at := Place{"a", addrA}
	err := errors.Join(a.DecideTransaction(t.Context(), at, 1, true), a.DecideTransaction(t.Context(), at, 1, false), a.RecheckTransaction(t.Context(), at, 2))
	if want := []string{"30003 " + addrA + " 1 commit", "30003 " + addrA + " 1 rollback", "30004 " + addrA + " 2"}; err != nil || !slices.Equal(b.acts, want) {
		t.Errorf("%q, %v", b.acts, err)
	}
	if err := a.DecideTransaction(t.Context(), at, 0, false); !errors.Is(err, rpc.IllegalOperation) {
		t.Errorf("%v", err)
	}
	b.acts = nil
	if err := a.DecideTransaction(t.Context(), Place{"a", addrB}, 1, true); err == nil || !strings.Contains(err.Error(), "this is b") || b.acts != nil {
		t.Errorf("at the address of another broker: %v, %q", err, b.acts)
	}
}

func TestResumeTransaction(t *testing.T) {
	_, b, a := newBrokers(t)
	parked := string(message.AppendOffsetID(nil, netip.MustParseAddrPort(addrB), 4711))
	for _, c := range []struct {
		addr, id string
		place    Place
		offset   int64
		act      string
	}{
		{"", "b4", Place{"b", addrB}, 5, "30005 " + addrB + " 4"},
		{addrA, "1", Place{"a", addrA}, 2, "30005 " + addrA + " 1"},
		{"", parked, Place{"b", addrB}, 99, "30005 " + addrB + " " + parked},
		{addrA, parked, Place{"", addrA}, 99, "30005 " + addrA + " " + parked},
	} {
		b.acts = nil
		p, n, err := a.ResumeTransaction(t.Context(), c.addr, c.id)
		if p != c.place || n != c.offset || err != nil || !slices.Equal(b.acts, []string{c.act}) {
			t.Errorf("%+v: %+v %d %v, %q", c, p, n, err, b.acts)
		}
	}
	b.acts = nil
	elsewhere := string(message.AppendOffsetID(nil, netip.MustParseAddrPort(addrC), 4711))
	for id, want := range map[string]error{"1": ErrWhichBroker, "7": ErrNoTransaction, "other": ErrNoTransaction, elsewhere: ErrNoTransaction} {
		if _, _, err := a.ResumeTransaction(t.Context(), "", id); !errors.Is(err, want) || b.acts != nil {
			t.Errorf("%s: %v, %q", id, err, b.acts)
		}
	}
}

// A broker of this machine that is registered with another address than the
// loopback's is asked there, once it has refused.
func TestOwnBrokerOnLoopback(t *testing.T) {
	w, b, a := newBrokers(t)
	const local = "127.0.0.1:2004"
	w.broker("C", "far", addrFar, 0)
	b.names[addrFar], b.silent = "far", addrFar
	own := []net.Addr{&net.IPNet{IP: net.IPv4(127, 0, 0, 1), Mask: net.CIDRMask(8, 32)}, &net.IPNet{IP: net.IPv4(10, 0, 0, 7), Mask: net.CIDRMask(24, 32)}}
	a.addrs = func() ([]net.Addr, error) { return own, nil }
	if err := a.DecideTransaction(t.Context(), Place{"far", addrFar}, 3, true); !errors.Is(err, rpc.NoPermission) || !strings.Contains(err.Error(), addrFar) {
		t.Errorf("with nothing on the loopback: %v", err)
	}
	w.serve(local)
	b.names[local], b.stored[local] = "far", []body.Transaction{{QueueOffset: 3}}
	if s, err := a.Transaction(t.Context(), "", "3"); err != nil || !reflect.DeepEqual(s.Place, Place{"far", addrFar}) {
		t.Errorf("%+v, %v", s, err)
	}
	if err := a.DecideTransaction(t.Context(), Place{"far", addrFar}, 3, true); err != nil || !slices.Equal(b.acts, []string{"30003 " + local + " 3 commit"}) {
		t.Errorf("%v, %q", err, b.acts)
	}
	b.names[local] = "another"
	if err := a.DecideTransaction(t.Context(), Place{"far", addrFar}, 3, true); err == nil || !strings.Contains(err.Error(), "this is another") || len(b.acts) != 1 {
		t.Errorf("another broker on the loopback: %v, %q", err, b.acts)
	}
	own = own[:1]
	if err := a.DecideTransaction(t.Context(), Place{"far", addrFar}, 3, true); !errors.Is(err, rpc.NoPermission) || len(b.acts) != 1 {
		t.Errorf("a broker of another machine: %v, %q", err, b.acts)
	}
}

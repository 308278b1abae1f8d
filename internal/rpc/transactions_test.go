// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"errors"
	"strings"
	"testing"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
)

func TestTransactions(t *testing.T) {
	ctx := t.Context()
	list := &body.TransactionList{Broker: "a", Next: -1, Transactions: []body.Transaction{{QueueOffset: 7, Chain: []int64{7, 9}}}}
	c := &recorded{t: t, answer: &wire.Command{Body: body.MarshalStandard(list)}}
	asked := header.TxListRequest{BrokerName: "a", Topic: "T", Group: "G", State: "undecided", MinAge: 1, MaxAge: 2, From: 3, Limit: 4}
	got, err := Transactions(ctx, c, addr, &asked)
	if err != nil || got.Next != -1 || len(got.Transactions) != 1 || got.Transactions[0].Chain[1] != 9 {
		t.Errorf("%+v, %v", got, err)
	}
	if h := decode[header.TxListRequest](t, c.sent); c.sent.Code != 30001 || *h != asked {
		t.Errorf("sent %d %+v", c.sent.Code, h)
	}
	c.answer = &wire.Command{Body: body.MarshalStandard(&body.TransactionStory{Events: []body.TransactionEvent{{Kind: body.EventCheck}}})}
	s, err := Transaction(ctx, c, addr, &header.TxRequest{BrokerName: "a", ID: "7"})
	if err != nil || s.Events[0].Kind != body.EventCheck {
		t.Errorf("%+v, %v", s, err)
	}
	if h := decode[header.TxRequest](t, c.sent); c.sent.Code != 30002 || *h != (header.TxRequest{BrokerName: "a", ID: "7"}) {
		t.Errorf("sent %d %+v", c.sent.Code, h)
	}
	if err := ResumeCheck(ctx, c, addr, "ID"); err != nil || c.sent.Code != 323 || decode[header.ResumeCheckRequest](t, c.sent).MsgID != "ID" {
		t.Errorf("sent %d %s, %v", c.sent.Code, c.sent.Ext, err)
	}
}

func TestTransactionActs(t *testing.T) {
	ctx := t.Context()
	h := &header.TxRequest{ID: "7"}
	acts := map[int32]func(c Caller) (int64, error){
		30003: func(c Caller) (int64, error) {
			return DecideTransaction(ctx, c, addr, &header.TxDecideRequest{ID: "7", Outcome: header.TxRollback})
		},
		30004: func(c Caller) (int64, error) { return RecheckTransaction(ctx, c, addr, h) },
		30005: func(c Caller) (int64, error) { return ResumeTransaction(ctx, c, addr, h) },
	}
	for code, act := range acts {
		c := &recorded{t: t, answer: &wire.Command{Ext: wire.Fields{{Key: []byte("queueOffset"), Value: []byte("9")}}}}
		if n, err := act(c); n != 9 || err != nil || c.sent.Code != code {
			t.Errorf("%d: %d, %v, sent %d", code, n, err, c.sent.Code)
		}
		if id, _ := c.sent.Ext.Get("id"); string(id) != "7" {
			t.Errorf("%d: sent %s", code, c.sent.Ext)
		}
		if outcome, _ := c.sent.Ext.Get("outcome"); code == 30003 && string(outcome) != "rollback" {
			t.Errorf("sent %s", c.sent.Ext)
		}
		c.answer = &wire.Command{}
		if _, err := act(c); err == nil || !strings.Contains(err.Error(), "cannot read the answer") || !strings.Contains(err.Error(), "queueOffset") {
			t.Errorf("%d: %v", code, err)
		}
		c.answer = &wire.Command{Code: wire.IllegalOperation, Remark: []byte("committed")}
		if _, err := act(c); !errors.Is(err, IllegalOperation) || !strings.Contains(err.Error(), wire.CodeName(code)+" to "+addr) {
			t.Errorf("%d: %v", code, err)
		}
	}
}

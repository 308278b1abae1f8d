// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
	"github.com/twostage/twostage/test/rig"
)

// half is a half message that is stored.
type half struct {
	key              string
	offset, position int64  // in the half queue, in the commit log
	id               string // offset message id
}

// producer is one of a group. It answers the check-backs that it was told to
// answer, and no others.
type producer struct {
	t      testing.TB
	client *remoting.Client
	group  string

	mu      sync.Mutex
	broker  string // address
	answers map[string]message.SysFlag
}

func newProducer(t testing.TB, group string) *producer {
	p := &producer{t: t, group: group, answers: make(map[string]message.SysFlag)}
	route := remoting.Route{Handler: p.asked, Lane: remoting.NewLane("check-back", 1, 64)}
	p.client = remoting.NewClient(remoting.ClientConfig{
		Language: wire.LanguageJava, Version: wire.Version,
		Routes: func(code int32) (remoting.Route, bool) { return route, code == wire.ReqCheckTransactionState },
	})
	t.Cleanup(func() { _ = p.client.Close() })
	return p
}

// meet makes the producer known to a broker.
func (p *producer) meet(addr string) {
	p.t.Helper()
	p.mu.Lock()
	p.broker = addr
	p.mu.Unlock()
	err := rpc.Heartbeat(rig.Context(p.t), p.client, addr, &body.HeartbeatData{
		ClientID: "inspected@" + p.group, ProducerDataSet: []body.ProducerData{{GroupName: p.group}},
	})
	if err != nil {
		p.t.Fatal(err)
	}
}

// asked answers a check-back.
func (p *producer) asked(r *remoting.Request) {
	var h header.CheckTransactionRequest
	if err := h.DecodeExt(r.Ext); err != nil {
		p.t.Errorf("a check-back: %v", err)
		return
	}
	p.mu.Lock()
	addr, answer := p.broker, p.answers[h.MsgID]
	p.mu.Unlock()
	if answer == message.TransactionNone {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), rig.Patience)
	defer cancel()
	end := p.request(half{key: h.MsgID, offset: h.TranStateTableOffset, position: h.CommitLogOffset}, answer)
	end.FromTransactionCheck = true
	if err := rpc.EndTransactionOneWay(ctx, p.client, addr, end); err != nil {
		p.t.Errorf("the answer to a check-back: %v", err)
	}
}

// answer sets what check-backs about a key are answered.
func (p *producer) answer(key string, outcome message.SysFlag) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answers[key] = outcome
}

// send stores a half message for queue 0 of a topic. immune is in seconds, 0 for
// the broker's own.
func (p *producer) send(addr, topic, key string, immune int) half {
	p.t.Helper()
	h := rig.SendHeader(topic, 0, key)
	h.ProducerGroup, h.SysFlag = []byte(p.group), int32(message.TransactionPrepared)
	h.Properties = message.AppendProperty(h.Properties, message.PropertyTransactionPrepared, "true")
	h.Properties = message.AppendProperty(h.Properties, message.PropertyProducerGroup, p.group)
	if immune > 0 {
		h.Properties = message.AppendProperty(h.Properties, message.PropertyCheckImmunityInSeconds, fmt.Sprint(immune))
	}
	sent, err := rpc.Send(rig.Context(p.t), p.client, addr, h, []byte(key))
	if err != nil || sent.Code != wire.Success {
		p.t.Fatalf("the half message %s: %v %+v", key, err, sent)
	}
	_, position, err := message.ParseOffsetID(string(sent.Header.MsgID))
	if err != nil {
		p.t.Fatal(err)
	}
	return half{key, sent.Header.QueueOffset, position, string(sent.Header.MsgID)}
}

func (p *producer) request(h half, outcome message.SysFlag) *header.EndTransactionRequest {
	return &header.EndTransactionRequest{
		ProducerGroup: p.group, TranStateTableOffset: h.offset, CommitLogOffset: h.position, CommitOrRollback: int32(outcome),
		MsgID: h.key, TransactionID: h.key,
	}
}

// end tells the outcome of a transaction; edit, if not nil, changes the request.
func (p *producer) end(addr string, h half, outcome message.SysFlag, edit func(*header.EndTransactionRequest)) error {
	p.t.Helper()
	req := p.request(h, outcome)
	if edit != nil {
		edit(req)
	}
	return rpc.EndTransaction(rig.Context(p.t), p.client, addr, req)
}

// wantBodies holds that queue 0 of a topic has these messages, in this order and
// no others.
func wantBodies(t *testing.T, addr, topic string, want ...string) {
	t.Helper()
	c := rig.Client(t)
	defer c.Close()
	rig.Poll(t, fmt.Sprintf("%s holds %q", topic, want), func() error {
		var have []string
		_, err := rig.Drain(rig.Context(t), c, addr, topic, 0, 0, func(r *message.Record) error {
			have = append(have, string(r.Body))
			return nil
		})
		if err == nil && fmt.Sprint(have) != fmt.Sprint(want) {
			err = fmt.Errorf("it holds %q", have)
		}
		return err
	})
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package consume

import (
	"context"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// TestWorldBites holds that a round finds a broker that breaks a rule. What
// breaks it stands between the clients and the broker.
func TestWorldBites(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		group group
		code  int32 // of the requests that it changes,
		every int64 // so many
		fault func(breaker, *wire.Request) (*wire.Command, error)
		want  []violation // any
	}{
		{"a send is lost", plainGroup, wire.ReqSendMessageV2, 20, breaker.drop, []violation{lostMessage}},
		{"a message that is given back is lost", plainGroup, wire.ReqConsumerSendMsgBack, 4, breaker.drop, []violation{lostRetry}},
		{"a message that is given back comes twice", plainGroup, wire.ReqConsumerSendMsgBack, 4, breaker.twice, []violation{phantom}},
		{"a pull leaves a message out", keyedGroup, wire.ReqPullMessage, 10, breaker.firstLost, []violation{gapInPull}},
		{"an offset runs ahead", plainGroup, wire.ReqUpdateConsumerOffset, 1, breaker.ahead, []violation{passedBy, wrongOffset}},
		{"an offset is not stored", plainGroup, wire.ReqUpdateConsumerOffset, 1, breaker.drop, []violation{wrongOffset}},
		{"an offset goes back", keyedGroup, wire.ReqQueryConsumerOffset, 3, breaker.behind, []violation{wrongOffset}},
		{"a lock is given to all", keyedGroup, wire.ReqLockBatchMQ, 1, breaker.lockAll, []violation{twoHolders}},
		{"an acknowledgement is lost", popGroup, wire.ReqAckMessage, 5, breaker.drop, []violation{afterAck}},
		{"a message is visible too early", popGroup, wire.ReqPopMessage, 1, breaker.brief, []violation{tooVisible}},
		{"a queue in order is not kept for one", popOrderlyGroup, wire.ReqPopMessage, 1, breaker.unordered, []violation{queueDisorder, keyDisorder}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var n atomic.Int64
			drain := 2 * time.Second
			if c.group.pop {
				drain = 5 * time.Second // until what lapses has come again
			}
			w := newWorld(t, options{
				seed: firstSeed(), groups: []group{c.group}, duration: 2 * time.Second, setting: asyncFlush, drain: drain,
				fault: func(who string, inner rpc.Caller) rpc.Caller {
					return breaker{inner, who, nil, "", c.code, c.every, &n, c.fault}
				},
			})
			v := w.round()
			bitten := false
			for _, kind := range c.want {
				bitten = bitten || v.found[kind] > 0
			}
			if !bitten {
				t.Errorf("seed %d: none of %q was found in %d requests, but %q", w.cfg.seed, c.want, n.Load(), v.told)
				v.print(t)
			}
		})
	}
}

// breaker is a broker that breaks a rule, as the clients see it.
type breaker struct {
	rpc.Caller
	who   string
	ctx   context.Context
	addr  string
	code  int32
	every int64
	n     *atomic.Int64 // requests of the code
	fault func(breaker, *wire.Request) (*wire.Command, error)
}

func (b breaker) Invoke(ctx context.Context, addr string, req *wire.Request) (*wire.Command, error) {
	if req.Code == wire.ReqGetConsumerListByGroup && b.code == wire.ReqLockBatchMQ {
		return b.alone()
	}
	if req.Code != b.code || b.n.Add(1)%b.every != 0 {
		return b.Caller.Invoke(ctx, addr, req)
	}
	b.ctx, b.addr = ctx, addr
	return b.fault(b, req)
}

func (b breaker) pass(req *wire.Request) (*wire.Command, error) {
	return b.Caller.Invoke(b.ctx, b.addr, req)
}

// drop answers without doing anything.
func (b breaker) drop(*wire.Request) (*wire.Command, error) {
	return &wire.Command{Code: wire.Success, Ext: fields("msgId", "none", "queueId", "0", "queueOffset", "0")}, nil
}

func fields(list ...string) (f wire.Fields) {
	for i := 0; i < len(list); i += 2 {
		f = append(f, wire.Field{Key: []byte(list[i]), Value: []byte(list[i+1])})
	}
	return f
}

// twice does it twice.
func (b breaker) twice(req *wire.Request) (*wire.Command, error) {
	if answer, err := b.pass(req); err != nil || answer.Code != wire.Success {
		return answer, err
	}
	return b.pass(req)
}

// firstLost leaves out the first message that a pull found.
func (b breaker) firstLost(req *wire.Request) (*wire.Command, error) {
	answer, err := b.pass(req)
	if err != nil || answer.Code != wire.Success {
		return answer, err
	}
	first := 0
	_ = message.RangeRecords(answer.Body, false, func(r *message.Record) error {
		if first == 0 {
			first = int(r.Size)
		}
		return nil
	})
	answer.Body = answer.Body[first:]
	return answer, nil
}

// ahead stores an offset that is too high.
func (b breaker) ahead(req *wire.Request) (*wire.Command, error) {
	h := *req.Header.(*header.UpdateConsumerOffsetRequest)
	h.CommitOffset += 3
	return b.pass(&wire.Request{Code: req.Code, Header: &h})
}

// behind answers with an offset that is too low.
func (b breaker) behind(req *wire.Request) (*wire.Command, error) {
	answer, err := b.pass(req)
	if err != nil || answer.Code != wire.Success {
		return answer, err
	}
	var h header.OffsetResponse
	if err := h.DecodeExt(answer.Ext); err != nil {
		return nil, err
	}
	answer.Ext = fields("offset", strconv.FormatInt(max(0, h.Offset-1), 10))
	return answer, nil
}

// alone tells each client that it is the only one of its group: it takes every
// queue that the broker locks for it.
func (b breaker) alone() (*wire.Command, error) {
	return &wire.Command{Code: wire.Success, Body: body.Marshal(&body.GetConsumerListByGroupResponseBody{ConsumerIDList: []string{b.who}})}, nil
}

// lockAll grants every lock.
func (b breaker) lockAll(req *wire.Request) (*wire.Command, error) {
	answer, err := b.pass(req)
	if err != nil || answer.Code != wire.Success {
		return answer, err
	}
	var asked body.LockBatchRequestBody
	if err := body.Unmarshal(req.Body, &asked); err != nil {
		return nil, err
	}
	answer.Body = body.Marshal(&body.LockBatchResponseBody{LockOKMQSet: asked.MqSet})
	return answer, nil
}

// brief makes what is popped visible long before the answer says.
func (b breaker) brief(req *wire.Request) (*wire.Command, error) {
	h := *req.Header.(*header.PopRequest)
	said := h.InvisibleTime
	h.InvisibleTime = 100
	answer, err := b.pass(&wire.Request{Code: req.Code, Header: &h})
	if err != nil || answer.Code != wire.Success {
		return answer, err
	}
	for i := range answer.Ext {
		if string(answer.Ext[i].Key) == "invisibleTime" {
			answer.Ext[i].Value = strconv.AppendInt(nil, said, 10)
		}
	}
	return answer, nil
}

// unordered pops as if order did not matter.
func (b breaker) unordered(req *wire.Request) (*wire.Command, error) {
	h := *req.Header.(*header.PopRequest)
	h.Order = false
	return b.pass(&wire.Request{Code: req.Code, Header: &h})
}

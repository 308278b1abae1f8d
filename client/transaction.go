// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// Outcome is what becomes of a half message.
type Outcome uint8

// The outcomes. After Unknown the broker asks again later.
const (
	Unknown Outcome = iota
	Commit
	Rollback
)

func (o Outcome) String() string {
	switch o {
	case Commit:
		return "commit"
	case Rollback:
		return "rollback"
	}
	return "unknown"
}

// code is the outcome in a request.
func (o Outcome) code() int32 {
	switch o {
	case Commit:
		return int32(message.TransactionCommit)
	case Rollback:
		return int32(message.TransactionRollback)
	}
	return int32(message.TransactionNone)
}

// Half is a half message that is stored: nobody can consume it yet.
type Half struct {
	SendResult             // QueueOffset is that of the half message's own queue
	TransactionID   string // the id that check-backs name
	CommitLogOffset int64  // of the half message, on its broker
}

// Local runs the local transaction of a half message and tells its outcome. ctx
// is that of SendInTransaction.
type Local func(ctx context.Context, h *Half) Outcome

// Checker tells a broker that asks what became of the local transaction of a half
// message, sent by this producer or any other of its group. It is called on
// several goroutines at a time. ctx ends with Close.
type Checker func(ctx context.Context, m *message.Received) Outcome

// checkDepth is how many check-backs may wait; the broker asks again for those
// beyond.
const checkDepth = 1024

// TransactionProducer sends messages that become visible with a local
// transaction. NewTransactionProducer makes one.
type TransactionProducer struct {
	*Producer
	check  Checker
	ctx    context.Context // of check-backs; ends with Close
	cancel context.CancelFunc

	mu      sync.Mutex
	leaving bool           // check-backs are no longer answered
	running sync.WaitGroup // check-backs
}

// NewTransactionProducer makes a producer of a group whose transactions check
// knows the outcomes of. It connects with Start or the first send.
func NewTransactionProducer(group string, check Checker, opts ...Option) (*TransactionProducer, error) {
	if check == nil {
		return nil, errors.New("client: a transaction producer needs a Checker: brokers ask for outcomes that they have not heard")
	}
	cfg, err := configure(transactionProducers, opts)
	if err != nil {
		return nil, err
	}
	p := &TransactionProducer{check: check}
	asked := remoting.Route{Handler: p.asked, Lane: remoting.NewLane("check-back", cfg.producer.checkWorkers, checkDepth)}
	producer, err := newProducer(group, cfg, func(code int32) (remoting.Route, bool) {
		return asked, code == wire.ReqCheckTransactionState
	})
	if err != nil {
		return nil, err
	}
	p.Producer = producer
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p, nil
}

// Start makes the producer known to the brokers of topics, so that they ask it
// about half messages of its group though it has sent none itself. Topics that
// are sent to need no Start. One broker that knows the producer is enough: Start
// fails when there is none, or a topic has no route. Others are told with the
// heartbeats, within 30 s of their being there.
func (p *TransactionProducer) Start(ctx context.Context, topics ...string) error {
	for _, topic := range topics {
		if _, err := p.link.route(ctx, topic, true); err != nil {
			return err
		}
	}
	p.link.begin()
	_, err := p.link.meet(ctx, p.link.masters(), p.link.cfg.timeout)
	return err
}

// Close is Producer.Close, after the answers to check-backs that run. Checker
// must not call it.
func (p *TransactionProducer) Close() error {
	p.mu.Lock()
	p.leaving = true
	p.mu.Unlock()
	p.cancel()
	p.running.Wait()
	return p.Producer.Close()
}

// stay holds Close back until running.Done; false when the producer is leaving.
func (p *TransactionProducer) stay() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.leaving {
		return false
	}
	p.running.Add(1)
	return true
}

// TransactionResult is what became of a message sent in a transaction.
type TransactionResult struct {
	Half
	// Outcome is what Local said; Rollback when the half message was not stored
	// as safely as it should be, and Local was not called.
	Outcome Outcome
	// EndError says that the broker may not have heard of the outcome. It asks.
	EndError error
}

// SendInTransaction sends a half message, runs local, and tells the broker its
// outcome, even when ctx has ended meanwhile. An error says that local was not
// run. If it comes from sending, the half message may be stored all the same,
// and Checker will be asked for it: it is never sent again.
//
// m is not changed. It may not be delayed. Errors are those of Producer.Send.
func (p *TransactionProducer) SendInTransaction(ctx context.Context, m *message.Message, local Local) (*TransactionResult, error) {
	prepared := *m
	prepared.Properties = maps.Clone(m.Properties)
	prepared.SetPrepared(p.group)
	sent, err := p.sendHalf(ctx, &prepared)
	if err != nil {
		return nil, err
	}
	res := &TransactionResult{Half: Half{SendResult: *sent, TransactionID: sent.MessageID}, Outcome: Rollback}
	if _, res.CommitLogOffset, err = message.ParseOffsetID(sent.OffsetID); err != nil {
		return nil, fmt.Errorf("client: broker %s answered a half message: %w", sent.Queue.Broker, err)
	}
	if sent.Status == Stored {
		res.Outcome = local(ctx, &res.Half)
	}
	res.EndError = p.end(ctx, res)
	return res, nil
}

// sendHalf sends a half message once. It goes on to another broker only where
// nothing of it can have been sent: that a broker is busy is no proof, one with DLedger
// answers so when its replicas have not confirmed in time what it has stored.
func (p *TransactionProducer) sendHalf(ctx context.Context, m *message.Message) (res *SendResult, err error) {
	m, done := p.traced(ctx, m)
	d, err := p.prepare(m)
	if err == nil {
		res, err = p.tryHalves(ctx, d)
		d.release()
	}
	if done != nil {
		done(res, err)
	}
	return res, err
}

func (p *TransactionProducer) tryHalves(ctx context.Context, d *delivery) (*SendResult, error) {
	p.link.begin()
	var errs []error
	last := ""
	for try := range p.cfg.attempts {
		if err := p.aim(ctx, d, last); err != nil {
			return nil, errors.Join(append(errs, err)...)
		}
		begun, err := p.tryHalf(ctx, d)
		switch {
		case err == nil:
			return d.result, nil
		case p.link.check() != nil:
			return nil, errors.Join(ErrClosed, err)
		}
		errs = append(errs, public(err))
		if begun || ctx.Err() != nil {
			break
		}
		p.log.Warn("client: broker not reached", "broker", d.queue.Broker, "try", try+1, "err", err)
		last = d.queue.Broker
	}
	return nil, errors.Join(errs...)
}

// tryHalf reports whether the half message may have been sent.
func (p *TransactionProducer) tryHalf(ctx context.Context, d *delivery) (begun bool, err error) {
	d.begin = time.Now()
	ctx, cancel := p.link.request(ctx)
	defer cancel()
	conn, err := p.link.greetedConn(ctx, d.addr)
	if err != nil {
		d.note(ctx, err)
		return false, fmt.Errorf("reaching broker %s: %w", d.queue.Broker, err)
	}
	d.begin = time.Now()
	return true, d.try(ctx, connCaller{conn})
}

// knownMaster is the address of a queue's broker by the route that is known.
func (l *link) knownMaster(q Queue) (addr string, ok bool) {
	k := l.have(q.Topic, true)
	if k == nil {
		return "", false
	}
	return k.route.MasterAddr(q.Broker)
}

// end tells the broker the outcome. Brokers do not answer Unknown.
func (p *TransactionProducer) end(ctx context.Context, res *TransactionResult) error {
	ctx, cancel := p.link.request(context.WithoutCancel(ctx))
	defer cancel()
	h := &header.EndTransactionRequest{
		ProducerGroup: p.group, TranStateTableOffset: res.QueueOffset, CommitLogOffset: res.CommitLogOffset,
		CommitOrRollback: res.Outcome.code(), MsgID: res.MessageID, TransactionID: res.TransactionID, Topic: res.Queue.Topic,
	}
	send := rpc.EndTransaction
	if res.Outcome != Commit && res.Outcome != Rollback {
		send = rpc.EndTransactionOneWay
	}
	addr := res.BrokerAddr
	if master, ok := p.link.knownMaster(res.Queue); ok {
		addr = master // which may have moved while the local transaction ran
	}
	if err := send(ctx, p.link.net, addr, h); err != nil {
		return fmt.Errorf("telling broker %s to %s: %w", res.Queue.Broker, res.Outcome, p.link.public(err))
	}
	return nil
}

// asked answers a check-back, on the connection that it came on.
func (p *TransactionProducer) asked(r *remoting.Request) {
	if !p.stay() {
		return
	}
	defer p.running.Done()
	addr := r.Conn.RemoteAddr().String()
	var h header.CheckTransactionRequest
	if err := h.DecodeExt(r.Ext); err != nil {
		p.log.Warn("client: check-back refused", "broker", addr, "err", err)
		return
	}
	all, err := message.DecodeReceived(r.Body)
	if err != nil || len(all) != 1 {
		p.log.Warn("client: check-back refused", "broker", addr, "messages", len(all), "err", err)
		return
	}
	m := all[0]
	if group := m.ProducerGroup(); group != p.group {
		p.log.Warn("client: check-back for another group", "broker", addr, "group", group)
		return
	}
	if err := Decompress(m, MaxBody); err != nil {
		p.log.Warn("client: check-back with the body as it is", "broker", addr, "err", err)
	}
	outcome := p.check(p.ctx, m)
	answer := &header.EndTransactionRequest{
		ProducerGroup: p.group, TranStateTableOffset: h.TranStateTableOffset, CommitLogOffset: h.CommitLogOffset,
		CommitOrRollback: outcome.code(), FromTransactionCheck: true, MsgID: m.UniqueKey(), TransactionID: h.TransactionID, Topic: m.Topic,
	}
	if answer.MsgID == "" {
		answer.MsgID = h.MsgID
	}
	ctx := context.WithoutCancel(p.ctx) // the answer goes out although the producer is about to leave
	if err := rpc.EndTransactionOneWay(ctx, connCaller{r.Conn}, addr, answer); err != nil {
		p.log.Warn("client: check-back not answered, the broker asks again", "broker", addr, "err", err)
	}
}

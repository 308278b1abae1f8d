// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package handler

import (
	"bytes"
	"cmp"
	"errors"
	"net/netip"
	"strings"
	"time"

	"github.com/twostage/twostage/internal/broker/inflow"
	"github.com/twostage/twostage/internal/broker/txn"
	"github.com/twostage/twostage/internal/config"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/trace"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// Settings gives the broker's configuration as it is now: some keys change while it
// runs. It costs a load.
type Settings func() *config.Broker

// Log is what sending needs of the store.
type Log interface {
	Queue(topic string, id int32) *store.Queue
	Append(*store.Batch) error
	WhenFlushed(offset int64, fn func(error))
	SyncFlush() bool
}

// SendTopics is what sending needs of the topics.
type SendTopics interface {
	Find(name []byte) (*body.TopicConfig, bool)
	AutoCreate(name, defaultTopic string, queues, sysFlag int32) (*body.TopicConfig, bool, error)
	Ensure(name string, queues, perm, sysFlag int32) (*body.TopicConfig, error)
}

// Groups finds the configuration of consumer groups, making it where the broker
// is to make groups by itself.
type Groups interface {
	// Ensure says why there is no such group.
	Ensure(name string) (*body.SubscriptionGroupConfig, error)
	// Get makes no group, and GetBytes does not allocate.
	Get(name string) (*body.SubscriptionGroupConfig, bool)
	GetBytes(name []byte) (*body.SubscriptionGroupConfig, bool)
	// ReadForbidden: a 5.x broker forbade the group to consume the topic.
	ReadForbidden(group, topic []byte) bool
}

// Halves is what sending needs of the transactions.
type Halves interface {
	// Prepare turns a record into a half message, whose properties it appends to
	// scratch, and says where it goes. p becomes what Stored wants to know.
	Prepare(rec *message.Record, scratch []byte, p *txn.Pending) *store.Queue
	// Stored tells that a half message was stored as rec.
	Stored(at store.Appended, rec []byte, p *txn.Pending)
	// Sync tells whether half messages are answered when they are on disk.
	Sync() bool
}

// Delays is what sending needs of delayed delivery.
type Delays interface {
	// Rewrite turns a record with a delay level or a time of delivery into one
	// that waits: it returns the queue it waits in and its properties, appended to
	// scratch. ok is false for a record that does not wait. An error is for the
	// sender (MESSAGE_ILLEGAL): the time asked for can't be had.
	Rewrite(topic string, queue int32, props, scratch []byte) (q *store.Queue, out []byte, ok bool, err error)
}

// SendStats counts what comes to topics, in messages and bytes of records.
type SendStats interface {
	In(topic string, messages, bytes int)
	// Sent is In for several requests that were stored together, each of which took
	// so long.
	Sent(topic string, requests, messages, bytes int, took time.Duration)
}

// Send serves SEND_MESSAGE, SEND_MESSAGE_V2 and SEND_BATCH_MESSAGE.
//
// A send is encoded at once and appended with the others of its connection that
// arrived in the same read; EndOfBatch must run after them.
type Send struct {
	Log    Log
	Topics SendTopics
	Groups *GroupMaker
	Halves Halves
	Delays Delays
	Stats  SendStats
	Inflow *inflow.Counters

	Host     netip.AddrPort // the store host of records
	Cluster  string
	Broker   string                // the broker's name
	Every    func() *wire.ExtConst // fields of every answer, as they are now
	Settings Settings
	Writable func() bool                            // the broker's own write permission
	Ordered  func(group string, now time.Time) bool // whether consumers of a group hold queue locks
	// NewTopics bounds what an address may make.
	NewTopics Quota
	// Created is told of topics that a send made.
	Created func(*body.TopicConfig)
	Tracer  *trace.Tracer // nil: sends are not traced
}

// maxBatchBytes is when gathered sends are appended without waiting for the end
// of the read.
const maxBatchBytes = 1 << 20

// Conn is what the handlers keep of a connection. Its reader goroutine owns it.
type Conn struct {
	ends    txn.Ends
	batch   store.Batch
	pending []pendingSend
	props   []byte      // scratch
	half    []byte      // scratch
	delayed []byte      // scratch
	ids     []byte      // scratch
	begun   txn.Pending // scratch: a pendingSend must not leave the stack
	rec     message.Record
	head    header.SendRequest
	pulled  selections
	answer  header.SendResponse
}

// pendingSend is a send whose records are in the batch.
type pendingSend struct {
	ticket       remoting.Ticket
	first, count int // in the batch
	queue        int32
	half         txn.Pending // if isHalf
	isHalf       bool
	noWait       bool           // WAIT=false: answered before it is on disk
	recall       []byte         // by which it can be taken back; nil: it can't
	came         string         // the topic where it counts: its own, or that of what waits
	traced       *trace.Sending // nil: it is not followed
	visible      string         // the topic where consumers see it at once; "": it is half, or waits
	kind         inflow.Kind
	givenUp      string // the topic of a message that is among the dead letters for good; else ""
}

func connOf(r *remoting.Request) *Conn {
	if c, ok := r.Conn.State().(*Conn); ok {
		return c
	}
	c := &Conn{}
	r.Conn.SetState(c)
	return c
}

// Handle serves one send.
func (s *Send) Handle(r *remoting.Request) {
	c := connOf(r)
	h := &c.head
	if err := h.Decode(r.Code, r.Ext); err != nil {
		s.refuse(r, wire.SystemError, err.Error())
		return
	}
	t, queue, ok := s.target(r, h)
	if !ok {
		return
	}
	if s.Settings().Topics.CheckTypes {
		if remark := wrongType(t, h, r.Body); remark != "" {
			s.refuse(r, wire.MessageIllegal, remark)
			return
		}
	}
	rec := &c.rec
	*rec = message.Record{
		Flag: h.Flag, SysFlag: message.SysFlag(h.SysFlag), BornTimestamp: h.BornTimestamp,
		BornHost: r.Conn.RemoteAddr(), StoreHost: s.Host, ReconsumeTimes: h.ReconsumeTimes, Body: r.Body,
	}
	if t.TopicFilterType == body.MultiTag {
		rec.SysFlag |= message.FlagMultiTags
	}
	if h.Batch {
		s.addMany(r, c, t.TopicName, queue)
	} else {
		s.addOne(r, c, t, queue)
	}
	if c.batch.Size() >= maxBatchBytes {
		s.flush(c)
	}
}

// addOne puts the message of a plain send into the batch.
func (s *Send) addOne(r *remoting.Request, c *Conn, t *body.TopicConfig, queue int32) {
	name := t.TopicName
	target, targetQueue := name, queue
	level := true // whether a delay level counts
	givenUp := ""
	if bytes.HasPrefix(c.head.Topic, []byte(message.RetryPrefix)) {
		dlq, refusal := s.exhausted(r, &c.head)
		if refusal != nil {
			s.refuse(r, refusal.Code, refusal.Remark)
			return
		}
		if dlq != "" {
			target, targetQueue, level = dlq, 0, false
			props := message.ParseProperties(c.head.Properties)
			givenUp = cmp.Or(props[message.PropertyRetryTopic], name)
			c.head.Properties = withOrigin(props)
		}
	}
	p := pendingSend{first: c.batch.Len(), count: 1, queue: queue, came: target, visible: target, givenUp: givenUp}
	props, info := s.properties(c, c.head.Properties)
	p.noWait, p.kind = info.noWait, info.kind
	rec := &c.rec
	if info.prepared && c.head.ReconsumeTimes > 0 && info.delayed {
		// A consumer sends back what was committed: TRAN_MSG is left over.
		info.prepared, rec.SysFlag = false, rec.SysFlag.WithTransaction(message.TransactionNone)
	}
	if !info.prepared && !s.plain(r, rec) {
		return
	}
	var q *store.Queue
	switch {
	case info.prepared && (strings.HasPrefix(name, message.RetryPrefix) || strings.HasPrefix(name, message.DLQPrefix)):
		s.refuse(r, wire.MessageIllegal, "a message to the retry or dead letter topic "+name+" can't be transactional: send it without the property TRAN_MSG")
		return
	case info.prepared:
		if s.Settings().Transactions.Reject {
			s.refuse(r, wire.NoPermission, "this broker takes no transactional messages (rejectTransactionMessage=true)")
			return
		}
		group, _ := message.Property(props, message.PropertyProducerGroup)
		if err := message.CheckGroup(string(group)); err != nil {
			s.refuse(r, wire.MessageIllegal, "a transactional message needs its producer group in the property PGROUP, by which it is asked about: "+err.Error())
			return
		}
		if info.timed { // it waits from the commit on; what can't be had is said now
			if _, _, _, err := s.Delays.Rewrite(name, queue, props, c.delayed[:0]); err != nil {
				s.refuseWaiting(r, err)
				return
			}
		}
		rec.Topic, rec.QueueID, rec.Properties = []byte(name), queue, props
		p.isHalf = true
		q = s.Halves.Prepare(rec, c.half[:0], &c.begun)
		p.half = c.begun
		p.came, p.visible = q.Topic(), ""
		c.half = rec.Properties[:0]
		if n := len(rec.Properties); n > message.MaxPropertiesLength-txn.PropertyRoom {
			s.refuse(r, wire.MessageIllegal, "the properties of the half message have "+itoa(int64(n))+" bytes with those of the broker, at most "+
				itoa(message.MaxPropertiesLength-txn.PropertyRoom)+" leave room for checks: send fewer or shorter ones")
			return
		}
	case level && (info.delayed || info.timed):
		// The property WAIT stays in what is delayed, as in RocketMQ.
		c.half = appendCluster(append(c.half[:0], c.head.Properties...), s.Cluster)
		wait, out, ok, err := s.Delays.Rewrite(target, targetQueue, c.half, c.delayed[:0])
		switch {
		case err != nil:
			s.refuseWaiting(r, err)
			return
		case ok:
			q, rec.Properties, c.delayed = wait, out, out
			p.came, p.visible = wait.Topic(), ""
			if wait.Topic() == message.TopicTimer {
				p.recall = s.recallHandle(target, out)
			}
		default:
			q, rec.Properties = s.Log.Queue(target, targetQueue), props
		}
	default:
		q, rec.Properties = s.Log.Queue(target, targetQueue), props
	}
	if s.Tracer != nil {
		p.traced = s.follow(rec, target)
	}
	if err := c.batch.Add(q, rec); err != nil {
		p.traced.Answered(s.refuseUnstorable(r, err))
		return
	}
	p.ticket = r.LightTicket()
	c.pending = append(c.pending, p)
}

// plain takes from a record that is no half message the flags of one, which only
// the broker gives: a commit that nobody made would pass for one after a restart.
// It answers a half message that does not say so in its properties, too: it would
// be hidden, and nobody ever asked about it.
func (s *Send) plain(r *remoting.Request, rec *message.Record) bool {
	if rec.SysFlag.Transaction() == message.TransactionPrepared {
		s.refuse(r, wire.MessageIllegal, "sysFlag "+itoa(int64(rec.SysFlag))+" is that of a half message, but the message does not have the property TRAN_MSG=true")
		return false
	}
	rec.SysFlag = rec.SysFlag.WithTransaction(message.TransactionNone)
	return true
}

// addMany puts each message of a batch body into the batch. All are stored or
// none is asked for: a body that can't be read is refused whole.
func (s *Send) addMany(r *remoting.Request, c *Conn, name string, queue int32) {
	if most := s.Settings().Store.MaxMessageSize; len(r.Body) > most {
		s.refuse(r, wire.MessageIllegal, "the batch has "+itoa(int64(len(r.Body)))+" bytes, at most "+itoa(int64(most))+" fit (maxMessageSize): send it in parts")
		return
	}
	n := 0
	err := message.RangeBatch(r.Body, func(int32, []byte, []byte) error { n++; return nil })
	if err == nil && n == 0 {
		err = errors.New("the batch holds no message")
	}
	if err != nil {
		s.refuse(r, wire.MessageIllegal, err.Error())
		return
	}
	_, info := s.properties(c, c.head.Properties)
	if info.delayed || info.timed || info.prepared || c.rec.SysFlag.Transaction() == message.TransactionPrepared {
		s.refuse(r, wire.MessageIllegal, "a batch can be neither delayed nor transactional: send its messages one by one")
		return
	}
	c.rec.SysFlag = c.rec.SysFlag.WithTransaction(message.TransactionNone)
	// What stands in the header belongs to every message, behind its own.
	shared := appendCluster(append(c.half[:0], c.head.Properties...), s.Cluster)
	c.half = shared
	q := s.Log.Queue(name, queue)
	p := pendingSend{first: c.batch.Len(), queue: queue, came: name, visible: name, noWait: info.noWait, kind: info.kind}
	err = message.RangeBatch(r.Body, func(flag int32, body, props []byte) error {
		rec := c.rec
		rec.Flag, rec.Body = flag, body
		c.props = append(c.props[:0], props...)
		if len(c.props) > 0 && c.props[len(c.props)-1] != '\x02' {
			c.props = append(c.props, '\x02')
		}
		c.props = append(c.props, shared...)
		rec.Properties = c.props
		if s.Tracer != nil && p.traced == nil { // the spans of a batch are those of the first message that is followed
			p.traced = s.follow(&rec, name)
		}
		return c.batch.Add(q, &rec)
	})
	if err != nil {
		c.batch.Truncate(p.first)
		p.traced.Answered(s.refuseUnstorable(r, err))
		return
	}
	p.count = c.batch.Len() - p.first
	p.ticket = r.LightTicket()
	c.pending = append(c.pending, p)
}

func (s *Send) unstored(p *pendingSend, err error) {
	code, remark := storeFailure(err)
	p.ticket.Reply(&wire.Response{Code: code, Remark: remark, Header: &header.SendResponse{Every: s.Every()}})
	p.traced.Answered(code, remark)
}

// refuseUnstorable answers a send that can't be stored, and says how.
func (s *Send) refuseUnstorable(r *remoting.Request, err error) (code int32, remark string) {
	code, remark = storeFailure(err)
	if errors.Is(err, message.ErrProperties) || errors.Is(err, message.ErrTopic) || errors.Is(err, message.ErrBody) || errors.Is(err, message.ErrBatch) {
		code, remark = wire.MessageIllegal, err.Error()
	}
	s.refuse(r, code, remark)
	return code, remark
}

// refuse answers a send that stored nothing.
func (s *Send) refuse(r *remoting.Request, code int32, remark string) {
	r.Reply(&wire.Response{Code: code, Remark: remark, Header: &header.SendResponse{Every: s.Every()}})
}

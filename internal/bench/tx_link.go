// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

const (
	heartbeatOpaque = 1
	heartbeatPause  = 20 * time.Second // brokers forget a producer that was silent for 120 s
)

// producer is what a link calls on its own goroutine. What it appends to the
// link's out is written when all that has arrived is dealt with.
type producer interface {
	begin(now time.Time)
	answered(cmd *wire.Command, now time.Time) error
	asked(c *txCheck, now time.Time) error
}

// txCheck is a check-back.
type txCheck struct {
	key      txKey
	ours     bool // the key is one of a transaction load
	id       string
	half     int64 // queue offset
	physical int64
}

// link is one connection of the producer group.
type link struct {
	conn  net.Conn
	topic string
	enc   wire.Encoding
	out   []byte
	end   header.EndTransactionRequest
}

// appendEnd writes an END_TRANSACTION behind out.
func (l *link) appendEnd(opaque int32, oneWay bool) {
	l.end.ProducerGroup, l.end.Topic = TxGroup, l.topic
	l.out = wire.AppendRequest(l.out, &wire.Request{
		Code: wire.ReqEndTransaction, Opaque: opaque, OneWay: oneWay, Header: &l.end,
		Encoding: l.enc, Language: wire.LanguageJava, Version: wire.Version,
	})
}

// answer answers a check behind out.
func (l *link) answer(c *txCheck, outcome message.SysFlag, opaque int32, oneWay bool) {
	l.end = header.EndTransactionRequest{
		TranStateTableOffset: c.half, CommitLogOffset: c.physical, CommitOrRollback: int32(outcome),
		FromTransactionCheck: true, MsgID: c.id, TransactionID: c.id,
	}
	l.appendEnd(opaque, oneWay)
}

// links are the connections of a transaction load.
type links struct {
	all     []*link
	closing atomic.Bool
	quit    chan struct{}
	wg      sync.WaitGroup
}

// dial opens the load's connections, spread over its targets.
func (l *Load) dial(ctx context.Context) (*links, error) {
	s := &links{quit: make(chan struct{})}
	for i := range l.Conns {
		conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", l.Targets[i%len(l.Targets)].Addr)
		if err != nil {
			s.close()
			return nil, fmt.Errorf("bench: connecting to the broker: %w", err)
		}
		s.all = append(s.all, &link{conn: conn, topic: l.Topic, enc: l.Encoding})
	}
	return s, nil
}

// serve begins reading. fail is told of the first error of each link.
func (s *links) serve(producers []producer, fail context.CancelCauseFunc) {
	for i, l := range s.all {
		s.wg.Go(func() {
			if err := s.read(i, l, producers[i]); err != nil {
				fail(err)
			}
		})
	}
	s.wg.Go(func() {
		beat := time.NewTicker(heartbeatPause)
		defer beat.Stop()
		for {
			select {
			case <-s.quit:
				return
			case <-beat.C:
			}
			for i, l := range s.all {
				if _, err := l.conn.Write(heartbeat(i, l.enc)); err != nil && !s.closing.Load() {
					fail(fmt.Errorf("bench: heartbeat: %w", err))
				}
			}
		}
	})
}

// close ends the links and waits for what serve began.
func (s *links) close() {
	if s.closing.Swap(true) {
		return
	}
	close(s.quit)
	for _, l := range s.all {
		_ = l.conn.Close()
	}
	s.wg.Wait()
}

// heartbeat is the frame that makes a connection one of the producer group.
func heartbeat(i int, enc wire.Encoding) []byte {
	return wire.AppendRequest(nil, &wire.Request{
		Code: wire.ReqHeartBeat, Opaque: heartbeatOpaque, Encoding: enc, Language: wire.LanguageJava, Version: wire.Version,
		Body: body.Marshal(&body.HeartbeatData{
			ClientID: fmt.Sprintf("%s@%d", TxGroup, i), ProducerDataSet: []body.ProducerData{{GroupName: TxGroup}}, ConsumerDataSet: []body.ConsumerData{},
		}),
	})
}

// read deals with what arrives until the links close.
func (s *links) read(i int, l *link, p producer) error {
	l.out = append(l.out, heartbeat(i, l.enc)...)
	p.begin(time.Now())
	in := newFrames(l.conn)
	var dec wire.Decoder
	var cmd wire.Command
	for {
		if len(l.out) > 0 {
			if _, err := l.conn.Write(l.out); err != nil {
				return s.unlessClosing("sending", err)
			}
			l.out = l.out[:0]
		}
		if err := in.fill(); err != nil {
			return s.unlessClosing("reading answers", err)
		}
		now := time.Now()
		for {
			frame, err := in.next()
			if err != nil {
				return err
			}
			if frame == nil {
				break
			}
			if err := dec.Decode(frame[4:], &cmd); err != nil {
				return fmt.Errorf("bench: %w", err)
			}
			if err := l.dispatch(p, &cmd, now); err != nil {
				return err
			}
		}
	}
}

func (s *links) unlessClosing(doing string, err error) error {
	if s.closing.Load() {
		return nil
	}
	return fmt.Errorf("bench: %s: %w", doing, err)
}

func (l *link) dispatch(p producer, cmd *wire.Command, now time.Time) error {
	switch {
	case !cmd.IsResponse() && cmd.Code == wire.ReqCheckTransactionState:
		c, err := readCheck(cmd)
		if err != nil {
			return err
		}
		return p.asked(c, now)
	case !cmd.IsResponse():
		return nil // a request of the broker's own
	case cmd.Opaque == heartbeatOpaque:
		if cmd.Code != wire.Success {
			return refused("a heartbeat", cmd)
		}
		return nil
	}
	return p.answered(cmd, now)
}

// refused is the error that an answer is.
func refused(what string, cmd *wire.Command) error {
	return fmt.Errorf("bench: the broker answered %s with %d %s: %s", what, cmd.Code, wire.ResponseName(cmd.Code), cmd.Remark)
}

// readCheck reads CHECK_TRANSACTION_STATE. The key is that of the header, or of
// the record where the header has none.
func readCheck(cmd *wire.Command) (*txCheck, error) {
	var h header.CheckTransactionRequest
	if err := h.DecodeExt(cmd.Ext); err != nil {
		return nil, fmt.Errorf("bench: a check: %w", err)
	}
	c := &txCheck{id: h.MsgID, half: h.TranStateTableOffset, physical: h.CommitLogOffset}
	if c.id == "" {
		var rec message.Record
		if _, err := message.DecodeRecord(cmd.Body, &rec, false); err != nil {
			return nil, fmt.Errorf("bench: the record of a check: %w", err)
		}
		key, _ := rec.Property(message.PropertyUniqueKey)
		c.id = string(key)
	}
	c.key, c.ours = parseTxKey(c.id)
	return c, nil
}

// stored reads the answer to a half message.
func stored(cmd *wire.Command) (half, physical int64, err error) {
	if cmd.Code != wire.Success {
		return 0, 0, refused("a half message", cmd)
	}
	var h header.SendResponse
	if err := h.DecodeExt(cmd.Ext); err != nil {
		return 0, 0, fmt.Errorf("bench: %w", err)
	}
	physical, ok := offsetIn(h.MsgID)
	if !ok {
		return 0, 0, fmt.Errorf("bench: the broker answered a half message with the id %.80q", h.MsgID)
	}
	return h.QueueOffset, physical, nil
}

var errTxLoad = errors.New("bench: there must be a broker, and 1 to 65,535 connections, 1 to 65,535 transactions in flight on each, and at least 1 byte of body")

// check refuses a load that can't be run.
func (l *Load) check() error {
	if len(l.Targets) == 0 || l.Conns < 1 || l.Conns > 1<<16-1 || l.Inflight < 1 || l.Inflight > 1<<16-1 || l.Size < 1 {
		return errTxLoad
	}
	return nil
}

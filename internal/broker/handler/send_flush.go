// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package handler

import (
	"sync"
	"time"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
)

// flushWait is the sends of one batch that are answered when they are on disk.
type flushWait struct {
	sends []flushedSend
	end   int64 // of the last one in the log
	every *wire.ExtConst
	once  sync.Once
}

type flushedSend struct {
	ticket remoting.Ticket
	ids    []byte
	queue  int32
	offset int64
	recall []byte
}

func (w *flushWait) add(p *pendingSend, ids []byte, offset, end int64) {
	w.sends = append(w.sends, flushedSend{ticket: p.ticket, ids: ids, queue: p.queue, offset: offset, recall: p.recall})
	w.end = max(w.end, end)
}

// wait answers when the log is on disk up to the last send, or with
// FLUSH_DISK_TIMEOUT after the timeout. The message is stored in either case.
func (w *flushWait) wait(log Log, timeout time.Duration) {
	timer := time.AfterFunc(timeout, func() {
		w.answer(wire.FlushDiskTimeout, "the message is stored, but was not on disk after "+timeout.String()+" (syncFlushTimeout)")
	})
	log.WhenFlushed(w.end, func(err error) {
		timer.Stop()
		if err != nil {
			w.answer(storeFailure(err))
			return
		}
		w.answer(wire.Success, "")
	})
}

func (w *flushWait) answer(code int32, remark string) {
	w.once.Do(func() {
		for i := range w.sends {
			s := &w.sends[i]
			s.ticket.Reply(&wire.Response{Code: code, Remark: remark, Header: &header.SendResponse{
				MsgID: s.ids, QueueID: s.queue, QueueOffset: s.offset, RecallHandle: s.recall, Every: w.every,
			}})
		}
	})
}

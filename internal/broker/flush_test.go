// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// stall makes the syncs of the log wait until it is called off.
func stall(fs *vfs.Mem) (syncs *atomic.Int32, free func(error)) {
	gate := make(chan struct{})
	var result error
	syncs = new(atomic.Int32)
	fs.Fail(func(op vfs.Op, name string) error {
		if op == vfs.OpSync && strings.Contains(name, "commitlog") {
			syncs.Add(1)
			<-gate
			return result
		}
		return nil
	})
	var once sync.Once
	return syncs, func(err error) { once.Do(func() { result = err; close(gate) }) }
}

func TestSyncFlush(t *testing.T) {
	fs := vfs.NewMem()
	w := start(t, fs, "flushDiskType", "SYNC_FLUSH")
	c := w.client()
	c.send(sendHeader("T"), "warm")
	syncs, free := stall(fs)
	defer free(nil)
	// WAIT=false is answered while the disk stands still; the others are not.
	done := make(chan *rpc.Sent, 2)
	for range 2 {
		go func() { done <- w.client().send(sendHeader("T"), "durable") }()
	}
	for syncs.Load() == 0 && w.ctx.Err() == nil {
		// the sends reach the disk
		c.send(sendHeader("T", "WAIT", "false"), "quick")
	}
	select {
	case s := <-done:
		t.Fatalf("answered %+v before it was on disk", s)
	default:
	}
	free(nil)
	for range 2 {
		if s := <-done; s.Code != wire.Success || len(s.Header.MsgID) != 32 {
			t.Errorf("answered %+v", s)
		}
	}
	// What was answered survives a power cut.
	left := fs.Crash(vfs.CrashOptions{})
	_ = w.stop()
	w = start(t, left, "flushDiskType", "SYNC_FLUSH")
	n := 0
	for _, rec := range w.stored("T", 0) {
		if string(rec.Body) == "durable" {
			n++
		}
	}
	if n != 2 {
		t.Errorf("%d of 2 durable messages are left", n)
	}
}

func TestFlushDiskTimeout(t *testing.T) {
	fs := vfs.NewMem()
	w := start(t, fs, "flushDiskType", "SYNC_FLUSH", "syncFlushTimeout", "30")
	c := w.client()
	c.send(sendHeader("T"), "warm")
	_, free := stall(fs)
	defer free(nil)
	s := c.send(sendHeader("T"), "slow")
	if s.Code != wire.FlushDiskTimeout || s.Header.QueueOffset != 1 || len(s.Header.MsgID) != 32 {
		t.Errorf("a disk that stands still: %+v", s)
	}
	free(nil)
	for w.store.Flushed() < w.store.MaxPhysical() && w.ctx.Err() == nil {
		runtime.Gosched()
	}
	w.wantBodies("T", 0, "warm slow")
}

func TestFailedSyncIsAnswered(t *testing.T) {
	fs := vfs.NewMem()
	w := start(t, fs, "flushDiskType", "SYNC_FLUSH")
	c := w.client()
	h := sendHeader("T", "TRAN_MSG", "true", "PGROUP", "p", "UNIQ_KEY", "u")
	sent := c.send(h, "half")
	_, physical, _ := message.ParseOffsetID(string(sent.Header.MsgID))
	_, free := stall(fs)
	free(errors.New("the disk is broken"))
	c.refused(wire.ServiceNotAvailable, &wire.Request{Code: wire.ReqSendMessageV2, Header: sendHeader("T"), Body: []byte("x")}, "the disk is broken")
	end := &header.EndTransactionRequest{ProducerGroup: "p", TranStateTableOffset: sent.Header.QueueOffset, CommitLogOffset: physical,
		CommitOrRollback: int32(message.TransactionCommit), MsgID: "u"}
	for range 2 {
		c.refused(wire.ServiceNotAvailable, &wire.Request{Code: wire.ReqEndTransaction, Header: end}, "the disk is broken")
	}
	fs.Fail(nil)
}

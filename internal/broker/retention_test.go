// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"bytes"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

const (
	smallFile = 16384
	everyHour = "00;01;02;03;04;05;06;07;08;09;10;11;12;13;14;15;16;17;18;19;20;21;22;23"
)

// lines is a log to look into.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// fill sends messages of 1 KB until the log has grown by so many files.
func (c *client) fill(topic string, files int) (n int) {
	c.w.t.Helper()
	for end := c.w.store.MaxPhysical() + int64(files)*smallFile; c.w.store.MaxPhysical() < end; n++ {
		c.send(sendHeader(topic), fmt.Sprintf("%-1000d", n))
	}
	return n
}

// Expired files go: consumers that are behind are told to go on at the first
// message that is left, and a transaction that nobody has decided about is parked.
func TestRetention(t *testing.T) {
	var now atomic.Int64
	now.Store(1_800_000_000_000)
	fs := vfs.NewMem()
	w := startAt(t, fs, now.Load, "mappedFileSizeCommitLog", fmt.Sprint(smallFile), "fileReservedTime", "1", "deleteWhen", everyHour)
	c := w.client()
	half := c.send(sendHeader("T", "TRAN_MSG", "true", "PGROUP", "p", "UNIQ_KEY", "k"), "half")
	old := c.fill("T", 3)
	now.Add((30 * time.Minute).Milliseconds())
	young := c.fill("T", 3)
	if d, err := w.store.Retain(false); err != nil || d.Files != 0 {
		t.Fatalf("deleted %+v, %v: nothing has expired", d, err)
	}
	now.Add((31 * time.Minute).Milliseconds())
	d, err := w.store.Retain(false)
	if err != nil || d.Files < 2 || d.Files > 4 || d.Unexpired != 0 {
		t.Fatalf("deleted %+v, %v", d, err)
	}

	c.heartbeat("c", "g", "T", "*")
	p := c.pull("g", "T", 0, 0, 0)
	first, err := rpc.MinOffset(w.ctx, c, w.addr, "T", 0)
	if err != nil || first < int64(old)/2 || first > int64(old) {
		t.Fatalf("the queue begins at %d, %v; %d messages have expired", first, err, old)
	}
	if p.Code != wire.PullOffsetMoved || p.Header.NextBeginOffset != first {
		t.Errorf("a pull from 0: %d, next offset %d, want %d, %d", p.Code, p.Header.NextBeginOffset, wire.PullOffsetMoved, first)
	}
	if list := w.stored("T", 0); len(list) != old+young-int(first) || int64(list[0].QueueOffset) != first {
		t.Errorf("%d messages from %d on", len(list), list[0].QueueOffset)
	}

	parked := w.stored(message.TopicCheckMax, 0)
	if len(parked) != 1 || string(parked[0].Body) != "half" {
		t.Fatalf("%d parked", len(parked))
	}
	_, physical, err := message.ParseOffsetID(string(half.Header.MsgID))
	if err != nil {
		t.Fatal(err)
	}
	commit := &header.EndTransactionRequest{ProducerGroup: "p", TranStateTableOffset: half.Header.QueueOffset, CommitLogOffset: physical,
		CommitOrRollback: int32(message.TransactionCommit), MsgID: "k"}
	c.refused(wire.IllegalOperation, &wire.Request{Code: wire.ReqEndTransaction, Header: commit}, "no longer in the log")
	end := w.store.MaxPhysical()
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}

	w = startAt(t, fs, now.Load, "mappedFileSizeCommitLog", fmt.Sprint(smallFile), "fileReservedTime", "1", "deleteWhen", ";")
	c = w.client()
	if got, err := rpc.MinOffset(w.ctx, c, w.addr, "T", 0); err != nil || got != first || w.store.MaxPhysical() != end {
		t.Errorf("after a restart the queue begins at %d, %v, the log ends at %d; want %d, %d", got, err, w.store.MaxPhysical(), first, end)
	}
	c.refused(wire.IllegalOperation, &wire.Request{Code: wire.ReqEndTransaction, Header: commit}, "no longer in the log")
}

// A disk that is too full loses messages before their time, and it is said whose.
func TestFullDiskDeletesForcibly(t *testing.T) {
	fs, log := vfs.NewMem(), &lines{}
	w := startLogged(t, fs, nil, slog.New(slog.NewTextHandler(log, nil)), "mappedFileSizeCommitLog", fmt.Sprint(smallFile), "deleteWhen", ";", "deleteFileBatchMax", "2")
	c := w.client()
	sent := c.fill("T", 6)
	for group, at := range map[string]int64{"behind": 3, "done": int64(sent), "half-way": int64(sent) / 2} {
		if err := rpc.UpdateOffset(w.ctx, c, w.addr, group, "T", 0, at); err != nil {
			t.Fatal(err)
		}
	}
	u, err := fs.Usage("/")
	if err != nil {
		t.Fatal(err)
	}
	fs.SetCapacity(u.Used * 100 / 95)
	d, err := w.store.Retain(false)
	if err != nil || d.Files != 2 || d.Unexpired != 2 {
		t.Fatalf("deleted %+v, %v", d, err)
	}
	first, err := rpc.MinOffset(w.ctx, c, w.addr, "T", 0)
	if err != nil {
		t.Fatal(err)
	}
	got := log.String()
	if want := "group=behind topic=T messages="; strings.Count(got, want) != 2 {
		t.Errorf("the log does not say %q of each file:\n%s", want, got)
	}
	if strings.Contains(got, "group=done") || strings.Contains(got, "group=half-way") {
		t.Errorf("the log names a group that has lost nothing:\n%s", got)
	}
	if n := w.unconsumed.Load(); n != first-3 {
		t.Errorf("%d messages counted, want %d", n, first-3)
	}
}

// Where nothing may go before its time, messages are refused until there is space.
func TestFullDiskRefuses(t *testing.T) {
	fs, log := vfs.NewMem(), &lines{}
	w := startLogged(t, fs, nil, slog.New(slog.NewTextHandler(log, nil)), "mappedFileSizeCommitLog", fmt.Sprint(smallFile), "deleteWhen", ";", "cleanFileForciblyEnable", "false")
	c := w.client()
	half := c.send(sendHeader("T", "TRAN_MSG", "true", "PGROUP", "p", "UNIQ_KEY", "k"), "half")
	c.fill("T", 4)
	u, err := fs.Usage("/")
	if err != nil {
		t.Fatal(err)
	}
	fs.SetCapacity(u.Used * 100 / 88)
	if d, err := w.store.Retain(false); err != nil || d.Files != 0 {
		t.Fatalf("deleted %+v, %v", d, err)
	}
	c.refused(wire.ServiceNotAvailable, &wire.Request{Code: wire.ReqSendMessageV2, Header: sendHeader("T"), Body: []byte("x")}, "disk", "diskSpaceCleanForciblyRatio")
	if err := w.Ready(); err == nil || !strings.Contains(err.Error(), "diskSpaceCleanForciblyRatio") {
		t.Errorf("ready: %v", err)
	}
	_, physical, err := message.ParseOffsetID(string(half.Header.MsgID))
	if err != nil {
		t.Fatal(err)
	}
	if err := rpc.EndTransaction(w.ctx, c, w.addr, &header.EndTransactionRequest{ProducerGroup: "p", TranStateTableOffset: half.Header.QueueOffset,
		CommitLogOffset: physical, CommitOrRollback: int32(message.TransactionCommit), MsgID: "k"}); err != nil {
		t.Errorf("a decision is refused: %v", err)
	}
	c.heartbeat("c", "g", "T", "*")
	if p := c.pull("g", "T", 0, 0, 0); p.Code != wire.Success {
		t.Errorf("a pull is answered %d", p.Code)
	}
	fs.SetCapacity(u.Used * 2)
	if _, err := w.store.Retain(false); err != nil {
		t.Fatal(err)
	}
	c.send(sendHeader("T"), "there is space again")
}

// Log files of messages that wait for their time of delivery stay until those have
// been delivered; when the disk is too full they go, and it is said how many.
func TestRetentionOfTimers(t *testing.T) {
	for _, full := range []bool{false, true} {
		t.Run(fmt.Sprintf("full=%t", full), func(t *testing.T) {
			var jump atomic.Int64
			now := func() int64 { return time.Now().UnixMilli() + jump.Load() }
			fs, log := vfs.NewMem(), &lines{}
			w := startLogged(t, fs, now, slog.New(slog.NewTextHandler(log, nil)), "mappedFileSizeCommitLog", fmt.Sprint(smallFile),
				"fileReservedTime", "3", "deleteWhen", everyHour, "deleteFileBatchMax", "1")
			c := w.client()
			const n = 7
			for i := range n {
				c.send(sendHeader("T", "UNIQ_KEY", fmt.Sprint(i), "TIMER_DELAY_MS", "1800000"), "waits")
			}
			for end := time.Now().Add(patience); w.timers.Behind() > 0 || w.timers.Position() < n; {
				if time.Now().After(end) {
					t.Fatal("not in the wheel")
				}
				runtime.Gosched()
			}
			c.fill("T", 6)
			if full {
				u, err := fs.Usage("/")
				if err != nil {
					t.Fatal(err)
				}
				fs.SetCapacity(u.Used * 100 / 88)
				d, err := w.store.Retain(false)
				if err != nil || d.Files != 1 || d.Unexpired != 1 {
					t.Fatalf("deleted %+v, %v", d, err)
				}
				if want := fmt.Sprintf("they are never delivered\" messages=%d", n); !strings.Contains(log.String(), want) || w.unconsumed.Load() < n {
					t.Errorf("%d counted, the log does not say %q:\n%s", w.unconsumed.Load(), want, log.String())
				}
				return
			}
			jump.Store((4 * time.Hour).Milliseconds()) // the wheel's own time goes on as before
			d, err := w.store.Retain(false)
			if err == nil || d.Files != 0 || !strings.Contains(err.Error(), "wait for their time of delivery") {
				t.Errorf("deleted %+v, %v", d, err)
			}
		})
	}
}

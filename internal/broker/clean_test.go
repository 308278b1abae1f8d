// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/message"
)

// fullDisk is filled by others: what is deleted on it does not show.
type fullDisk struct{ *vfs.Mem }

func (fullDisk) Usage(string) (vfs.Usage, error) {
	return vfs.Usage{Total: 1000, Used: 880, Free: 120}, nil
}

// A request never takes a log file that has not expired, however full the disk is.
func TestUnexpiredLogIsNotDeletedByRequest(t *testing.T) {
	w := start(t, fullDisk{vfs.NewMem()}, "mappedFileSizeCommitLog", "16384", "fileReservedTime", "72", "deleteFileBatchMax", "1")
	c := w.client()
	for range 30 {
		c.send(sendHeader("T"), strings.Repeat("x", 10_000))
	}
	w.stored("T", 0)
	if gone, err := w.store.Retain(false); err != nil || gone.Unexpired != 1 {
		t.Fatalf("a round of the broker's own: %+v, %v", gone, err)
	}
	before := w.store.MinPhysical()
	if err := rpc.DeleteExpiredLog(w.ctx, c, w.addr); err != nil || w.store.MinPhysical() != before {
		t.Errorf("deletion of expired files took from %d to %d: %v", before, w.store.MinPhysical(), err)
	}
	if err := rpc.CleanExpiredQueues(w.ctx, c, w.addr); err != nil || w.store.MinPhysical() != before {
		t.Errorf("cleaning of queues took from %d to %d: %v", before, w.store.MinPhysical(), err)
	}
}

// What a deletion left that stopped halfway goes, and nothing else.
func TestCleanUnusedTopics(t *testing.T) {
	w := start(t, vfs.NewMem())
	c := w.client()
	for _, topic := range []string{"T", "U"} {
		c.send(sendHeader(topic), topic)
	}
	c.send(sendHeader("T", message.PropertyTransactionPrepared, "true", message.PropertyProducerGroup, "p"), "half")
	w.stored("T", 0)
	if _, err := w.topics.Delete("U"); err != nil {
		t.Fatal(err)
	}
	if w.store.LookupQueue("U", 0) == nil {
		t.Fatal("the queue is gone before")
	}
	if err := rpc.CleanUnusedTopics(w.ctx, c, w.addr); err != nil {
		t.Fatal(err)
	}
	if w.store.LookupQueue("U", 0) != nil {
		t.Error("the queue of a topic that is gone is there")
	}
	w.wantBodies("T", 0, "T")
	w.wantBodies(message.TopicHalf, 0, "half")
}

// Expired files go when an operator asks, at any hour; queues follow.
func TestDeleteExpiredLog(t *testing.T) {
	var now atomic.Int64
	begin := time.Date(2026, 1, 1, 12, 0, 0, 0, time.Local)
	now.Store(begin.UnixMilli())
	w := startAt(t, vfs.NewMem(), now.Load, "mappedFileSizeCommitLog", "65536", "fileReservedTime", "1", "deleteWhen", "04", "deleteFileBatchMax", "2",
		"diskMaxUsedSpaceRatio", "100", "diskSpaceCleanForciblyRatio", "100", "diskSpaceWarningLevelRatio", "100")
	c := w.client()
	for range 40 {
		c.send(sendHeader("T"), strings.Repeat("x", 10_000))
	}
	w.stored("T", 0)
	if err := rpc.DeleteExpiredLog(w.ctx, c, w.addr); err != nil || w.store.MinPhysical() != 0 {
		t.Fatalf("what has not expired goes, up to %d: %v", w.store.MinPhysical(), err)
	}
	now.Store(begin.Add(2 * time.Hour).UnixMilli())
	if err := rpc.CleanExpiredQueues(w.ctx, c, w.addr); err != nil || w.store.MinPhysical() != 0 {
		t.Fatalf("%d: %v", w.store.MinPhysical(), err)
	}
	if err := rpc.DeleteExpiredLog(w.ctx, c, w.addr); err != nil {
		t.Fatal(err)
	}
	if left := w.store.MaxPhysical() - w.store.MinPhysical(); left > 65536 {
		t.Errorf("%d bytes are left", left)
	}
	if q := w.store.LookupQueue("T", 0); q.Min() == 0 || q.Max() != 40 {
		t.Errorf("the queue goes from %d to %d", q.Min(), q.Max())
	}
}

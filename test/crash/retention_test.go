// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package crash

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/proctest"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
	"github.com/twostage/twostage/test/rig"
)

// allHours is deleteWhen at any time of the day.
var allHours = func() string {
	var hours []string
	for h := range 24 {
		hours = append(hours, fmt.Sprintf("%02d", h))
	}
	return strings.Join(hours, ";")
}()

// TestKillWithRetention kills a broker that deletes all it may, all the time:
// only the file that is written stays.
func TestKillWithRetention(t *testing.T) {
	first := *seed
	if first == 0 {
		first = rand.Uint64N(1 << 32)
	}
	for _, policy := range []string{"ASYNC_FLUSH", "SYNC_FLUSH"} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			t.Logf("seed: run again with -rounds %d -seed %d", *rounds, first)
			runRetention(t, policy, max(2, *rounds/4), rand.New(rand.NewPCG(first, 77)))
		})
	}
}

const retained = "Retained"

// keeper is a broker with retention over its rounds.
type keeper struct {
	*shared
	data   string
	server *proctest.Server
	c      *remoting.Client
	log    []sent
	least  [queues]int64 // the highest minimum offset that was seen
	moved  int64         // readers that were told to go on at a later offset
}

func runRetention(t *testing.T, policy string, kills int, rng *rand.Rand) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*rig.Patience)
	defer cancel()
	k := &keeper{shared: &shared{}, data: t.TempDir(), c: rig.Client(t)}
	k.server = proctest.Start(t, smallArgs(k.data, policy, "mappedFileSizeCommitLog=262144", "fileReservedTime=0", "deleteWhen="+allHours,
		"cleanResourceInterval=20", "transactionMaxAge=3600000")...)
	if err := rpc.CreateTopic(ctx, k.c, k.server.Broker, rig.TopicHeader(retained, queues)); err != nil {
		t.Fatal(err)
	}
	for n := range kills {
		k.round(ctx, t, n, n%stopEvery != stopEvery-1, 600+rng.Int64N(2000))
		if t.Failed() {
			return
		}
	}
	if k.least[0] == 0 || k.moved == 0 {
		t.Errorf("the first offsets are %v and %d readers were moved: nothing was deleted", k.least, k.moved)
	}
	t.Logf("%s: %d kills, %d messages sent, %v gone, %d readers moved", policy, kills, len(k.log), k.least, k.moved)
}

// round sends, ends the server, starts it again and checks what is there.
func (k *keeper) round(ctx context.Context, t *testing.T, n int, kill bool, messages int64) {
	f := newFlood(ctx, k.c, k.shared, k.server.Broker, retained, fmt.Sprintf("r%d", n))
	var readers sync.WaitGroup
	var moved atomic.Int64
	for q := range int32(queues) {
		readers.Go(func() { k.follow(ctx, q, &moved) })
	}
	f.grows(t, "messages are acknowledged", messages)
	var err error
	if kill {
		err = k.server.Kill()
	} else {
		k.ending.Store(true)
		err = k.server.Stop()
	}
	if err != nil {
		t.Errorf("round %d: ending the server: %v", n, err)
	}
	k.log = append(k.log, f.end()...)
	readers.Wait()
	k.ending.Store(false)
	k.moved += moved.Load()
	if err := k.fault(); err != nil {
		t.Fatalf("round %d: %v", n, err)
	}
	if _, last := f.refusals(); last != "" && kill {
		t.Fatalf("round %d: a send was refused: %s", n, last)
	}
	old := len(k.server.Log())
	k.server.Restart(t)
	if log := k.server.Log()[old:]; strings.Contains(log, "panic") {
		t.Fatalf("round %d: a panic:\n%s", n, log)
	}
	k.check(ctx, t, n)
}

// follow reads a queue from 0 on until the server is gone, goes on where the
// server says, and begins anew at the end, so that it is often overtaken.
func (k *keeper) follow(ctx context.Context, q int32, moved *atomic.Int64) {
	pause := time.NewTicker(2 * time.Millisecond)
	defer pause.Stop()
	for at := int64(0); ; {
		p, err := rpc.Pull(ctx, k.c, k.server.Broker, rig.PullHeader(retained, q, at))
		if err != nil {
			k.call("reader", err)
			return
		}
		switch next := p.Header.NextBeginOffset; {
		case p.Code == wire.PullOffsetMoved:
			if next < p.Header.MinOffset && next != p.Header.MaxOffset {
				k.fail(fmt.Errorf("queue %d: a reader at %d is moved to %d, the queue has %d to %d", q, at, next, p.Header.MinOffset, p.Header.MaxOffset))
				return
			}
			moved.Add(1)
			at = next
		case p.Code == wire.Success:
			if err := message.RangeRecords(p.Records, true, func(r *message.Record) error {
				if r.QueueID != q || string(r.Topic) != retained || r.QueueOffset < at {
					return fmt.Errorf("queue %d at %d holds offset %d of %s-%d", q, at, r.QueueOffset, r.Topic, r.QueueID)
				}
				at = r.QueueOffset + 1
				return nil
			}); err != nil {
				k.fail(err)
				return
			}
			at = next
		case p.Code == wire.PullNotFound:
			at = 0
			<-pause.C
		default:
			at = next
		}
	}
}

// check compares what is left with what was sent: all that was acknowledged from
// the first offset on, nothing else, and minima and maxima that never go back.
func (k *keeper) check(ctx context.Context, t *testing.T, n int) {
	t.Helper()
	all := make(map[int32][]stored)
	kept := 0
	for q := range int32(queues) {
		all[q] = k.read(ctx, t, q)
		kept += len(all[q])
	}
	if kept == 0 {
		t.Errorf("round %d: nothing is left; the file that is written is never deleted", n)
	}
	// What checkTopic knows of queues that begin at 0 it is told of these: a record
	// for each offset that is gone.
	known := make(map[[2]int64]*sent)
	var left []sent
	for i := range k.log {
		m := &k.log[i]
		known[[2]int64{int64(m.queue), m.offset}] = m
		if m.answered == 0 || m.offset >= k.least[m.queue] {
			left = append(left, *m)
		}
	}
	for q, records := range all {
		first := k.least[q]
		for i := range records {
			records[i].queueOffset -= first
		}
		for i := range left {
			if m := &left[i]; m.queue == q && m.answered > 0 {
				m.offset -= first
			}
		}
	}
	var p problems
	for _, s := range checkTopic(left, all) {
		p.add("%s", s)
	}
	for _, s := range p.all() {
		t.Errorf("round %d: %s (queues begin at %v)", n, s, k.least)
	}
	k.lookUp(ctx, t, n)
	k.files(t, n)
}

// read reads a queue from its first offset on and notes that. Deletion goes on
// meanwhile: whoever is overtaken begins anew.
func (k *keeper) read(ctx context.Context, t *testing.T, q int32) (records []stored) {
	t.Helper()
	addr := k.server.Broker
	rig.Poll(t, fmt.Sprintf("queue %d is read", q), func() error {
		least, err := rpc.MinOffset(ctx, k.c, addr, retained, q)
		if err != nil {
			return err
		}
		if least < k.least[q] {
			t.Fatalf("queue %d begins at %d, it began at %d before", q, least, k.least[q])
		}
		k.least[q] = least
		records = nil
		end, err := rig.Drain(ctx, k.c, addr, retained, q, least, func(r *message.Record) error {
			key, _ := r.Property(message.PropertyUniqueKey)
			records = append(records, stored{
				key: string(key), queue: r.QueueID, queueOffset: r.QueueOffset, position: r.PhysicalOffset, crc: crc32.ChecksumIEEE(r.Body),
			})
			return nil
		})
		if err != nil {
			return err
		}
		most, err := rpc.MaxOffset(ctx, k.c, addr, retained, q)
		if err != nil {
			return err
		}
		for i := range k.log {
			if m := &k.log[i]; m.queue == q && m.answered > 0 && m.offset >= most {
				t.Fatalf("queue %d ends at %d, %s was acknowledged at %d", q, most, m.key, m.offset)
			}
		}
		if now, err := rpc.MinOffset(ctx, k.c, addr, retained, q); err != nil || now != least {
			return fmt.Errorf("it was overtaken: it begins at %d now: %w", now, err)
		}
		if end != most || int64(len(records)) != most-least {
			return fmt.Errorf("%d records from %d to %d, read up to %d", len(records), least, most, end)
		}
		if least > 0 {
			p, err := rpc.Pull(ctx, k.c, addr, rig.PullHeader(retained, q, 0))
			if err != nil {
				return err
			}
			if p.Code != wire.PullOffsetMoved || p.Header.NextBeginOffset < least {
				t.Fatalf("queue %d begins at %d, a pull at 0 is answered %s, go on at %d", q, least, wire.ResponseName(p.Code), p.Header.NextBeginOffset)
			}
			k.moved++
		}
		return nil
	})
	return records
}

// lookUp finds what is kept by key, and not what is gone.
func (k *keeper) lookUp(ctx context.Context, t *testing.T, n int) {
	t.Helper()
	for i := range samples {
		m := &k.log[i*(len(k.log)-1)/(samples-1)]
		if m.answered == 0 {
			continue
		}
		rig.Poll(t, fmt.Sprintf("round %d: the index is right about %s", n, m.key), func() error {
			records, _, err := rpc.QueryMessage(ctx, k.c, k.server.Broker, &header.QueryMessageRequest{
				Topic: retained, Key: m.key, MaxNum: 32, EndTimestamp: math.MaxInt64, UniqueKey: true,
			})
			if code, answered := rpc.CodeOf(err); answered && code == int32(wire.QueryNotFound) {
				err = nil
			}
			if err != nil {
				return err
			}
			least, err := rpc.MinOffset(ctx, k.c, k.server.Broker, retained, m.queue)
			found := 0
			err = errors.Join(err, message.RangeRecords(records, true, func(r *message.Record) error {
				if found++; r.QueueOffset != m.offset || r.QueueID != m.queue {
					return fmt.Errorf("found at queue %d offset %d, it was acknowledged at queue %d offset %d", r.QueueID, r.QueueOffset, m.queue, m.offset)
				}
				return nil
			}))
			if want := m.offset >= least; err == nil && found != map[bool]int{true: 1}[want] {
				err = fmt.Errorf("found %d times, its offset is %d and the queue begins at %d", found, m.offset, least)
			}
			return err
		})
	}
}

// files holds that log, queues and index give their space back.
func (k *keeper) files(t *testing.T, n int) {
	t.Helper()
	rig.Poll(t, fmt.Sprintf("round %d: files go", n), func() error {
		var errs []error
		for _, v := range []struct {
			pattern string
			most    int
		}{
			{"commitlog/*", 2}, // the one that is written, and the next
			{"consumequeue/" + retained + "/*/0*", 8 * queues}, // some wait for the next deletion
			{"index/*", 4},
		} {
			names, err := filepath.Glob(filepath.Join(k.data, "store", v.pattern))
			if err == nil && len(names) > v.most {
				err = fmt.Errorf("%s: %d files, %v", v.pattern, len(names), names)
			}
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	})
}

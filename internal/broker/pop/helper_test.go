// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package pop

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strconv"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/twostage/twostage/internal/broker/offset"
	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var testHost = netip.MustParseAddrPort("127.0.0.1:10911")

// names are topics and groups that are there.
type names struct {
	topics map[string]*body.TopicConfig
	group  body.SubscriptionGroupConfig
}

func newNames() *names {
	return &names{topics: map[string]*body.TopicConfig{"T": {TopicName: "T", ReadQueueNums: 2, WriteQueueNums: 2, Perm: 6}},
		group: body.SubscriptionGroupConfig{GroupName: "g", RetryMaxTimes: 1 << 20}}
}

type topicNames struct{ *names }

func (n topicNames) Get(name string) (*body.TopicConfig, bool) { t, ok := n.topics[name]; return t, ok }

func (n topicNames) Ensure(name string, queues, perm, _ int32) (*body.TopicConfig, error) {
	if n.topics[name] == nil {
		n.topics[name] = &body.TopicConfig{TopicName: name, ReadQueueNums: queues, WriteQueueNums: queues, Perm: perm}
	}
	return n.topics[name], nil
}

type groupNames struct{ *names }

func (n groupNames) Get(name string) (*body.SubscriptionGroupConfig, bool) {
	return &n.group, name == "g"
}

// timers makes records wait in the timers' topic, and delivers them again and
// again after each start.
type timers struct {
	st   *store.Store
	from int64
}

func (w *timers) Rewrite(topic string, queue int32, props, _ []byte) (*store.Queue, []byte, bool, error) {
	props = message.AppendProperty(props, message.PropertyRealTopic, topic)
	props = message.AppendProperty(props, message.PropertyRealQueueID, strconv.Itoa(int(queue)))
	return w.st.Queue(timerTopic, 0), props, true, nil
}

// deliver stores what is due, and what is not as well, which must not matter.
func (w *timers) deliver() error {
	var b store.Batch
	err := w.st.Walk(w.from, func(r *message.Record) error {
		w.from = r.PhysicalOffset + int64(r.Size)
		if string(r.Topic) != timerTopic {
			return nil
		}
		name, _ := r.Property(message.PropertyRealTopic)
		id, _ := r.Property(message.PropertyRealQueueID)
		n, err := strconv.Atoi(string(id))
		if err != nil {
			return err
		}
		c := message.Record{BornHost: testHost, StoreHost: testHost, Body: r.Body, Properties: r.Properties, PreparedOffset: r.PhysicalOffset}
		return b.Add(w.st.Queue(string(name), int32(n)), &c)
	})
	if err != nil || b.Len() == 0 {
		return err
	}
	return w.st.Append(&b)
}

// rig is a store with pop consumption, whose Run does not run: the test does what
// it does, when it wants to.
type rig struct {
	t       testing.TB
	fs      *vfs.Mem
	now     int64
	names   *names
	st      *store.Store
	offsets *offset.Table
	timers  *timers
	s       *Service
}

func newRig(t testing.TB) *rig {
	r := &rig{t: t, fs: vfs.NewMem(), now: 1_700_000_000_000, names: newNames()}
	if err := r.open(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.close() })
	return r
}

func (r *rig) open() (err error) {
	if err = vfs.MkdirAllSync(r.fs, "/data/config"); err != nil {
		return err
	}
	quiet := slog.New(slog.DiscardHandler)
	var arrived atomic.Pointer[Service]
	r.st, err = store.Open(store.Config{Dir: "/data", FS: r.fs, CommitLogFileSize: 1 << 20, ConsumeQueueFileSize: 2000, IndexSlots: 13, IndexEntries: 4000,
		NowMillis: func() int64 { return 1_700_000_000_000 },
		OnArrive: func(q *store.Queue, at, _, _ int64, props []byte) {
			if s := arrived.Load(); s != nil {
				s.Arrived(q, at, props)
			}
		}})
	if err != nil {
		return err
	}
	if r.offsets, err = offset.Open(offset.Config{FS: r.fs, Dir: "/data/config", Logger: quiet}); err != nil {
		return errors.Join(err, r.st.Close())
	}
	r.timers = &timers{st: r.st}
	r.st.ReplayDone()
	r.s, err = Open(Config{Log: r.st, Delays: r.timers, Offsets: r.offsets, Topics: topicNames{r.names}, Groups: groupNames{r.names}, FS: r.fs, Dir: "/data/config",
		Cluster: "c", Broker: "b", Host: testHost, NowMillis: func() int64 { return r.now }, Logger: quiet, Sync: true, RetryProbability: 50})
	if err != nil {
		return errors.Join(err, r.st.Close())
	}
	arrived.Store(r.s)
	return nil
}

func (r *rig) close() { // errors: the file system may be dead
	_ = r.s.Close()
	_ = r.st.Close()
}

// restart ends the run as end does, and begins another.
func (r *rig) restart(end func(m *vfs.Mem) *vfs.Mem) {
	r.t.Helper()
	old := r.fs
	r.fs = end(old)
	old.Fail(func(vfs.Op, string) error { return errDead })
	r.close()
	if err := r.open(); err != nil {
		r.t.Fatal(err)
	}
}

var errDead = errors.New("dead")

func (r *rig) send(queue int32, texts ...string) error {
	var b store.Batch
	for _, text := range texts {
		if err := b.Add(r.st.Queue("T", queue), &message.Record{BornHost: testHost, StoreHost: testHost, Body: []byte(text)}); err != nil {
			return err
		}
	}
	if err := r.st.Append(&b); err != nil {
		return err
	}
	return r.sync()
}

// sync waits until what is stored can be read.
func (r *rig) sync() error {
	end := r.st.MaxPhysical()
	if err := r.st.Flush(end); err != nil {
		return err
	}
	return r.st.WaitDispatched(end)
}

// got is a message as a consumer has it.
type got struct {
	text   string
	topic  string
	handle Handle
}

// pop pops, and makes handles as clients do.
func (r *rig) pop(req Request) ([]got, error) {
	res, err := r.s.Pop(req)
	if err != nil {
		return nil, err
	}
	defer res.Release()
	starts := map[string]int64{}
	for rest := res.StartOffsetInfo; rest != ""; {
		var kind byte
		var queue int32
		var at int64
		if _, err := fmt.Sscanf(rest, "%c %d %d", &kind, &queue, &at); err != nil {
			return nil, err
		}
		starts[fmt.Sprint(string(kind), queue)] = at
		if i := index(rest); i >= 0 {
			rest = rest[i+1:]
		} else {
			rest = ""
		}
	}
	var list []got
	for _, b := range res.Records {
		var rec message.Record
		if _, err := message.DecodeRecord(append([]byte(nil), b...), &rec, true); err != nil {
			return nil, err
		}
		g := got{text: string(rec.Body), topic: "T"}
		if ck, ok := rec.Property(message.PropertyPopCheckpoint); ok {
			if g.handle, err = header.ParsePopHandle(string(ck)); err != nil {
				return nil, err
			}
			g.topic = RetryTopic("g", "T", g.handle.Kind)
		} else {
			g.topic = string(rec.Topic)
			kind := kindOf(g.topic)
			start, ok := starts[fmt.Sprint(string(kind), rec.QueueID)]
			if !ok {
				return nil, fmt.Errorf("no start of queue %d in %q", rec.QueueID, res.StartOffsetInfo)
			}
			g.handle = Handle{Start: start, PopTime: res.PopTime, Invisible: res.Invisible, Revive: res.ReviveQID, Kind: kind, Broker: "b", Queue: rec.QueueID, Offset: rec.QueueOffset}
		}
		list = append(list, g)
	}
	return list, nil
}

func index(s string) int {
	for i := range s {
		if s[i] == ';' {
			return i
		}
	}
	return -1
}

func (r *rig) ack(g *got) error {
	return r.s.Ack("g", g.topic, g.handle.Queue, &g.handle, g.handle.Offset)
}

// ack is one for AckAll.
func (g *got) ack() Ack {
	return Ack{Group: "g", Topic: g.topic, Queue: g.handle.Queue, Handle: g.handle, Offsets: []int64{g.handle.Offset}}
}

// turn does what Run does in a turn.
func (r *rig) turn() error {
	r.s.due(context.Background())
	r.s.settleOffsets()
	r.s.settleRevive()
	return r.sync()
}

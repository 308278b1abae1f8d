// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package delay

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/twostage/twostage/internal/broker/brokertest"
	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/message"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	quiet      = slog.New(slog.DiscardHandler)
	testHost   = netip.MustParseAddrPort("127.0.0.1:10911")
	testLevels = Levels{time.Second, 5 * time.Second, time.Hour}
)

const offsetPath = "/data/config/delayOffset.json"

// rig is a store with a service on it. It belongs into a synctest bubble.
type rig struct {
	t    testing.TB
	fs   vfs.FS
	jump atomic.Int64 // ms, what has been done to the wall clock
	st   *store.Store
	svc  *Service
	stop func()
	deaf atomic.Bool // Arrived is not called

	mu     sync.Mutex
	topics map[string]int // of Config.Delivered
}

func (r *rig) wall() int64 { return time.Now().UnixMilli() + r.jump.Load() }

func start(t testing.TB, fsys vfs.FS, change ...func(*store.Config, *Config)) *rig {
	t.Helper()
	r, err := tryStart(t, fsys, change...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func tryStart(t testing.TB, fsys vfs.FS, change ...func(*store.Config, *Config)) (*rig, error) {
	r := &rig{t: t, fs: fsys, topics: map[string]int{}}
	var svc atomic.Pointer[Service]
	sc := store.Config{Dir: "/data", FS: fsys, CommitLogFileSize: 64 << 10, ConsumeQueueFileSize: 2000, IndexSlots: 13, IndexEntries: 4000,
		NowMillis: r.wall, FlushInterval: time.Hour, FlushThoroughInterval: time.Hour, ViewFlushInterval: time.Hour,
		OnArrive: func(q *store.Queue, offset, tags, ts int64, props []byte) {
			if s := svc.Load(); s != nil && !r.deaf.Load() {
				s.Arrived(q, offset, tags, ts, props)
			}
		}}
	c := Config{FS: fsys, Path: offsetPath, Levels: testLevels, NowMillis: r.wall, FlushInterval: 2 * time.Second,
		Delivered: func(topic string, n, _ int) {
			r.mu.Lock()
			r.topics[topic] += n
			r.mu.Unlock()
		}}
	for _, f := range change {
		f(&sc, &c)
	}
	sc.DelayLevels = c.Levels.Millis()
	if err := vfs.MkdirAllSync(fsys, sc.Dir+"/config"); err != nil {
		return nil, err
	}
	var err error
	if r.st, err = store.Open(sc); err != nil {
		return nil, err
	}
	c.Log = r.st
	if r.svc, err = Open(c); err != nil {
		_ = r.st.Close()
		return nil, err
	}
	svc.Store(r.svc)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = r.svc.Run(ctx) })
	r.stop = sync.OnceFunc(func() { // errors: the file system may be dead
		_ = r.svc.Close()
		cancel()
		wg.Wait()
		_ = r.st.Close()
	})
	t.Cleanup(r.stop)
	return r, nil
}

func (r *rig) close() {
	r.t.Helper()
	if err := r.svc.Close(); err != nil {
		r.t.Fatal(err)
	}
	if err := r.st.Close(); err != nil {
		r.t.Fatal(err)
	}
	r.stop()
}

// sent is a record as a producer's, with level as its DELAY.
func sent(level, name string, props ...string) *message.Record {
	p := message.AppendProperty(nil, message.PropertyDelay, level)
	p = message.AppendProperty(p, message.PropertyTags, "T")
	for i := 0; i < len(props); i += 2 {
		p = message.AppendProperty(p, props[i], props[i+1])
	}
	return &message.Record{Body: []byte(name), Properties: p, BornHost: testHost, StoreHost: testHost, BornTimestamp: 7, Flag: 3}
}

// send stores delayed records for one queue with one append.
func (r *rig) send(topic string, queue int32, recs ...*message.Record) error {
	var b store.Batch
	for _, rec := range recs {
		q, props, ok := r.svc.Rewrite(topic, queue, rec.Properties, nil)
		if !ok {
			return fmt.Errorf("not delayed: %q", rec.Properties)
		}
		rec.Properties = props
		if err := b.Add(q, rec); err != nil {
			return err
		}
	}
	return r.st.Append(&b)
}

func (r *rig) mustSend(topic string, queue int32, recs ...*message.Record) {
	r.t.Helper()
	if err := r.send(topic, queue, recs...); err != nil {
		r.t.Fatal(err)
	}
}

// bodies lists what is in a queue.
func (r *rig) bodies(topic string, queue int32) string {
	r.t.Helper()
	var list []string
	for _, rec := range r.records(topic, queue) {
		list = append(list, string(rec.Body))
	}
	return strings.Join(list, " ")
}

func (r *rig) records(topic string, queue int32) []message.Record {
	r.t.Helper()
	return brokertest.Records(r.t, r.st, topic, queue)
}

func (r *rig) want(topic string, queue int32, bodies string) {
	r.t.Helper()
	if got := r.bodies(topic, queue); got != bodies {
		r.t.Errorf("%s/%d holds %q, want %q", topic, queue, got, bodies)
	}
}

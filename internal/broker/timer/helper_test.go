// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package timer

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"strconv"
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
	quiet    = slog.New(slog.DiscardHandler)
	testHost = netip.MustParseAddrPort("127.0.0.1:10911")
)

// rig is a store with a service on it. It belongs into a synctest bubble.
type rig struct {
	t    testing.TB
	fs   vfs.FS
	jump *atomic.Int64 // ms, what has been done to the wall clock
	st   *store.Store
	svc  *Service
	stop func()

	mu       sync.Mutex
	arrivals map[string][]time.Time // of entries of topic A, by unique key
}

func start(t testing.TB, fsys vfs.FS, change ...func(*store.Config, *Config)) *rig {
	t.Helper()
	r, err := tryStart(t, fsys, new(atomic.Int64), change...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func tryStart(t testing.TB, fsys vfs.FS, jump *atomic.Int64, change ...func(*store.Config, *Config)) (*rig, error) {
	r := &rig{t: t, fs: fsys, jump: jump, arrivals: map[string][]time.Time{}}
	var svc atomic.Pointer[Service]
	sc := store.Config{Dir: "/data", FS: fsys, CommitLogFileSize: 64 << 10, ConsumeQueueFileSize: 2000, IndexSlots: 13, IndexEntries: 4000,
		NowMillis: r.wall, FlushInterval: time.Hour, FlushThoroughInterval: time.Hour, ViewFlushInterval: time.Hour,
		OnArrive: func(q *store.Queue, offset, tags, ts int64, props []byte) {
			if s := svc.Load(); s != nil {
				s.Arrived(q, offset, tags, ts, props)
			}
			if q.Topic() == "A" {
				name, _ := message.Property(props, message.PropertyUniqueKey)
				r.mu.Lock()
				r.arrivals[string(name)] = append(r.arrivals[string(name)], time.Now())
				r.mu.Unlock()
			}
		}}
	c := Config{FS: fsys, Dir: "/data", NowMillis: r.wall, FileSize: 4096, MaxDelay: 30 * 24 * time.Hour, RollWindow: time.Hour}
	for _, f := range change {
		f(&sc, &c)
	}
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
	r.svc.cfg.Logger = quiet
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

func (r *rig) wall() int64 { return time.Now().UnixMilli() + r.jump.Load() }

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

// timed is a record as a producer's, with one property that asks for a time.
func timed(name, property string, value int64, props ...string) *message.Record {
	p := message.AppendProperty(nil, message.PropertyUniqueKey, name)
	p = message.AppendProperty(p, property, strconv.FormatInt(value, 10))
	for i := 0; i < len(props); i += 2 {
		p = message.AppendProperty(p, props[i], props[i+1])
	}
	return &message.Record{Body: []byte(name), Properties: p, BornHost: testHost, StoreHost: testHost, BornTimestamp: 7, Flag: 3}
}

// send stores records for one queue with one append.
func (r *rig) send(topic string, queue int32, recs ...*message.Record) error {
	var b store.Batch
	for _, rec := range recs {
		q, props, ok, err := r.svc.Rewrite(topic, queue, rec.Properties, nil)
		if err != nil {
			return err
		}
		if !ok {
			return fmt.Errorf("does not wait: %q", rec.Properties)
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

func (r *rig) in(name string, ms int64) {
	r.t.Helper()
	r.mustSend("A", 0, timed(name, message.PropertyTimerDelayMillis, ms))
}

func (r *rig) at(name string, ms int64) {
	r.t.Helper()
	r.mustSend("A", 0, timed(name, message.PropertyTimerDeliver, ms))
}

// recall takes the message of that name back, as RECALL_MESSAGE does.
func (r *rig) recall(topic, name string, deliver int64) error {
	rec := timed(name, message.PropertyTimerDeliver, r.svc.floor(deliver)+1, message.PropertyTimerDeleteKey, topic+"+"+name)
	rec.Body = []byte("0")
	return r.send(topic, 0, rec)
}

func (r *rig) records(topic string, queue int32) []message.Record {
	r.t.Helper()
	return brokertest.Records(r.t, r.st, topic, queue)
}

// bodies lists what is in queue 0 of topic A.
func (r *rig) bodies() (list []string) {
	r.t.Helper()
	for _, rec := range r.records("A", 0) {
		list = append(list, string(rec.Body))
	}
	return list
}

func after(d time.Duration) { time.Sleep(d) } // of the bubble's clock

func num(rec *message.Record, name string) int64 {
	v, _ := rec.Property(name)
	n, _ := strconv.ParseInt(string(v), 10, 64)
	return n
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package txn

import (
	"context"
	"log/slog"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/twostage/twostage/internal/broker/brokertest"
	"github.com/twostage/twostage/internal/broker/txn/pending"
	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/message"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	quiet    = slog.New(slog.DiscardHandler)
	testHost = netip.MustParseAddrPort("127.0.0.1:10911")
)

// marks is the consumer offsets. They are on disk at once, and so outlive a
// crash in the hardest way.
type marks struct {
	mu sync.Mutex
	m  map[string]int64

	saved *marks // what is left when the machine dies
	dead  func() bool
}

func newMarks() *marks { return &marks{m: map[string]int64{}} }

func (m *marks) Query(group, topic string, queue int32) (int64, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, ok := m.m[topic+"@"+group]
	return v, ok
}

func (m *marks) Commit(group, topic string, queue int32, offset int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.m[topic+"@"+group] = offset
	if m.saved != nil && !m.dead() {
		m.saved.m[topic+"@"+group] = offset
	}
}

func (m *marks) get() (half, op int64) {
	half, _ = m.Query(message.GroupTransCheck, message.TopicHalf, 0)
	op, _ = m.Query(message.GroupTransCheck, message.TopicOpHalf, 0)
	return half, op
}

// delays makes messages with a delay level wait in level's queue, those with a time
// in the wheel's.
type delays struct{ r *rig }

func (d delays) Rewrite(topic string, queue int32, props, scratch []byte) (*store.Queue, []byte, bool, error) {
	if _, ok := message.Property(props, message.PropertyTimerDelayMillis); ok {
		return d.r.st.Queue(message.TopicTimer, 0), append(scratch, props...), true, nil
	}
	v, ok := message.Property(props, message.PropertyDelay)
	if !ok {
		return nil, scratch, false, nil
	}
	level, err := strconv.Atoi(string(v))
	if err != nil {
		return nil, scratch, false, err
	}
	return d.r.st.Queue(message.TopicSchedule, int32(level-1)), append(scratch, props...), true, nil
}

// rig is a store with a service on it, in a synctest bubble.
type rig struct {
	t     testing.TB
	fs    *vfs.Mem
	marks *marks
	st    *store.Store
	svc   *Service
	stop  func()

	mu        sync.Mutex
	producers map[string][]*producer
	turn      int
	replay    []Replayed
	watched   *watchedLog // between service and store
}

type option func(*store.Config, *Config)

// syncFlush is flushDiskType=SYNC_FLUSH, syncTransactions is what is the default:
// transactionFlushDiskType=SYNC_FLUSH alone.
func syncFlush(sc *store.Config, c *Config)       { sc.SyncFlush, c.Sync = true, true }
func syncTransactions(_ *store.Config, c *Config) { c.Sync = true }

func start(t testing.TB, m *vfs.Mem, offsets *marks, change ...option) *rig {
	t.Helper()
	r, err := tryStart(t, m, offsets, change...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func tryStart(t testing.TB, m *vfs.Mem, offsets *marks, change ...option) (*rig, error) {
	r := &rig{t: t, fs: m, marks: offsets, producers: map[string][]*producer{}}
	return r, r.start(change...)
}

// watched starts a rig whose log is watched and whose lines are kept.
func watched(t testing.TB, change ...option) (*rig, *watchedLog, *syncBuffer) {
	t.Helper()
	lines := new(syncBuffer)
	r := &rig{t: t, fs: vfs.NewMem(), marks: newMarks(), producers: map[string][]*producer{}, watched: new(watchedLog)}
	if err := r.start(append(change, func(_ *store.Config, c *Config) { c.Logger = slog.New(slog.NewTextHandler(lines, nil)) })...); err != nil {
		t.Fatal(err)
	}
	return r, r.watched, lines
}

func (r *rig) start(change ...option) error {
	m, offsets := r.fs, r.marks
	now := func() int64 { return time.Now().UnixMilli() }
	sc := store.Config{Dir: "/data", FS: m, CommitLogFileSize: 64 << 10, ConsumeQueueFileSize: 2000, IndexSlots: 13, IndexEntries: 4000,
		NowMillis: now, FlushInterval: 500 * time.Millisecond, FlushThoroughInterval: time.Second, ViewFlushInterval: 3 * time.Second,
		DelayLevels: []int64{1000, 5000},
		OnReplay: func(rec *message.Record) {
			if p, ok := Outcomes(rec); ok {
				r.replay = append(r.replay, p)
			}
		}}
	c := Config{Offsets: offsets, Delays: delays{r}, Producers: r.pick, Topic: func(string) error { return nil }, FS: m, Dir: "/data", NowMillis: now, Now: time.Now,
		Logger: quiet, Host: testHost, Timeout: 6 * time.Second, Checks: 3, Interval: 10 * time.Second, MaxAge: 72 * time.Hour}
	for _, f := range change {
		f(&sc, &c)
	}
	if err := vfs.MkdirAllSync(m, c.Dir); err != nil {
		return err
	}
	var err error
	if r.st, err = store.Open(sc); err != nil {
		return err
	}
	c.Log = r.st
	if r.watched != nil {
		r.watched.Log = r.st
		c.Log = r.watched
	}
	if r.svc, err = Open(c); err != nil {
		_ = r.st.Close()
		return err
	}
	if err := r.svc.Repair(r.replay); err != nil {
		_ = r.svc.Close()
		_ = r.st.Close()
		return err
	}
	r.st.ReplayDone()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = r.svc.Run(ctx) })
	wg.Go(func() { _ = r.svc.KeepNotes(ctx) })
	r.stop = sync.OnceFunc(func() { // errors: the file system may be dead
		cancel()
		wg.Wait()
		_ = r.svc.Close()
		_ = r.st.Close()
	})
	r.t.Cleanup(r.stop)
	return nil
}

func (r *rig) pick(group string) (Producer, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := r.producers[group]
	if len(list) == 0 {
		return nil, false
	}
	r.turn++
	return list[r.turn%len(list)], true
}

// online brings a producer of the group up.
func (r *rig) online(group string, p *producer) *producer {
	r.mu.Lock()
	r.producers[group] = append(r.producers[group], p)
	r.mu.Unlock()
	r.svc.Online(group)
	return p
}

func (r *rig) offline(group string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.producers, group)
}

// prepared is a transactional message as it comes from a producer.
func prepared(group, key string, props ...string) *message.Record {
	var p []byte
	for _, kv := range append([][2]string{{"TRAN_MSG", "true"}, {"PGROUP", group}, {"UNIQ_KEY", key}, {"WAIT", "true"}}, pairs(props)...) {
		p = message.AppendProperty(p, kv[0], kv[1])
	}
	return &message.Record{Topic: []byte("T"), QueueID: 2, Flag: 3, SysFlag: message.FlagCompressed | message.TransactionPrepared, Body: []byte("body of " + key),
		Properties: p, BornTimestamp: 7, BornHost: netip.MustParseAddrPort("10.1.2.3:4567"), StoreHost: testHost}
}

func pairs(list []string) (out [][2]string) {
	for i := 0; i+1 < len(list); i += 2 {
		out = append(out, [2]string{list[i], list[i+1]})
	}
	return out
}

// tryHalf stores a half message; the answer is as the flush policy says.
func (r *rig) tryHalf(rec *message.Record) (store.Appended, error) {
	var p Pending
	q := r.svc.Prepare(rec, nil, &p)
	var b store.Batch
	if err := b.Add(q, rec); err != nil {
		return store.Appended{}, err
	}
	if err := r.st.Append(&b); err != nil {
		return store.Appended{}, err
	}
	at := b.Result(0)
	r.svc.Stored(at, b.Encoded(0), &p)
	if !r.svc.Sync() {
		return at, nil
	}
	done := make(chan error, 1)
	r.st.WhenFlushed(at.PhysicalOffset+int64(at.Size), func(err error) { done <- err })
	return at, <-done
}

func (r *rig) half(group, key string, props ...string) store.Appended {
	r.t.Helper()
	at, err := r.tryHalf(prepared(group, key, props...))
	if err != nil {
		r.t.Fatal(err)
	}
	return at
}

type answer struct {
	code   int32
	remark string
}

// ask begins a decision; its answer comes on the channel.
func (r *rig) ask(at store.Appended, group string, o Outcome) chan answer {
	ch := make(chan answer, 2) // a second answer would be a defect that the test can see
	r.svc.End(End{Group: group, QueueOffset: at.QueueOffset, Physical: at.PhysicalOffset, Outcome: o}, func(code int32, remark string) { ch <- answer{code, remark} })
	return ch
}

func (r *rig) end(at store.Appended, group string, o Outcome) answer {
	ch := r.ask(at, group, o)
	synctest.Wait()
	select {
	case a := <-ch:
		return a
	default:
		return answer{code: -1, remark: "no answer"}
	}
}

func (r *rig) mustEnd(at store.Appended, group string, o Outcome) {
	r.t.Helper()
	if a := r.end(at, group, o); a.code != wire.Success {
		r.t.Fatalf("%v: answered %+v", o, a)
	}
}

// records are those of a queue.
func (r *rig) records(topic string, queue int32) []message.Record {
	r.t.Helper()
	synctest.Wait()
	return brokertest.Records(r.t, r.st, topic, queue)
}

// keys are the UNIQ_KEYs of a queue's records.
func (r *rig) keys(topic string, queue int32) string {
	r.t.Helper()
	var list []string
	for _, rec := range r.records(topic, queue) {
		list = append(list, property(&rec, message.PropertyUniqueKey))
	}
	return strings.Join(list, " ")
}

func (r *rig) pending() int {
	n := 0
	for _, c := range r.svc.Stats().Pending {
		n += c
	}
	return n
}

// committed and rolledBack count over all topics.
func committed(st Stats) (n int64) {
	for _, f := range st.Finished {
		n += f.Committed
	}
	return n
}

func property(rec *message.Record, name string) string {
	v, _ := rec.Property(name)
	return string(v)
}

func after(d time.Duration) {
	time.Sleep(d) // the bubble's time
	synctest.Wait()
}

// find is the undecided transaction with a UNIQ_KEY.
func (r *rig) find(key string) (found pending.Info) {
	r.svc.mu.Lock()
	defer r.svc.mu.Unlock()
	r.svc.table.Range(0, func(i pending.Info) bool {
		if i.First == i.QueueOffset {
			_ = r.svc.withHalf(i.QueueOffset, i.Physical, func(half *message.Record) error {
				if property(half, message.PropertyUniqueKey) == key {
					found = i
				}
				return nil
			})
		}
		return true
	})
	return found
}

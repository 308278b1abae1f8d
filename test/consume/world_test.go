// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package consume

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/proctest"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/test/rig"
)

const (
	brokerName = "consume"
	queues     = 6 // of a topic
)

// options are those of a world.
type options struct {
	seed     uint64
	groups   []group
	duration time.Duration
	kills    int
	setting  setting
	drain    time.Duration // limit; 0: far more than is needed
	// damage is done to the store of a killed broker, if it is not nil.
	damage func(store string) error
	// fault stands between a client and the broker.
	fault func(who string, c rpc.Caller) rpc.Caller
}

// world is a broker with its producers and consumers.
type world struct {
	t       *testing.T
	cfg     options
	plan    plan
	history *history
	server  *proctest.Server
	address atomic.Value // of the broker: another after each start
	admin   *remoting.Client

	ctx       context.Context // of the consumers
	cancel    context.CancelFunc
	producers sync.WaitGroup
	stored    atomic.Int64       // messages that were acknowledged to them
	members   map[string]*member // by id

	triesMu sync.Mutex
	tried   map[string]int32 // by group and id

	faultMu sync.Mutex
	faults  []string
}

func newWorld(t *testing.T, cfg options) *world {
	t.Helper()
	if cfg.fault == nil {
		cfg.fault = func(_ string, c rpc.Caller) rpc.Caller { return c }
	}
	w := &world{t: t, cfg: cfg, plan: plan{cfg.seed}, history: &history{}, admin: rig.Client(t), members: make(map[string]*member), tried: make(map[string]int32)}
	args := []string{"server", "--log-level", "error", "--data", filepath.Join(t.TempDir(), "data")}
	for _, kv := range []string{"bindAddress=127.0.0.1", "listenPort=0"} {
		args = append(args, "--namesrv-set", kv)
	}
	for _, kv := range slices.Concat(cfg.setting.keys, []string{
		"bindAddress=127.0.0.1", "listenPort=0", "httpListenPort=0", "brokerIP1=127.0.0.1", "brokerName=" + brokerName,
		"flushConsumerOffsetInterval=700",
		"channelExpiredTimeout=" + strconv.FormatInt(expiry.Milliseconds(), 10),
		"messageDelayLevel=" + strings.TrimSpace(strings.Repeat(fmt.Sprintf("%ds ", levelWait/1000), 18)),
		// Small files: a run crosses many of their ends.
		"mappedFileSizeCommitLog=1048576", "mappedFileSizeConsumeQueue=20000", "maxMessageSize=65536",
	}) {
		args = append(args, "--set", kv)
	}
	w.server = proctest.Start(t, args...)
	w.address.Store(w.server.Broker)
	w.ctx, w.cancel = context.WithCancel(context.Background())
	t.Cleanup(w.close)
	ctx := rig.Context(t)
	for _, g := range cfg.groups {
		if err := rpc.CreateTopic(ctx, w.admin, w.addr(), rig.TopicHeader(g.topic, queues)); err != nil {
			t.Fatal(err)
		}
		config := body.NewSubscriptionGroupConfig(g.name)
		config.RetryMaxTimes, config.GroupRetryPolicy = g.maxTimes, g.policy
		config.ConsumeMessageOrderly = g.orderly
		if err := rpc.CreateGroup(ctx, w.admin, w.addr(), &config); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

func (w *world) addr() string { return w.address.Load().(string) }

// tries counts the tries of a message that is always the same record.
func (w *world) tries(group, id string) int32 {
	w.triesMu.Lock()
	defer w.triesMu.Unlock()
	w.tried[group+" "+id]++
	return w.tried[group+" "+id] - 1
}

// fail notes what no consumer should meet. Any goroutine may call it.
func (w *world) fail(format string, args ...any) {
	w.faultMu.Lock()
	defer w.faultMu.Unlock()
	if len(w.faults) < 2*maxTold {
		w.faults = append(w.faults, fmt.Sprintf(format, args...))
	}
}

// close ends what still runs.
func (w *world) close() {
	w.cancel()
	w.producers.Wait()
	for _, m := range w.members {
		m.cancel()
		<-m.ended
	}
}

// kill kills the broker, notes what its files have, and starts it again.
func (w *world) kill() {
	w.t.Helper()
	w.history.add(event{kind: killed})
	if err := w.server.Kill(); err != nil {
		w.t.Fatal(err)
	}
	if s := w.server.Log(); strings.Contains(s, "panic:") {
		w.t.Fatalf("a panic:\n%s", s)
	}
	saved, err := savedOffsets(filepath.Join(w.server.Data, "store", "config"))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, at := range w.places() {
		offset := saved[at.q.topic+"@"+at.group][strconv.Itoa(int(at.q.id))]
		w.history.add(event{kind: kept, group: at.group, q: at.q, offset: offset})
	}
	if w.cfg.damage != nil {
		if err := w.cfg.damage(filepath.Join(w.server.Data, "store")); err != nil {
			w.t.Fatal(err)
		}
	}
	var more []string
	for _, kv := range w.cfg.setting.later {
		more = append(more, "--set", kv)
	}
	w.server.Restart(w.t, more...)
	w.address.Store(w.server.Broker)
	w.history.add(event{kind: restarted})
}

// places are the queues whose offsets say what the groups consumed.
func (w *world) places() (all []place) {
	for _, g := range w.cfg.groups {
		if !g.storesOffsets() {
			continue
		}
		for q := range int32(queues) {
			all = append(all, place{g.name, queue{g.topic, q}})
		}
		if !g.pop {
			all = append(all, place{g.name, queue{g.retryTopics()[0], 0}})
		}
	}
	return all
}

// enter starts a client.
func (w *world) enter(g group, id string) { w.members[id] = w.join(g, id) }

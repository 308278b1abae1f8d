// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package crash

import (
	"context"
	"fmt"
	"hash/crc32"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/proctest"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/test/rig"
)

// smallArgs start a broker whose files are small, so that a round crosses many of
// their ends, and which never minds how full the machine's disk is.
func smallArgs(data, policy string, more ...string) []string {
	args := []string{"server", "--data", data, "--namesrv-set", "listenPort=0"}
	values := map[string]string{}
	for _, kv := range append([]string{
		"listenPort=0", "httpListenPort=0", "brokerIP1=127.0.0.1", "brokerName=broker-crash", "flushDiskType=" + policy,
		"mappedFileSizeCommitLog=1048576", "mappedFileSizeConsumeQueue=4000", "maxHashSlotNum=1000", "maxIndexNum=4000", "maxMessageSize=65536",
		"flushConsumerOffsetInterval=50", "flushIntervalCommitLog=20", "flushIntervalConsumeQueue=20",
		"diskMaxUsedSpaceRatio=100", "diskSpaceCleanForciblyRatio=100", "diskSpaceWarningLevelRatio=100",
	}, more...) {
		k, v, _ := strings.Cut(kv, "=")
		values[k] = v
	}
	for _, k := range slices.Sorted(maps.Keys(values)) {
		args = append(args, "--set", k+"="+values[k])
	}
	return args
}

// diskArgs are for a disk of its own, which fills up.
func diskArgs(dir, policy string, more ...string) []string {
	return smallArgs(filepath.Join(dir, "data"), policy, append([]string{
		"mappedFileSizeCommitLog=2097152", "diskMaxUsedSpaceRatio=75", "diskSpaceCleanForciblyRatio=85", "diskSpaceWarningLevelRatio=90",
		"cleanFileForciblyEnable=false",
	}, more...)...)
}

// flood is senders that go on after a refusal. Each has a queue of its own.
type flood struct {
	*shared
	c           *remoting.Client
	addr, topic string
	prefix      string
	acks        atomic.Int64
	refused     atomic.Int64

	wg   sync.WaitGroup
	stop context.CancelFunc
	logs [queues][]sent

	mu    sync.Mutex
	codes map[int32]int // of the refusals
	last  string        // the text of the last one
}

// newFlood begins to send.
func newFlood(ctx context.Context, c *remoting.Client, clock *shared, addr, topic, prefix string) *flood {
	f := &flood{shared: clock, c: c, addr: addr, topic: topic, prefix: prefix, codes: make(map[int32]int)}
	ctx, f.stop = context.WithCancel(ctx)
	for q := range int32(queues) {
		f.wg.Go(func() { f.run(ctx, q) })
	}
	return f
}

// end stops sending and gives what was sent. It may be called again.
func (f *flood) end() []sent {
	f.stop()
	f.wg.Wait()
	return slices.Concat(f.logs[:]...)
}

func (f *flood) run(ctx context.Context, q int32) {
	rng := rand.New(rand.NewPCG(uint64(q), crcOf(f.prefix)))
	pause := time.NewTicker(2 * time.Millisecond)
	defer pause.Stop()
	for n := 0; ctx.Err() == nil; n++ {
		key := fmt.Sprintf("%s-%d-%07d", f.prefix, q, n)
		body := text(rng, key, n%4 > 0)
		f.logs[q] = append(f.logs[q], sent{key: key, topic: f.topic, queue: q, crc: crc32.ChecksumIEEE(body), begun: f.clock.Add(1)})
		m := &f.logs[q][len(f.logs[q])-1]
		// Not ctx: an answer that nobody waits for may be an acknowledgement.
		answer, err := rpc.Send(context.WithoutCancel(ctx), f.c, f.addr, rig.SendHeader(f.topic, q, key), body)
		switch code, answered := rpc.CodeOf(err); {
		case err == nil && answer.Code == wire.Success:
			m.answered, m.offset = f.clock.Add(1), answer.Header.QueueOffset
			f.acks.Add(1)
			continue
		case err == nil:
			code, err = answer.Code, fmt.Errorf("%s", wire.ResponseName(answer.Code))
			fallthrough
		case answered && code != wire.SystemBusy:
			f.mu.Lock()
			f.codes[code]++
			f.last = err.Error()
			f.mu.Unlock()
			f.refused.Add(1)
		case answered:
			m.busy = true
		default:
			return // the broker is gone
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
		}
	}
}

func crcOf(s string) uint64 { return uint64(crc32.ChecksumIEEE([]byte(s))) }

// refusals gives the codes of the refusals and the text of the last.
func (f *flood) refusals() (map[int32]int, string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.codes, f.last
}

// grows waits until n more messages are acknowledged.
func (f *flood) grows(t *testing.T, what string, n int64) {
	t.Helper()
	from := f.acks.Load()
	rig.Poll(t, what, func() error {
		if now := f.acks.Load() - from; now < n {
			_, last := f.refusals()
			return fmt.Errorf("%d of %d, %d refused, the last with %s", now, n, f.refused.Load(), last)
		}
		return nil
	})
}

// ebbs waits until nothing but refusals comes, and gives the text of the last.
func (f *flood) ebbs(t *testing.T, what string) string {
	t.Helper()
	acks, refused := f.acks.Load(), f.refused.Load()
	rig.Poll(t, what, func() error {
		if now := f.acks.Load(); now != acks {
			acks, refused = now, f.refused.Load()
		}
		if n := f.refused.Load() - refused; n < 10*queues {
			return fmt.Errorf("%d refused after the last of %d that were acknowledged", n, acks)
		}
		return nil
	})
	_, last := f.refusals()
	return last
}

// fullDisk is a broker on a disk that fills up.
type fullDisk struct {
	*shared
	d      *disk
	server *proctest.Server
	c      *remoting.Client
	log    []sent
	floods int
}

const fullTopic = "Full"

func (w *fullDisk) flood(ctx context.Context) *flood {
	w.floods++
	return newFlood(ctx, w.c, w.shared, w.server.Broker, fullTopic, fmt.Sprintf("f%d", w.floods))
}

// verify holds that all acknowledged messages are there, and found by key.
func (w *fullDisk) verify(ctx context.Context, t *testing.T, when string) {
	t.Helper()
	v := &verifier{ctx: ctx, c: w.c, addr: w.server.Broker, name: when}
	v.report(t, "topic", checkTopic(w.log, v.read(t, fullTopic)))
	v.lookUp(t, reading{topic: fullTopic, log: w.log})
	if t.Failed() {
		t.FailNow()
	}
}

// wantCause holds that a refusal and /readyz say what is wrong.
func (w *fullDisk) wantCause(t *testing.T, when, refusal string, cause *regexp.Regexp) {
	t.Helper()
	if !cause.MatchString(refusal) {
		t.Errorf("%s: a refusal does not name the cause (%s): %s", when, cause, refusal)
	}
	if status, said, err := rig.Get(w.server.HTTP, "/readyz"); err != nil || status != 503 || !cause.MatchString(said) {
		t.Errorf("%s: /readyz answers %d %q, want 503 and %s: %v", when, status, said, cause, err)
	}
}

// startFull starts the broker while the disk is full and gives the space back; it
// returns a load that is acknowledged. A start may need space to complete what the
// end before left; then it must say so, and succeed when there is some.
func (w *fullDisk) startFull(ctx context.Context, t *testing.T, when string, args []string) *flood {
	t.Helper()
	said, ready := proctest.TryStart(t, args...)
	t.Logf("%s: started on the full disk: %t", when, ready)
	if !ready {
		if !noSpace.MatchString(said) {
			t.Fatalf("%s: a failed start does not name the cause: %s", when, said)
		}
		if err := w.d.free(); err != nil {
			t.Fatal(err)
		}
	}
	w.server = proctest.Start(t, args...)
	w.verify(ctx, t, when)
	f := w.flood(ctx)
	if ready {
		w.wantCause(t, when, f.ebbs(t, when+": refusals after the start"), diskFull)
		if err := w.d.free(); err != nil {
			t.Fatal(err)
		}
	}
	f.grows(t, when+": sends resume", 300)
	return f
}

var (
	noSpace = regexp.MustCompile(`no space left on device`)
	// After a restart the ratio may be what refuses.
	diskFull = regexp.MustCompile(`no space left on device|disk.*(full|diskSpace)`)
)

// TestFullDisk fills the disk under a load, ends the broker in that state and
// gives the space back.
func TestFullDisk(t *testing.T) {
	for _, policy := range []string{"ASYNC_FLUSH", "SYNC_FLUSH"} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			d, err := newTmpfs(t, 48)
			if err != nil {
				t.Logf("DID NOT RUN: this machine lets nobody mount a small disk:\n%v", err)
				return
			}
			t.Logf("ran on a tmpfs of 48 MiB, mounted %s", d.how)
			runFullDisk(t, d, policy)
		})
	}
}

func runFullDisk(t *testing.T, d *disk, policy string) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*rig.Patience)
	defer cancel()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	// At first nobody looks at the ratio of the disk: space runs out for real.
	w := &fullDisk{shared: &shared{}, d: d, c: rig.Client(t), server: proctest.Start(t, diskArgs(d.path, policy, "cleanResourceInterval=3600000")...)}
	must(rpc.CreateTopic(ctx, w.c, w.server.Broker, rig.TopicHeader(fullTopic, queues)))
	f := w.flood(ctx)
	f.grows(t, "messages are acknowledged", 300)
	_, err := rpc.Pull(ctx, w.c, w.server.Broker, rig.PullHeader(fullTopic, 0, 0)) // the group is known from now on
	must(err)
	must(d.fill())
	last := f.ebbs(t, "the full disk refuses messages")
	w.wantCause(t, "full", last, noSpace)
	codes, _ := f.refusals()
	t.Logf("refusals by code: %v", codes)
	w.log = append(w.log, f.end()...)
	w.verify(ctx, t, "full")

	f = w.flood(ctx)
	f.ebbs(t, "it still refuses")
	must(d.free())
	f.grows(t, "sends resume when space comes back", 300)
	rig.Poll(t, "the broker is ready again", func() error {
		if status, said, err := rig.Get(w.server.HTTP, "/readyz"); err != nil || status != 200 {
			return fmt.Errorf("/readyz answers %d %q: %w", status, said, err)
		}
		return nil
	})

	// Killed, then stopped, while it is full; started while it is still full.
	for i, end := range []func(*proctest.Server) error{(*proctest.Server).Kill, (*proctest.Server).Stop} {
		when := []string{"killed", "stopped"}[i] + " while the disk is full"
		must(d.fill())
		f.ebbs(t, when+": refusals before")
		err := end(w.server)
		if w.log = append(w.log, f.end()...); i == 0 && err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: it ended with %v", when, err)
		f = w.startFull(ctx, t, when, diskArgs(d.path, policy, "cleanResourceInterval=50"))
		if log := w.server.Log(); strings.Contains(log, "panic") {
			t.Fatalf("%s: a panic:\n%s", when, log)
		}
	}
	must(w.server.Kill())
	w.log = append(w.log, f.end()...)
	w.server.Restart(t)
	w.verify(ctx, t, "at last")
	t.Logf("%s: %d messages sent", policy, len(w.log))
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package crash

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/twostage/twostage/internal/proctest"
	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/test/rig"
)

var (
	readOnly = regexp.MustCompile(`read-only file system`)
	// The first call that fails may be told either.
	noWrites = regexp.MustCompile(`read-only file system|input/output error`)

	saysReadOnly = regexp.MustCompile(`(?m)^rocketmq_storage_read_only(\{[^}]*\})? 1$`)
)

// TestReadOnlyDisk takes the right to write away from a running broker, as the
// kernel does when it finds an error in an ext4: its files stay open and can be
// read.
func TestReadOnlyDisk(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(context.Background(), 2*rig.Patience)
	defer cancel()
	d, err := newExt4(t, 48)
	if err == nil {
		t.Logf("ran on an ext4 of 48 MiB in a file, mounted %s", d.how)
		runReadOnly(ctx, t, d)
		return
	}
	t.Logf("this machine lets nobody mount an ext4 in a file: %v", err)
	if d, err = newTmpfs(t, 48); err == nil {
		t.Logf("ran on a tmpfs of 48 MiB, mounted %s, which can be made read-only only while no broker runs", d.how)
		runReadOnlyStart(ctx, t, d)
		return
	}
	t.Logf("DID NOT RUN: nor a tmpfs: %v", err)
}

// runReadOnlyStart holds that a broker does not start on a read-only disk, says
// why, and finds everything when it can.
func runReadOnlyStart(ctx context.Context, t *testing.T, d *disk) {
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	args := diskArgs(d.path, "SYNC_FLUSH")
	w := &fullDisk{shared: &shared{}, d: d, c: rig.Client(t), server: proctest.Start(t, args...)}
	must(rpc.CreateTopic(ctx, w.c, w.server.Broker, rig.TopicHeader(fullTopic, queues)))
	f := w.flood(ctx)
	f.grows(t, "messages are acknowledged", 200)
	must(w.server.Kill())
	w.log = f.end()
	must(d.run("mount -o remount,bind,ro %s", d.point))
	if said, ready := proctest.TryStart(t, args...); ready || !readOnly.MatchString(said) {
		t.Errorf("a start on a read-only disk (ready: %t) says %s", ready, said)
	}
	must(d.run("mount -o remount,bind,rw %s", d.point))
	w.server = proctest.Start(t, args...)
	w.verify(ctx, t, "after remounting")
}

// runReadOnly makes the disk read-only below a running broker, twice.
func runReadOnly(ctx context.Context, t *testing.T, d *disk) {
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	args := diskArgs(d.path, "SYNC_FLUSH")
	w := &fullDisk{shared: &shared{}, d: d, c: rig.Client(t), server: proctest.Start(t, args...)}
	must(rpc.CreateTopic(ctx, w.c, w.server.Broker, rig.TopicHeader(fullTopic, queues)))
	for i, end := range []func(*proctest.Server) error{(*proctest.Server).Kill, (*proctest.Server).Stop} {
		when := []string{"killed", "stopped"}[i] + " on the read-only disk"
		f := w.flood(ctx)
		f.grows(t, "messages are acknowledged", 200)
		_, err := rpc.Pull(ctx, w.c, w.server.Broker, rig.PullHeader(fullTopic, 0, 0)) // the group is known from now on
		must(err)
		// Nothing is on its way meanwhile: for a moment the kernel has made the file
		// system read-only and not yet noted why, and answers a sync with success.
		w.log = append(w.log, f.end()...)
		must(d.fault())
		f = w.flood(ctx)
		w.wantCause(t, "read-only", f.ebbs(t, "sends are refused"), noWrites)
		w.log = append(w.log, f.end()...)
		v := &verifier{ctx: ctx, c: w.c, addr: w.server.Broker, name: "read-only"}
		v.report(t, "topic", checkTopic(w.log, v.read(t, fullTopic))) // reads go on
		f = w.flood(ctx)
		f.ebbs(t, "it still refuses")
		codes, _ := f.refusals()
		if len(codes) != 1 || codes[int32(wire.ServiceNotAvailable)] == 0 {
			t.Errorf("refusals by code: %v, want %d", codes, wire.ServiceNotAvailable)
		}
		w.log = append(w.log, f.end()...)
		w.wantWithdrawn(ctx, t)

		err = end(w.server)
		t.Logf("%s: it ended with %v", when, err)
		if said, ready := proctest.TryStart(t, args...); ready || !readOnly.MatchString(said) {
			t.Errorf("a start on a read-only disk (ready: %t) says %s", ready, said)
		}
		must(d.repair())
		w.server = proctest.Start(t, args...)
		w.verify(ctx, t, when)
	}
	f := w.flood(ctx)
	f.grows(t, "messages are acknowledged", 200)
	w.log = append(w.log, f.end()...)
	w.verify(ctx, t, "at last")
}

// wantWithdrawn holds that name server, log and metrics know that nothing is
// stored any more.
func (w *fullDisk) wantWithdrawn(ctx context.Context, t *testing.T) {
	t.Helper()
	rig.Poll(t, "the route has no write permission", func() error {
		route, err := rpc.Route(ctx, w.c, w.server.Namesrv, fullTopic)
		if err != nil {
			return err
		}
		if len(route.QueueDatas) != 1 || route.QueueDatas[0].Perm != 4 {
			return fmt.Errorf("it has %+v", route.QueueDatas)
		}
		return nil
	})
	if _, text, err := rig.Get(w.server.HTTP, "/metrics"); err != nil || !saysReadOnly.MatchString(text) {
		t.Errorf("/metrics does not have %s: %v", saysReadOnly, err)
	}
	if log := w.server.Log(); !strings.Contains(log, "the store is read-only from now on") || !noWrites.MatchString(log) {
		t.Errorf("the log does not say so:\n%s", log)
	}
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package crash

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/proctest"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/message"
	"github.com/twostage/twostage/test/rig"
)

// slowDisk is the cause that a send is refused for while another one waits for
// the disk.
var slowDisk = regexp.MustCompile(`another send has (been writing \d+ bytes|waited) for \d+ ms.*: the disk is slow`)

// TestStalledDisk has the disk stop for a moment below a running broker.
func TestStalledDisk(t *testing.T) {
	for _, policy := range []string{"ASYNC_FLUSH", "SYNC_FLUSH"} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			d, err := newExt4(t, 48)
			if err != nil {
				t.Logf("DID NOT RUN: this machine lets nobody mount an ext4 in a file: %v", err)
				return
			}
			runStalledDisk(t, d, policy)
		})
	}
}

// stalled is sends to a broker, each over a connection of its own: one that waits
// for the disk holds up those behind it on its connection.
type stalled struct {
	t    *testing.T
	ctx  context.Context
	addr string
}

func (s *stalled) send(c *remoting.Client, text string) error {
	_, err := rpc.Send(s.ctx, c, s.addr, rig.SendHeader(fullTopic, 0, text), []byte(text))
	return err
}

// wantBusy holds that a send was refused for the disk, and after it had waited.
func (s *stalled) wantBusy(text string, err error, took time.Duration) {
	s.t.Helper()
	if code, _ := rpc.CodeOf(err); code != wire.SystemBusy || !slowDisk.MatchString(err.Error()) {
		s.t.Errorf("%s, on a disk that stands still: %v", text, err)
	}
	if took < sendWait || took > rig.Patience/2 {
		s.t.Errorf("%s was refused after %v, want %v", text, took, sendWait)
	}
}

// sendWait is waitTimeMillsInSendQueue by default.
const sendWait = 200 * time.Millisecond

// runStalledDisk holds that sends wait for as long as they may and are then refused
// with the cause, but for the one that is being written; that pulls of what is
// written go on; and that nothing is lost, and nothing stored that was refused, when the disk goes on.
func runStalledDisk(t *testing.T, d *disk, policy string) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*rig.Patience)
	defer cancel()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	server := proctest.Start(t, diskArgs(d.path, policy)...)
	c, s := rig.Client(t), &stalled{t, ctx, server.Broker}
	must(rpc.CreateTopic(ctx, c, s.addr, rig.TopicHeader(fullTopic, 1)))
	var want []string
	for i := range 20 {
		want = append(want, fmt.Sprint("before-", i))
		must(s.send(c, want[i]))
	}
	stored := func() []string {
		t.Helper()
		var all []string
		_, err := rig.Drain(ctx, c, s.addr, fullTopic, 0, 0, func(r *message.Record) error {
			all = append(all, string(r.Body))
			return nil
		})
		must(err)
		return all
	}
	// A queue can't be read while its last entries are being written: after a stop
	// all of them are.
	must(server.Stop())
	server.Restart(t)
	s.addr = server.Broker
	if have := stored(); !slices.Equal(have, want) { // and the group is known from now on
		t.Fatalf("stored are %q", have)
	}

	if err := d.freeze(); err != nil {
		t.Logf("DID NOT RUN: this machine lets nobody freeze a file system: %v", err)
		return
	}
	frozen := true
	thaw := func() error {
		if !frozen {
			return nil
		}
		frozen = false
		return d.thaw()
	}
	t.Cleanup(func() { _ = thaw() }) // before the server is to end
	type result struct {
		text string
		err  error
		took time.Duration
	}
	const senders = 4
	results := make(chan result, senders)
	for i := range senders {
		own, text := rig.Client(t), fmt.Sprint("at once-", i)
		go func() {
			begin := time.Now()
			err := s.send(own, text)
			results <- result{text, err, time.Since(begin)}
		}()
	}
	// All but the one that is being written.
	for range senders - 1 {
		r := <-results
		s.wantBusy(r.text, r.err, r.took)
	}
	for i := range 3 {
		begin := time.Now()
		err := s.send(c, fmt.Sprint("later-", i))
		s.wantBusy(fmt.Sprint("later-", i), err, time.Since(begin))
		if have := stored(); !slices.Equal(have, want) {
			t.Errorf("on a disk that stands still: pulled %q", have)
		}
	}
	select {
	case r := <-results:
		t.Errorf("%s was answered while the disk stood still: %v", r.text, r.err)
		results <- r
	default:
	}
	must(thaw())
	held := <-results
	if held.err != nil {
		t.Errorf("%s, which the disk had held up: %v", held.text, held.err)
	}
	want = append(want, held.text, "after")
	rig.Poll(t, "a send when the disk goes on", func() error { return s.send(c, "after") })
	rig.Poll(t, "what is stored", func() error {
		if have := stored(); !slices.Equal(have, want) {
			return fmt.Errorf("it is %q, want %q", have, want)
		}
		return nil
	})
}

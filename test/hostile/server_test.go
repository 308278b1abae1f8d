// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package hostile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/proctest"
	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/test/rig"
)

const (
	topic  = "Target"
	queues = 4
	mib    = 1 << 20
)

// target is the server under attack, with a client that goes on sending.
type target struct {
	*proctest.Server
	rss        int64 // before the attacks, in bytes
	goroutines float64
	open       int // sockets

	sent   atomic.Int64 // messages of the bystander that were answered
	cancel context.CancelFunc
	done   chan struct{}
	err    error // of the bystander, once done is closed
}

// newTarget starts a server, takes its measures and sets the bystander off.
func newTarget(t *testing.T) *target {
	s := proctest.Start(t, "server", "--data", t.TempDir(), "--namesrv-set", "listenPort=0", "--set", "listenPort=0",
		"--set", "httpListenPort=0", "--set", "brokerIP1=127.0.0.1", "--set", "mappedFileSizeCommitLog=16777216", "--set", "maxHashSlotNum=10000", "--set", "maxIndexNum=40000")
	tg := &target{Server: s, done: make(chan struct{})}
	c := rig.Client(t)
	if err := rpc.CreateTopic(rig.Context(t), c, s.Broker, rig.TopicHeader(topic, queues)); err != nil {
		t.Fatal(err)
	}
	for q := range int32(queues) { // something to pull: 32 messages of 4 KiB each
		for i := range 32 {
			if _, err := rpc.Send(rig.Context(t), c, s.Broker, rig.SendHeader(topic, q, fmt.Sprintf("first-%d-%d", q, i)), make([]byte, 4096)); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = c.Close()
	tg.measure(t)
	ctx, cancel := context.WithCancel(context.Background())
	tg.cancel = cancel
	go func() {
		defer close(tg.done)
		tg.err = tg.bystander(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-tg.done
	})
	return tg
}

// measure takes the numbers that must come back, once the connections of the
// preparation are gone.
func (tg *target) measure(t *testing.T) {
	t.Helper()
	last, same := math.NaN(), 0
	rig.Poll(t, "the number of goroutines stands still", func() error {
		n, err := rig.Metric(tg.HTTP, "go_goroutines")
		if err != nil {
			return err
		}
		if n != last {
			last, same = n, 0
		}
		if same++; same < 20 {
			return fmt.Errorf("%v goroutines, %d times", n, same)
		}
		return nil
	})
	tg.open = tg.sockets(t)
	tg.goroutines = last
	tg.rss = rig.RSS(t, tg.PID())
	t.Logf("before: %v goroutines, %d sockets, %d KiB resident", tg.goroutines, tg.open, tg.rss>>10)
}

// sockets counts those the server has open.
func (tg *target) sockets(t *testing.T) int {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd", tg.PID())
	names, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, name := range names {
		if to, err := os.Readlink(dir + "/" + name.Name()); err == nil && strings.HasPrefix(to, "socket:") {
			n++
		}
	}
	return n
}

// bystander sends one message after the other until ctx ends. Each must be
// answered.
func (tg *target) bystander(ctx context.Context) error {
	c := newClient()
	defer c.Close()
	for i := int64(0); ; i++ {
		call, cancel := context.WithTimeout(ctx, rig.Patience)
		_, err := rpc.Send(call, c, tg.Broker, rig.SendHeader(topic, int32(i%queues), fmt.Sprintf("by-%d", i)), []byte("still here"))
		cancel()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("message %d of the bystander: %w", i, err)
		}
		tg.sent.Add(1)
	}
}

// others waits until the bystander has got 50 more answers.
func (tg *target) others(t *testing.T) {
	t.Helper()
	from := tg.sent.Load()
	rig.Poll(t, "another client's messages are answered", func() error {
		select {
		case <-tg.done:
			t.Fatalf("another client: %v\n", tg.err)
		default:
		}
		if n := tg.sent.Load() - from; n < 50 {
			return fmt.Errorf("%d", n)
		}
		return nil
	})
}

// watch samples the server's resident memory during an attack. The function it
// returns ends that and holds that it grew by less than bound bytes.
func (tg *target) watch(t *testing.T, bound int64) func() {
	t.Helper()
	var wg sync.WaitGroup
	end := make(chan struct{})
	before := rig.RSS(t, tg.PID())
	peak := before
	wg.Go(func() {
		again := time.NewTicker(10 * time.Millisecond)
		defer again.Stop()
		for {
			if n, err := rig.ReadRSS(tg.PID()); err == nil {
				peak = max(peak, n)
			}
			select {
			case <-end:
				return
			case <-again.C:
			}
		}
	})
	return func() {
		t.Helper()
		close(end)
		wg.Wait()
		t.Logf("resident memory: %d KiB before, %d KiB at most", before>>10, peak>>10)
		if peak-before > bound {
			t.Errorf("resident memory grew by %d KiB, at most %d were to be", (peak-before)>>10, bound>>10)
		}
	}
}

// dial opens a raw connection, which is closed when the test ends.
func (tg *target) dial(t *testing.T) *net.TCPConn {
	t.Helper()
	conn, err := net.DialTimeout("tcp", tg.Broker, rig.Patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn.(*net.TCPConn)
}

// write writes and takes no offence when the server has closed the connection.
func write(conn net.Conn, b []byte) {
	_ = conn.SetWriteDeadline(time.Now().Add(rig.Patience))
	_, _ = conn.Write(b)
}

// wantClosed holds that the server closes the connection; what it says before
// is not looked at.
func wantClosed(t *testing.T, what string, conn net.Conn) {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(rig.Patience)); err != nil {
		t.Fatal(err)
	}
	_, err := io.Copy(io.Discard, conn)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%s: the connection is still open after %v", what, rig.Patience)
	}
}

// wantHealthy holds that everything is as before the attacks.
func (tg *target) wantHealthy(t *testing.T) {
	t.Helper()
	tg.others(t)
	tg.cancel()
	<-tg.done
	if tg.err != nil {
		t.Errorf("another client: %v", tg.err)
	}
	rig.Poll(t, "goroutines and sockets are as many as before", func() error {
		n, err := rig.Metric(tg.HTTP, "go_goroutines")
		if err != nil {
			return err
		}
		// A few are of the moment: a flush, the connection that asks.
		if open := tg.sockets(t); n > tg.goroutines+4 || open > tg.open+2 {
			return fmt.Errorf("%v goroutines (%v before), %d sockets (%d before)", n, tg.goroutines, open, tg.open)
		}
		return nil
	})
	if status, text, err := rig.Get(tg.HTTP, "/readyz"); err != nil || status != 200 {
		t.Errorf("/readyz: %d %s, %v", status, text, err)
	}
	if log := tg.Log(); strings.Contains(log, "panic") {
		t.Errorf("the server's log has a panic")
	}
	c := rig.Client(t)
	if _, err := rpc.Send(rig.Context(t), c, tg.Broker, rig.SendHeader(topic, 0, "last"), []byte("x")); err != nil {
		t.Errorf("sending after the attacks: %v", err)
	}
	t.Logf("after: %d KiB resident, %d messages of the bystander", rig.RSS(t, tg.PID())>>10, tg.sent.Load())
}

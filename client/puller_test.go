// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

func newTestPuller(t *testing.T, w *world) *Puller {
	t.Helper()
	p, err := NewPuller(w.with()...)
	if err != nil {
		t.Fatal(err)
	}
	closing(t, p)
	return p
}

// fill stores messages with bodies name-0, name-1, ..., a second apart.
func (b *broker) fill(queue int32, name string, from, n int) {
	for i := from; i < from+n; i++ {
		b.put(queue, &message.Record{Topic: []byte("T"), Body: fmt.Appendf(nil, "%s-%d", name, i), StoreTimestamp: int64(i) * 1000})
	}
}

func TestPull(t *testing.T) {
	w := newWorld(t)
	a := w.broker("a", 10001, nil)
	w.topic("T", 1, a)
	a.min = 5
	a.fill(0, "m", 0, 10)
	p := newTestPuller(t, w)
	q := Queue{"T", "a", 0}
	if all, err := p.Queues(t.Context(), "T"); err != nil || !slices.Equal(all, []Queue{q}) {
		t.Fatalf("%v, %v", all, err)
	}
	low, err1 := p.Min(t.Context(), q)
	top, err2 := p.Max(t.Context(), q)
	if low != 5 || top != 15 || err1 != nil || err2 != nil {
		t.Errorf("offsets %d to %d, %v, %v", low, top, err1, err2)
	}
	got, err := p.Pull(t.Context(), q, 6, 3, false)
	if err != nil || len(got.Messages) != 3 || got.Next != 9 || got.Min != 5 || got.Max != 15 || got.Moved {
		t.Fatalf("%+v, %v", got, err)
	}
	if m := got.Messages[0]; string(m.Body) != "m-1" || m.QueueOffset != 6 || m.BrokerName != "a" {
		t.Errorf("%+v", m)
	}
	if got, err := p.Pull(t.Context(), q, 0, 3, false); err != nil || !got.Moved || got.Next != 5 || len(got.Messages) != 0 {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := p.Pull(t.Context(), q, 15, 3, true); err != nil || got.Moved || got.Next != 15 || len(got.Messages) != 0 {
		t.Errorf("%+v, %v", got, err)
	}
	pulls := a.got(wire.ReqPullMessage)
	var now, held header.PullRequest
	if err := errors.Join(now.DecodeExt(pulls[0].Ext), held.DecodeExt(pulls[2].Ext)); err != nil {
		t.Fatal(err)
	}
	if string(now.ConsumerGroup) != message.GroupTools || string(now.Subscription) != "*" || now.SysFlag != header.PullSubscription || now.SuspendTimeoutMillis != 0 {
		t.Errorf("%+v", now)
	}
	if held.SysFlag != header.PullSubscription|header.PullSuspend || held.SuspendTimeoutMillis != 15000 {
		t.Errorf("%+v", held)
	}
	if _, err := p.Pull(t.Context(), Queue{"T", "b", 0}, 0, 1, false); !errors.Is(err, ErrNotReadable) {
		t.Errorf("%v", err)
	}
	if _, err := p.Pull(t.Context(), q, 0, 0, false); err == nil {
		t.Error("a pull of no messages")
	}
	if _, err := p.Queues(t.Context(), "U"); !errors.Is(err, ErrNoRoute) {
		t.Errorf("%v", err)
	}
}

// A held pull waits longer than other requests, and ends with Close.
func TestHeldPull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		tickets := make(chan remoting.Ticket, 2)
		a := w.broker("a", 10001, func(r *remoting.Request) bool {
			if r.Code == wire.ReqPullMessage {
				tickets <- r.Ticket()
			}
			return r.Code == wire.ReqPullMessage
		})
		w.topic("T", 1, a)
		p := newTestPuller(t, w)
		ended := make(chan error)
		pull := func() {
			_, err := p.Pull(t.Context(), Queue{"T", "a", 0}, 0, 1, true)
			ended <- err
		}
		go pull()
		ticket := <-tickets
		time.Sleep(14 * time.Second)
		ticket.Reply(&wire.Response{Code: wire.PullNotFound, Header: &header.PullResponse{}})
		if err := <-ended; err != nil {
			t.Error(err)
		}
		go pull()
		ticket = <-tickets
		go func() { ended <- p.Close() }()
		if err1, err2 := <-ended, <-ended; !errors.Is(errors.Join(err1, err2), ErrClosed) {
			t.Errorf("%v, %v", err1, err2)
		}
		ticket.Discard()
		a.stop()
	})
}

func TestDecompress(t *testing.T) {
	text := bytes.Repeat([]byte("decompress me "), 1000)
	var l bytes.Buffer
	lw := lz4.NewWriter(&l)
	if _, err := lw.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := lw.Close(); err != nil {
		t.Fatal(err)
	}
	z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	zlib, err := message.Deflate(text, 5)
	if err != nil {
		t.Fatal(err)
	}
	for kind, small := range map[message.CompressionType][]byte{
		message.CompressionLZ4: l.Bytes(), message.CompressionZstd: z.EncodeAll(text, nil), message.CompressionZlib: zlib, message.CompressionOldZlib: zlib,
	} {
		t.Run(kind.String(), func(t *testing.T) {
			fresh := func(body []byte) *message.Received {
				return &message.Received{Message: message.Message{Body: body}, SysFlag: message.FlagCompressed | message.SysFlag(kind)<<8 | message.TransactionCommit}
			}
			m := fresh(small)
			if err := Decompress(m, len(text)); err != nil || !bytes.Equal(m.Body, text) || m.SysFlag != message.TransactionCommit {
				t.Errorf("%v, %d bytes, flag %#x", err, len(m.Body), m.SysFlag)
			}
			if err := Decompress(m, 1); err != nil {
				t.Errorf("a body that is not compressed: %v", err)
			}
			m = fresh(small)
			if err := Decompress(m, len(text)-1); !errors.Is(err, message.ErrTooLarge) || !bytes.Equal(m.Body, small) {
				t.Errorf("over the limit: %v", err)
			}
			for _, bad := range [][]byte{nil, []byte("nonsense"), small[:len(small)/2]} {
				if err := Decompress(fresh(bad), len(text)); !errors.Is(err, message.ErrCompression) && !errors.Is(err, message.ErrTooLarge) {
					t.Errorf("damaged body of %d bytes: %v", len(bad), err)
				}
			}
		})
	}
}

func tailed(t *testing.T, p *Puller, o TailOptions) string {
	t.Helper()
	var all []string
	err := p.Tail(t.Context(), "T", o, func(m *message.Received) error {
		all = append(all, string(m.Body))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(all, " ")
}

func TestTailOfWhatIsThere(t *testing.T) {
	w := newWorld(t)
	a, b := w.broker("a", 10001, nil), w.broker("b", 10002, nil)
	w.topic("T", 2, a, b)
	a.fill(0, "a0", 0, 3)
	a.fill(1, "a1", 2, 1)
	b.min = 100
	b.fill(0, "b0", 1, 3)
	p := newTestPuller(t, w)
	if got, want := tailed(t, p, TailOptions{FromStart: true}), "a0-0 a0-1 b0-1 a0-2 a1-2 b0-2 b0-3"; got != want {
		t.Errorf("from the start: %s, want %s", got, want)
	}
	if got, want := tailed(t, p, TailOptions{Last: 3}), "a1-2 b0-2 b0-3"; got != want {
		t.Errorf("last: %s, want %s", got, want)
	}
	if got := tailed(t, p, TailOptions{}); got != "" {
		t.Errorf("nothing asked for: %s", got)
	}
	a.fill(1, "long", 10, 300)
	if got := strings.Count(tailed(t, p, TailOptions{FromStart: true}), "long-"); got != 300 {
		t.Errorf("%d of 300", got)
	}
	stop := errors.New("stop")
	if err := p.Tail(t.Context(), "T", TailOptions{FromStart: true}, func(*message.Received) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("%v", err)
	}
}

// A broker may give an offset before the time, as those of 4.9 do.
func TestTailSince(t *testing.T) {
	w := newWorld(t)
	search := func(r *remoting.Request) bool {
		if r.Code == wire.ReqSearchOffsetByTimestamp {
			r.Reply(&wire.Response{Header: &header.OffsetResponse{Offset: 1}})
			return true
		}
		return false
	}
	a := w.broker("a", 10001, search)
	w.topic("T", 1, a)
	a.fill(0, "a", 0, 5)
	if got := tailed(t, newTestPuller(t, w), TailOptions{Since: time.UnixMilli(2000)}); got != "a-2 a-3 a-4" {
		t.Errorf("%s", got)
	}
	if n := len(a.got(wire.ReqPullMessage)); n != 1 {
		t.Errorf("%d pulls", n)
	}
}

func TestTailFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		hold := func(r *remoting.Request) bool { // as long polling does, for a second
			var h header.PullRequest
			if r.Code != wire.ReqPullMessage || h.DecodeExt(r.Ext) != nil || h.SysFlag&header.PullSuspend == 0 {
				return false
			}
			time.Sleep(time.Second)
			return false
		}
		a := w.broker("a", 10001, hold)
		w.topic("T", 1, a)
		a.fill(0, "a", 0, 2)
		p := newTestPuller(t, w)
		ctx, cancel := context.WithCancel(t.Context())
		seen := make(chan string, 100)
		ended := make(chan error)
		go func() {
			ended <- p.Tail(ctx, "T", TailOptions{Last: 1, Follow: true}, func(m *message.Received) error {
				if string(m.Body) == "last" {
					return errors.New("seen the last")
				}
				seen <- string(m.Body)
				return nil
			})
		}()
		expect := func(want string) {
			t.Helper()
			select {
			case got := <-seen:
				if got != want {
					t.Errorf("saw %s, want %s", got, want)
				}
			case <-time.After(time.Minute):
				t.Errorf("never saw %s", want)
			}
		}
		expect("a-1")
		a.fill(0, "a", 2, 2)
		expect("a-2")
		expect("a-3")
		a.stop() // a failure is gone through
		time.Sleep(10 * time.Second)
		a.fill(0, "a", 4, 1)
		a.start()
		expect("a-4")
		b := w.broker("b", 10002, hold)
		b.min = 7
		b.fill(0, "b", 0, 1)
		w.topic("T", 1, a, b)
		expect("b-0")
		a.put(0, &message.Record{Topic: []byte("T"), Body: []byte("last")})
		if err := <-ended; err == nil || err.Error() != "seen the last" {
			t.Errorf("%v", err)
		}
		go func() {
			ended <- p.Tail(ctx, "T", TailOptions{Follow: true}, func(*message.Received) error { return nil })
		}()
		time.Sleep(time.Minute)
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		a.stop()
		b.stop()
	})
}

// A broker that answers at once though there is nothing is not asked all the time.
func TestTailOfBrokerThatDoesNotHold(t *testing.T) {
	w := newWorld(t)
	a := w.broker("a", 10001, nil)
	w.topic("T", 1, a)
	p := newTestPuller(t, w)
	ctx, cancel := context.WithTimeout(t.Context(), 250*time.Millisecond)
	defer cancel()
	if err := p.Tail(ctx, "T", TailOptions{Follow: true}, func(*message.Received) error { return nil }); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	if n := len(a.got(wire.ReqPullMessage)); n > 10 {
		t.Errorf("%d pulls in a quarter of a second", n)
	}
}

// Close ends calls under way with an error that says so.
func TestPullerClosedUnderCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a := w.broker("a", 10001, mute(wire.ReqGetMinOffset))
		w.topic("T", 1, a)
		p, err := NewPuller(w.with()...)
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error)
		time.AfterFunc(time.Second, func() { ended <- p.Close() })
		if _, err := p.Min(t.Context(), Queue{"T", "a", 0}); !errors.Is(err, ErrClosed) || Retriable(err) {
			t.Errorf("%v", err)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
		a.stop()
	})
}

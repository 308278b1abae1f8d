// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/twostage/twostage/message"
)

// gather has the callbacks of n messages wait until proceed is called: all of them
// are answered by then. callback is given the number of its message.
func gather(t *testing.T, p *Producer, n int, callback func(i int, err error)) (proceed func()) {
	t.Helper()
	begun, held := make(chan bool), make(chan bool)
	p.SendAsync(t.Context(), message.New("T", []byte("the first")), func(*SendResult, error) {
		begun <- true
		<-held
	})
	<-begun
	for i := range n {
		p.SendAsync(t.Context(), message.New("T", fmt.Append(nil, i)), func(_ *SendResult, err error) { callback(i, err) })
	}
	answered(p)
	return func() { close(held) }
}

// answered waits until nothing is under way: there is room for all then.
func answered(p *Producer) {
	for range cap(p.underWay.room) {
		p.underWay.room <- struct{}{}
	}
	for range cap(p.underWay.room) {
		<-p.underWay.room
	}
}

// A callback that ends its goroutine, as t.FailNow does, takes no other with it.
func TestCallbackThatExits(t *testing.T) {
	w := newWorld(t)
	w.topic("T", 1, w.broker("a", 10001, nil))
	p := newTestProducer(t, w)
	var all sync.WaitGroup
	var got []int
	all.Add(10)
	callback := func(i int, err error) {
		defer all.Done()
		if err != nil {
			t.Error(err)
		}
		if got = append(got, i); i%3 == 0 {
			runtime.Goexit()
		}
	}
	proceed := gather(t, p, 10, callback)
	proceed()
	all.Wait()
	if slices.Sort(got); len(slices.Compact(got)) != 10 {
		t.Errorf("told of %v", got)
	}
	all.Add(1)
	p.SendAsync(t.Context(), message.New("T", []byte("x")), func(_ *SendResult, err error) { callback(11, err) })
	all.Wait()
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	told := false
	p.SendAsync(t.Context(), message.New("T", []byte("x")), func(*SendResult, error) { told = true })
	if !told {
		t.Error("not told after Close")
	}
}

// Callbacks come one after the other while the producer closes and when it is closed,
// also those of what callbacks send.
func TestCallbacksDoNotOverlapAtClose(t *testing.T) {
	w := newWorld(t)
	w.topic("T", 1, w.broker("a", 10001, nil))
	p := newTestProducer(t, w)
	var mu sync.Mutex
	told := 0
	var refused func(left int) func(*SendResult, error)
	refused = func(left int) func(*SendResult, error) {
		return func(_ *SendResult, err error) {
			if !mu.TryLock() {
				t.Error("two callbacks at a time")
				return
			}
			defer mu.Unlock()
			if told++; !errors.Is(err, ErrClosed) {
				t.Error(err)
			}
			if left > 0 {
				p.SendAsync(t.Context(), message.New("T", []byte("again")), refused(left-1))
			}
		}
	}
	mu.Lock()
	proceed := gather(t, p, 1, func(_ int, err error) {
		if err != nil {
			t.Error(err)
		}
		mu.Unlock()
	})
	closed := make(chan error)
	go func() { closed <- p.Close() }()
	<-p.underWay.left
	p.SendAsync(t.Context(), message.New("T", []byte("while it closes")), refused(10))
	proceed()
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if told != 11 {
		t.Errorf("%d of 11 callbacks before Close returned", told)
	}
	told = 0
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 100 {
				p.SendAsync(t.Context(), message.New("T", []byte("after it has closed")), refused(2))
			}
		})
	}
	all.Wait()
	p.underWay.wait()
	if told != 8*100*3 {
		t.Errorf("%d of %d callbacks", told, 8*100*3)
	}
}

// Who sends waits while too many callbacks have not run, as long as ctx says and the
// producer is open; not so a callback.
func TestSendAsyncWaitsForCallbacks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.topic("T", 1, w.broker("a", 10001, nil))
		p := newTestProducer(t, w)
		const most = 100
		p.underWay.most = most
		m := message.New("T", []byte("x"))
		told := 0
		done := func(_ *SendResult, err error) {
			if told++; err != nil {
				t.Error(err)
			}
		}
		begun, held := make(chan bool), make(chan bool)
		p.SendAsync(t.Context(), m, func(r *SendResult, err error) {
			done(r, err)
			begun <- true
			<-held
			func() { // a callback's own calls are as good
				p.SendAsync(t.Context(), m, func(r *SendResult, err error) {
					done(r, err)
					p.SendAsync(t.Context(), m, done)
				})
			}()
		})
		<-begun
		for range most - 1 {
			p.SendAsync(t.Context(), m, done)
		}
		answered(p)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		refused := make(chan error, 1)
		p.SendAsync(ctx, m, func(_ *SendResult, err error) { told++; refused <- err })
		entered := false
		go func() {
			p.SendAsync(t.Context(), m, done)
			entered = true
		}()
		if synctest.Wait(); entered {
			t.Error("one more was sent")
		}
		close(held)
		if err := <-refused; !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "callbacks") {
			t.Errorf("one more: %v", err)
		}
		if synctest.Wait(); !entered || told != most+4 {
			t.Errorf("entered: %v, %d callbacks of %d", entered, told, most+4)
		}
	})
}

// A sender that waits for callbacks is told when the producer closes.
func TestSendAsyncWaitsForCallbacksUntilClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.topic("T", 1, w.broker("a", 10001, nil))
		p := newTestProducer(t, w)
		p.underWay.most = 100
		proceed := gather(t, p, p.underWay.most-1, func(int, error) {})
		told := make(chan error, 1)
		sent := false
		go func() {
			p.SendAsync(t.Context(), message.New("T", []byte("x")), func(_ *SendResult, err error) { told <- err })
			sent = true
		}()
		if synctest.Wait(); sent {
			t.Error("one more was sent")
		}
		closed := make(chan error, 1)
		go func() { closed <- p.Close() }()
		if synctest.Wait(); !sent {
			t.Error("it waits on")
		}
		proceed()
		if err := <-closed; err != nil {
			t.Error(err)
		}
		if err := <-told; !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	})
}

// What waits for its callback holds no body.
func TestCallbacksThatWaitHoldNoBodies(t *testing.T) {
	w := newWorld(t)
	w.topic("T", 1, w.broker("a", 10001, nil))
	p := newTestProducer(t, w)
	const n = 100
	freed := make(chan bool, n)
	begun, held := make(chan bool), make(chan bool)
	p.SendAsync(t.Context(), message.New("T", []byte("the first")), func(*SendResult, error) {
		begun <- true
		<-held
	})
	<-begun
	for range n {
		body := make([]byte, 2048)
		runtime.AddCleanup(&body[0], func(free chan bool) { free <- true }, freed)
		p.SendAsync(t.Context(), message.New("T", body), nil)
	}
	answered(p)
	for range 50 {
		if runtime.GC(); len(freed) >= n-1 { // the last one may still be on a stack
			break
		}
		runtime.Gosched()
	}
	if len(freed) < n-1 {
		t.Errorf("%d of %d bodies are held while callbacks wait", n-len(freed), n)
	}
	close(held)
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package crash

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire/fastjson"
)

const offsetGroups = 3

// offsetKey is a group and a queue of the offsets' topic.
type offsetKey struct {
	group string
	queue int32
}

// offsets commits ever higher consumer offsets and watches the file they are
// kept in.
type offsets struct {
	topic string
	file  string // consumerOffset.json

	wg sync.WaitGroup

	mu             sync.Mutex
	sent, answered map[offsetKey]int64
	saved          map[offsetKey]int64 // the highest that the file was seen to have
}

func newOffsets(data, topic string) *offsets {
	return &offsets{
		topic: topic, file: filepath.Join(data, "store", "config", "consumerOffset.json"),
		sent: make(map[offsetKey]int64), answered: make(map[offsetKey]int64), saved: make(map[offsetKey]int64),
	}
}

func (o *offsets) keys() []offsetKey {
	var all []offsetKey
	for g := range offsetGroups {
		for q := range int32(queues) {
			all = append(all, offsetKey{fmt.Sprintf("offsets_%d", g), q})
		}
	}
	return all
}

// start commits until a call fails, and watches the file until stop, which
// waits for both.
func (o *offsets) start(ctx context.Context, client *remoting.Client, addr string, round *shared) (stop func()) {
	o.wg.Go(func() { round.call("consumer offsets", o.run(ctx, client, addr)) })
	end := make(chan struct{})
	o.wg.Go(func() { o.watch(end) })
	return sync.OnceFunc(func() {
		close(end)
		o.wg.Wait()
	})
}

func (o *offsets) run(ctx context.Context, client *remoting.Client, addr string) error {
	for {
		for _, k := range o.keys() {
			o.mu.Lock()
			o.sent[k]++
			next := o.sent[k]
			o.mu.Unlock()
			if err := rpc.UpdateOffset(ctx, client, addr, k.group, o.topic, k.queue, next); err != nil {
				return err
			}
			o.mu.Lock()
			o.answered[k] = next
			o.mu.Unlock()
		}
	}
}

// watch reads the file again and again.
func (o *offsets) watch(end <-chan struct{}) {
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		select {
		case <-end:
			return
		case <-again.C:
		}
		text, err := os.ReadFile(o.file)
		if err != nil {
			continue // not there yet, or being replaced
		}
		var f struct {
			OffsetTable map[string]map[string]int64 `json:"offsetTable"`
		}
		if fastjson.Unmarshal(text, &f) != nil {
			continue
		}
		o.mu.Lock()
		for _, k := range o.keys() {
			o.saved[k] = max(o.saved[k], f.OffsetTable[o.topic+"@"+k.group][strconv.Itoa(int(k.queue))])
		}
		o.mu.Unlock()
	}
}

// progress is how many offsets the file was seen to have beyond from.
func (o *offsets) progress(from map[offsetKey]int64) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := 0
	for k, v := range o.saved {
		if v > from[k] {
			n++
		}
	}
	return n
}

// known gives a copy of what the file was seen to have.
func (o *offsets) known() map[offsetKey]int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return maps.Clone(o.saved)
}

// check compares what the broker has after a start. clean says that it was
// stopped, not killed.
func (o *offsets) check(now map[offsetKey]int64, clean bool) []string {
	var p problems
	for k, is := range now {
		least, what := o.saved[k], "the file had"
		if clean {
			least, what = max(least, o.answered[k]), "the broker answered"
		}
		if is < least {
			p.add("lost: %s queue %d is at %d, and %s %d", k.group, k.queue, is, what, least)
		}
		if is > o.sent[k] {
			p.add("unknown: %s queue %d is at %d, and at most %d was committed", k.group, k.queue, is, o.sent[k])
		}
	}
	return p.all()
}

// read asks the broker for all offsets; one that it does not have is 0.
func (o *offsets) read(ctx context.Context, c rpc.Caller, addr string) (map[offsetKey]int64, error) {
	now := make(map[offsetKey]int64)
	for _, k := range o.keys() {
		n, err := rpc.QueryOffset(ctx, c, addr, k.group, o.topic, k.queue)
		if code, answered := rpc.CodeOf(err); answered && rpc.Code(code) == rpc.QueryNotFound {
			err = nil
		}
		if err != nil {
			return nil, err
		}
		now[k] = n
	}
	return now, nil
}

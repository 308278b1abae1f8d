// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
)

// ClientsGroupPrefix begins the names of the groups of a [ClientsLoad].
const ClientsGroupPrefix = "twostage_bench_clients_"

// ClientsLoad has a broker serve many clients, and measures what an ordinary
// producer notices of them. That producer is the Load, with a Rate above 0: it
// sends for Duration without them, and again with them. The Load has three Topics:
// the producer's, the one that the groups pull, and one to which nothing is sent.
type ClientsLoad struct {
	Load
	Links     int           // connections that the clients share
	Consumers int           // members of the groups, which send heartbeats
	Beat      time.Duration // between two heartbeats of a consumer
	Groups    int           // consumer groups, each of which pulls all queues of the second topic; at most one for each consumer
	HotRate   float64       // messages a second sent to the second topic, each of which all groups get; 0: none
	Polls     int           // pulls that are held at the third topic
	Hold      time.Duration // for how long a pull asks to be held
	Stalled   int           // connections that ask for messages of the first topic and read no answer
	Scans     int           // admins that read all topics and groups, over and over
}

// ClientsResult is what a ClientsLoad measured.
type ClientsResult struct {
	Alone, Loaded *Result                 // of the producer, without and with the clients; CPU times are those of all there was
	Registering   time.Duration           // until the broker had answered the first heartbeat of each consumer
	Heartbeats    *hdrhistogram.Histogram // in nanoseconds, from when one was due to its answer, beside Loaded
	Delivered     *hdrhistogram.Histogram // likewise, from when a message of the second topic was due to its arrival at a group
	Sent          int64                   // messages of the second topic, all told
	Received      int64                   // of these by groups, all told: Sent times Groups
	Unheld        int64                   // pulls of the third topic that were answered before half of Hold was over
	Scanned       int64                   // scans that ended beside Loaded
	// Memory is what the broker has resident, in bytes, before and at the end of
	// Alone, and at the end of Loaded; 0: not measured.
	Memory [3]int64
}

// Err says what the broker did that it must not do, nil when there is nothing.
func (r *ClientsResult) Err(groups int) error {
	var errs []error
	if want := r.Sent * int64(groups); r.Received != want {
		errs = append(errs, fmt.Errorf("%d groups received %d messages of %d", groups, r.Received, want))
	}
	if r.Unheld > 0 {
		errs = append(errs, fmt.Errorf("%d pulls were answered without a message, and not held", r.Unheld))
	}
	return errors.Join(errs...)
}

func (l *ClientsLoad) check() error {
	switch {
	case len(l.Targets) != 1 || l.Targets[0].Queues < 1 || l.Topics != 3 || l.Rate <= 0:
		return errors.New("bench: clients need one broker, three topics with queues, and a producer with a rate above 0")
	case l.Links < 1 || l.Consumers < 0 || l.Groups < 0 || l.Polls < 0 || l.Stalled < 0 || l.Scans < 0 || l.HotRate < 0:
		return errors.New("bench: clients need a connection at least, and no number may be negative")
	case l.Groups > l.Consumers || l.Groups == 0 && l.Consumers > 0:
		return fmt.Errorf("bench: %d consumers in %d groups: a group has at least one", l.Consumers, l.Groups)
	case l.Groups > 0 && (l.Consumers+l.Groups-1)/l.Groups > l.Links:
		return fmt.Errorf("bench: %d consumers in %d groups on %d connections: a connection is one member of a group", l.Consumers, l.Groups, l.Links)
	case l.Beat <= 0 || l.Hold <= 0:
		return errors.New("bench: heartbeats and held pulls need a time above 0")
	}
	return nil
}

// clientsRun is one run of a ClientsLoad.
type clientsRun struct {
	load  *ClientsLoad
	addr  string
	id    uint32
	epoch time.Time
	links []*remoting.Client // of the clients
	hot   *remoting.Client   // of the producer of the second topic
	ctx   context.Context
	fail  context.CancelCauseFunc
	wg    sync.WaitGroup

	measuring                       atomic.Bool
	sent, received, unheld, scanned atomic.Int64
	stopHot                         atomic.Bool

	mu                    sync.Mutex
	heartbeats, delivered *hdrhistogram.Histogram
}

// Clients runs the load. Its error says that it could not be run; what the broker
// did wrong is in [ClientsResult.Err].
func Clients(ctx context.Context, l ClientsLoad) (*ClientsResult, error) {
	if err := l.check(); err != nil {
		return nil, err
	}
	defer moreProcs(2)() // for the threads of the two open loops beside the producer's
	producer := l.Load
	producer.Topic, producer.Topics = l.TopicName(0), 1
	res := &ClientsResult{Memory: [3]int64{l.memory()}}
	var err error
	if res.Alone, err = Send(ctx, producer); err != nil {
		return nil, err
	}
	res.Memory[1] = l.memory()

	r := &clientsRun{load: &l, addr: l.Targets[0].Addr, id: rand.Uint32(), heartbeats: newHistogram(), delivered: newHistogram()}
	r.ctx, r.fail = context.WithCancelCause(ctx)
	config := remoting.ClientConfig{Version: wire.Version, Language: wire.LanguageGo}
	r.hot = remoting.NewClient(config)
	for range l.Links {
		r.links = append(r.links, remoting.NewClient(config))
	}
	defer r.close()
	if res.Registering, err = r.register(); err != nil {
		return nil, err
	}
	if err := r.start(); err != nil {
		return nil, err
	}
	if err := wait(r.ctx, l.Warmup, nil, nil); err != nil {
		return nil, err
	}
	producer.Warmup = 0 // all that is measured is beside it
	r.measuring.Store(true)
	res.Loaded, err = Send(r.ctx, producer)
	r.measuring.Store(false)
	if err != nil {
		return nil, err
	}
	res.Memory[2], res.Scanned = l.memory(), r.scanned.Load()
	if err := r.drain(); err != nil {
		return nil, err
	}
	r.close()
	res.Heartbeats, res.Delivered = r.heartbeats, r.delivered
	res.Sent, res.Received, res.Unheld = r.sent.Load(), r.received.Load(), r.unheld.Load()
	return res, nil
}

// memory is what the server has resident, in bytes; 0 when that is not known.
func (l *Load) memory() int64 {
	if l.PID == 0 {
		return 0
	}
	n, err := processMemory(l.PID)
	if err != nil {
		return 0
	}
	return n
}

// drain ends the sends to the second topic, and waits until all groups have what
// was sent, but no longer than Hold.
func (r *clientsRun) drain() error {
	r.stopHot.Store(true)
	limit := time.Now().Add(r.load.Hold)
	for time.Now().Before(limit) {
		if err := wait(r.ctx, 10*time.Millisecond, nil, nil); err != nil {
			return err
		}
		if sent := r.sent.Load(); r.received.Load() >= sent*int64(r.load.Groups) {
			break
		}
	}
	return nil
}

// close ends all clients and waits for them.
func (r *clientsRun) close() {
	r.fail(nil)
	_ = r.hot.Close()
	for _, c := range r.links {
		_ = c.Close()
	}
	r.wg.Wait()
}

// since is a time of this run.
func (r *clientsRun) since(now time.Time) time.Duration { return now.Sub(r.epoch) }

// record notes what took from due to now, if it is to be measured.
func (r *clientsRun) record(h *hdrhistogram.Histogram, due time.Duration, now time.Time) {
	if !r.measuring.Load() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	_ = h.RecordValue(int64(min(max(r.since(now)-due, 0), longest))) // in range
}

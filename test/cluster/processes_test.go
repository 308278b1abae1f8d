// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/twostage/twostage/internal/proctest"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/test/rig"
)

// namesrvArgs runs a name server alone.
func namesrvArgs(data string, port int) []string {
	return []string{"server", "--role", "namesrv", "--data", data, "--namesrv-set", fmt.Sprint("listenPort=", port), "--namesrv-set", "httpListenPort=0"}
}

// brokerArgs runs a broker alone. Its files are small.
func brokerArgs(data, name string, port int, namesrv ...string) []string {
	args := []string{"server", "--role", "broker", "--data", data}
	if len(namesrv) > 0 {
		args = append(args, "--namesrv", strings.Join(namesrv, ";"))
	}
	for _, kv := range []string{
		"brokerName=" + name, fmt.Sprint("listenPort=", port), "httpListenPort=0", "brokerIP1=127.0.0.1",
		"mappedFileSizeCommitLog=16777216", "maxHashSlotNum=10000", "maxIndexNum=40000",
	} {
		args = append(args, "--set", kv)
	}
	return args
}

// routed gives the brokers of a topic's route, as name=queues, sorted; none when
// there is no route.
func routed(ctx context.Context, c rpc.Caller, namesrv, topic string) ([]string, error) {
	r, err := rpc.Route(ctx, c, namesrv, topic)
	if errors.Is(err, rpc.TopicNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list []string
	for _, q := range r.QueueDatas {
		list = append(list, fmt.Sprintf("%s=%d", q.BrokerName, q.WriteQueueNums))
	}
	slices.Sort(list)
	return list, nil
}

// wantRoute waits until a name server's route of a topic has these brokers.
func wantRoute(t *testing.T, c rpc.Caller, namesrv, topic string, want ...string) {
	t.Helper()
	ctx := rig.Context(t)
	rig.Poll(t, fmt.Sprintf("the route of %s at %s is %v", topic, namesrv, want), func() error {
		have, err := routed(ctx, c, namesrv, topic)
		if err == nil && !slices.Equal(have, want) {
			err = fmt.Errorf("it is %v", have)
		}
		return err
	})
}

// place is a queue of a broker.
type place struct {
	broker, addr string
	queue        int32
}

// answered is an acknowledged message.
type answered struct {
	place
	offset int64
}

// producer sends to the queues of a route in turn, and elsewhere when one does
// not take a message: what every client does.
type producer struct {
	client  *remoting.Client
	topic   string
	namesrv []string

	mu      sync.Mutex
	acked   map[string]answered
	count   map[string]int  // by broker
	retried map[string]bool // may be stored more than once
}

func newProducer(c *remoting.Client, topic string, namesrv ...string) *producer {
	return &producer{client: c, topic: topic, namesrv: namesrv, acked: map[string]answered{}, count: map[string]int{}, retried: map[string]bool{}}
}

// route asks the name servers until one has the topic.
func (p *producer) route(ctx context.Context) ([]place, error) {
	var errs []error
	for _, ns := range p.namesrv {
		r, err := rpc.Route(ctx, p.client, ns, p.topic)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		return places(r), nil
	}
	return nil, errors.Join(errs...)
}

func places(r *body.TopicRouteData) []place {
	var list []place
	for _, q := range r.QueueDatas {
		for _, b := range r.BrokerDatas {
			for id := range q.WriteQueueNums {
				if b.BrokerName == q.BrokerName {
					list = append(list, place{b.BrokerName, b.BrokerAddrs[0], id})
				}
			}
		}
	}
	return list
}

// run sends until ctx ends. A message that nobody takes is an error. The route
// is asked again every 50 messages and after each failure.
func (p *producer) run(ctx context.Context) error {
	var to []place
	for n := 0; ; n++ {
		key := fmt.Sprintf("%s-%06d", p.topic, n)
		var err error
		for try := 0; ; try++ {
			if ctx.Err() != nil {
				return nil
			}
			if try == 20 {
				return fmt.Errorf("%s: nobody takes it: %w", key, err)
			}
			if err != nil || len(to) == 0 || n%50 == 0 && try == 0 {
				fresh, failed := p.route(ctx)
				if failed != nil && len(to) == 0 {
					err = failed
					continue
				}
				if failed == nil {
					to = fresh
				}
			}
			if err = p.send(ctx, key, to[(n+try*7)%len(to)]); err == nil {
				break
			}
			p.mu.Lock()
			p.retried[key] = true
			p.mu.Unlock()
		}
	}
}

func (p *producer) send(ctx context.Context, key string, to place) error {
	sent, err := rpc.Send(ctx, p.client, to.addr, rig.SendHeader(p.topic, to.queue, key), []byte(key))
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.acked[key] = answered{to, sent.Header.QueueOffset}
	p.count[to.broker]++
	return nil
}

// sentTo is how many messages each broker has acknowledged.
func (p *producer) sentTo(broker string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count[broker]
}

// running is a producer on a goroutine.
type running struct {
	*producer
	cancel context.CancelFunc
	done   chan struct{}
	err    error
}

func start(t *testing.T, p *producer) *running {
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{producer: p, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		r.err = p.run(ctx)
	}()
	t.Cleanup(func() { cancel(); <-r.done })
	return r
}

// wantMore waits until a broker has acknowledged n more messages.
func (r *running) wantMore(t *testing.T, broker string, n int) {
	t.Helper()
	from := r.sentTo(broker)
	rig.Poll(t, fmt.Sprintf("%d more messages are sent to %s", n, broker), func() error {
		select {
		case <-r.done:
			t.Fatalf("the producer gave up: %v", r.err)
		default:
		}
		if have := r.sentTo(broker) - from; have < n {
			return fmt.Errorf("%d", have)
		}
		return nil
	})
}

// stop ends the producer, which must not have given up.
func (r *running) stop(t *testing.T) {
	t.Helper()
	r.cancel()
	<-r.done
	if r.err != nil {
		t.Fatalf("the producer: %v", r.err)
	}
}

// mustEnd ends a process.
func mustEnd(t *testing.T, end func() error) {
	t.Helper()
	if err := end(); err != nil {
		t.Fatal(err)
	}
}

// refused starts a process that must not become ready, and gives what it says.
func refused(t *testing.T, args ...string) string {
	t.Helper()
	text, ready := proctest.TryStart(t, args...)
	if ready {
		t.Errorf("twostage %s became ready", strings.Join(args, " "))
	}
	return text
}

// wantWords holds that a text has all words.
func wantWords(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%q is not in:\n%s", w, text)
		}
	}
}

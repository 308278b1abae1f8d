// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package sdk

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/twostage/twostage/client"
	"github.com/twostage/twostage/internal/admin"
	"github.com/twostage/twostage/internal/proctest"
	"github.com/twostage/twostage/message"
	"github.com/twostage/twostage/test/rig"
)

// namesrvVariable names a name server to test with instead of our own.
const namesrvVariable = "SDK_NAMESRV"

// patient is the limit of waits. Healthy servers need milliseconds, or the delay
// in question; RocketMQ checks transactions once a minute.
var patient = func() time.Duration {
	if os.Getenv(namesrvVariable) == "" {
		return 90 * time.Second
	}
	return 5 * time.Minute
}()

func TestMain(m *testing.M) {
	// The cases wait more than they work: all of them side by side.
	flag.Parse()
	if err := flag.Set("test.parallel", "64"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

// cluster is what the cases run against.
type cluster struct {
	namesrv string
	*proctest.Server
	opts []client.Option // of all its clients
}

// start runs a server of the test's own, with these keys of the broker's
// configuration, or, after "namesrv:", of the name server's.
func start(t *testing.T, keys ...string) *cluster {
	t.Helper()
	args := []string{"server", "--data", t.TempDir()}
	set := map[string]bool{}
	for _, kv := range append(keys, // what comes first counts
		"bindAddress=127.0.0.1", "brokerIP1=127.0.0.1", "listenPort=0", "httpListenPort=0", "brokerName=broker-a",
		"messageDelayLevel=1s 2s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s", "recallMessageEnable=true",
		"transactionTimeOut=1000", "transactionCheckInterval=1000", "flushConsumerOffsetInterval=500",
		"mappedFileSizeCommitLog=67108864", "waitTimeMillsInSendQueue=30000",
		"namesrv:bindAddress=127.0.0.1", "namesrv:listenPort=0",
	) {
		key, _, _ := strings.Cut(kv, "=")
		if set[key] {
			continue
		}
		set[key] = true
		flag := "--set"
		if of, found := strings.CutPrefix(kv, "namesrv:"); found {
			flag, kv = "--namesrv-set", of
		}
		args = append(args, flag, kv)
	}
	s := proctest.Start(t, args...)
	return &cluster{namesrv: s.Namesrv, Server: s}
}

// with are options of a client, after those of all.
func (c *cluster) with(more ...client.Option) []client.Option {
	return slices.Concat([]client.Option{client.WithNameServers(c.namesrv)}, c.opts, more)
}

// foreign tells that the servers are not ours; the case then is left out.
func foreign(t *testing.T) bool {
	t.Helper()
	if os.Getenv(namesrvVariable) == "" {
		return false
	}
	t.Logf("DID NOT RUN: it needs a server of its own, and %s is set", namesrvVariable)
	return true
}

// runName tells the topics of this run from those of others, where the server stays.
var runName = func() string {
	if os.Getenv(namesrvVariable) == "" {
		return ""
	}
	return fmt.Sprintf("_%08x", rand.Uint32())
}()

// name gives a topic or group of the case's own.
func name(t *testing.T, what string) string {
	return strings.NewReplacer("/", "_", "#", "_").Replace(t.Name()) + runName + "_" + what
}

// topic makes a topic of the case's own.
func (c *cluster) topic(t *testing.T, what string, queues int32) string {
	t.Helper()
	topic := name(t, what)
	if _, err := admin.New(rig.Client(t), []string{c.namesrv}).CreateTopic(rig.Context(t), admin.Topic{Name: topic, Queues: queues}); err != nil {
		t.Fatalf("creating %s: %v", topic, err)
	}
	return topic
}

func (c *cluster) producer(t *testing.T, more ...client.Option) *client.Producer {
	t.Helper()
	p, err := client.NewProducer(name(t, "producer"), c.with(more...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closed(t, p) })
	return p
}

type closer interface{ Close() error }

func closed(t testing.TB, c closer) {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Errorf("closing: %v", err)
	}
}

// send stores a message as the server is set up to.
func send(t *testing.T, p *client.Producer, m *message.Message) *client.SendResult {
	t.Helper()
	r, err := p.Send(rig.Context(t), m)
	if err != nil {
		t.Fatalf("sending %.40q to %s: %v", m.Body, m.Topic, err)
	}
	if r.Status != client.Stored {
		t.Fatalf("sending %.40q to %s: %s", m.Body, m.Topic, r.Status)
	}
	return r
}

func sendAll(t *testing.T, p *client.Producer, topic string, bodies ...string) {
	t.Helper()
	for _, b := range bodies {
		send(t, p, message.New(topic, []byte(b)))
	}
}

func numbered(prefix string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("%s-%03d", prefix, i)
	}
	return all
}

// inbox gathers what a consumer gets.
type inbox struct {
	// answer decides what the handler returns; nil: nil.
	answer func(*message.Received) error

	mu   sync.Mutex
	list []received
}

type received struct {
	*message.Received
	at time.Time
}

func (in *inbox) handle(_ context.Context, m *message.Received) error {
	in.add(m)
	if in.answer != nil {
		return in.answer(m)
	}
	return nil
}

func (in *inbox) add(all ...*message.Received) {
	in.mu.Lock()
	defer in.mu.Unlock()
	now := time.Now()
	for _, m := range all {
		in.list = append(in.list, received{m, now})
	}
}

func (in *inbox) all() []received {
	in.mu.Lock()
	defer in.mu.Unlock()
	return slices.Clone(in.list)
}

func (in *inbox) bodies() []string {
	var all []string
	for _, m := range in.all() {
		all = append(all, string(m.Body))
	}
	return all
}

// await waits until exactly these have come, in any order.
func (in *inbox) await(t *testing.T, want ...string) {
	t.Helper()
	await(t, func() string {
		if n := len(in.all()); n < len(want) {
			return fmt.Sprintf("%d of %d messages have come", n, len(want))
		}
		return ""
	})
	have := slices.Sorted(slices.Values(in.bodies()))
	if want := slices.Sorted(slices.Values(want)); !slices.Equal(have, want) {
		t.Fatalf("received %.2000q, want %.2000q", have, want)
	}
}

// await waits until missing says "".
func await(t *testing.T, missing func() string) {
	t.Helper()
	deadline := time.NewTimer(patient)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		last := missing()
		if last == "" {
			return
		}
		select {
		case <-deadline.C:
			t.Fatalf("after %v: %s", patient, last)
		case <-tick.C:
		}
	}
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	rocketmq "github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/admin"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"

	"github.com/twostage/twostage/internal/proctest"
)

// soon bounds what the server does at once, on a busy machine; patient bounds
// what waits for one of the client's own intervals (30 s for routes, 20 s for
// rebalancing) as well.
const (
	soon    = 20 * time.Second
	patient = 90 * time.Second
)

// cluster is a running server, name server and broker.
type cluster struct{ *proctest.Server }

// start runs a server with short delay levels and frequent checks.
func start(t *testing.T, more ...string) *cluster {
	t.Helper()
	args := []string{
		"server", "--data", t.TempDir(),
		"--set", "bindAddress=127.0.0.1", "--namesrv-set", "bindAddress=127.0.0.1", "--set", "brokerIP1=127.0.0.1", "--set", "waitTimeMillsInSendQueue=30000",
		"--set", "httpListenPort=0",
		"--set", "brokerName=broker-a",
		"--set", "messageDelayLevel=1s 2s 3s 3s 3s 4s 4s 4s 5s 5s 5s 5s 5s 5s 5s 5s 5s 5s",
		"--set", "transactionTimeOut=2000", "--set", "transactionCheckInterval=1000",
		"--set", "flushConsumerOffsetInterval=500", "--set", "mappedFileSizeCommitLog=67108864",
	}
	return &cluster{proctest.Start(t, append(args, more...)...)}
}

func (c *cluster) resolver() primitive.NsResolver {
	return primitive.NewPassthroughResolver([]string{c.Namesrv})
}

// instances makes the instance names: two clients of one name in one process
// would share their connections.
var instances atomic.Int64

func instance() string { return "interop-" + strconv.FormatInt(instances.Add(1), 10) }

// name gives a topic or group of the test's own.
func name(t *testing.T, what string) string {
	return strings.NewReplacer("/", "_", "#", "_").Replace(t.Name()) + "_" + what
}

// admin gives the client's admin.
func (c *cluster) admin(t *testing.T) admin.Admin {
	t.Helper()
	a, err := admin.NewAdmin(admin.WithResolver(c.resolver()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	return a
}

// topic creates a topic of the test's own.
func (c *cluster) topic(t *testing.T, what string, queues int) string {
	t.Helper()
	topic := name(t, what)
	err := c.admin(t).CreateTopic(t.Context(), admin.WithTopicCreate(topic), admin.WithBrokerAddrCreate(c.Broker),
		admin.WithReadQueueNums(queues), admin.WithWriteQueueNums(queues))
	if err != nil {
		t.Fatalf("creating %s: %v", topic, err)
	}
	return topic
}

// producer starts a producer.
func (c *cluster) producer(t *testing.T, opts ...producer.Option) rocketmq.Producer {
	t.Helper()
	opts = append([]producer.Option{
		producer.WithNsResolver(c.resolver()), producer.WithInstanceName(instance()),
		producer.WithGroupName(name(t, "producer")), producer.WithRetry(2),
	}, opts...)
	p, err := rocketmq.NewProducer(opts...)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Shutdown() })
	return p
}

// consumer starts a push consumer of everything in a topic, from the first
// message on unless an option says otherwise.
func (c *cluster) consumer(t *testing.T, group, topic string, in *inbox, opts ...consumer.Option) rocketmq.PushConsumer {
	t.Helper()
	return c.selecting(t, group, topic, consumer.MessageSelector{}, in, opts...)
}

func (c *cluster) selecting(t *testing.T, group, topic string, s consumer.MessageSelector, in *inbox, opts ...consumer.Option) rocketmq.PushConsumer {
	t.Helper()
	opts = append([]consumer.Option{
		consumer.WithNsResolver(c.resolver()), consumer.WithInstance(instance()), consumer.WithGroupName(group),
		consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset),
	}, opts...)
	p, err := rocketmq.NewPushConsumer(opts...)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Subscribe(topic, s, in.handle); err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatalf("starting a consumer of %s: %v", topic, err)
	}
	t.Cleanup(func() { _ = p.Shutdown() })
	return p
}

// send sends one message and fails the test when it is not stored.
func send(t *testing.T, p rocketmq.Producer, m *primitive.Message) *primitive.SendResult {
	t.Helper()
	r, err := p.SendSync(t.Context(), m)
	if err != nil {
		t.Fatalf("sending %q to %s: %v", m.Body, m.Topic, err)
	}
	if r.Status != primitive.SendOK {
		t.Fatalf("sending %q to %s: status %d", m.Body, m.Topic, r.Status)
	}
	return r
}

// sendAll sends messages with these bodies, in order.
func sendAll(t *testing.T, p rocketmq.Producer, topic string, bodies ...string) {
	t.Helper()
	for _, b := range bodies {
		send(t, p, primitive.NewMessage(topic, []byte(b)))
	}
}

// numbered gives prefix-0, prefix-1 and so on.
func numbered(prefix string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("%s-%03d", prefix, i)
	}
	return all
}

// inbox keeps what a consumer was given.
type inbox struct {
	// answer decides what the consumer says; nil is success.
	answer func(*primitive.MessageExt) consumer.ConsumeResult

	mu   sync.Mutex
	list []received
}

type received struct {
	*primitive.MessageExt
	At time.Time
}

func (in *inbox) handle(_ context.Context, msgs ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
	in.mu.Lock()
	now := time.Now()
	for _, m := range msgs {
		in.list = append(in.list, received{m, now})
	}
	in.mu.Unlock()
	result := consumer.ConsumeSuccess
	for _, m := range msgs {
		if in.answer != nil {
			result = max(result, in.answer(m))
		}
	}
	return result, nil
}

func (in *inbox) all() []received {
	in.mu.Lock()
	defer in.mu.Unlock()
	return slices.Clone(in.list)
}

// bodies gives the bodies in the order of their arrival.
func (in *inbox) bodies() []string {
	var all []string
	for _, m := range in.all() {
		all = append(all, string(m.Body))
	}
	return all
}

// await waits until exactly these bodies are there, in any order, each once.
func (in *inbox) await(t *testing.T, within time.Duration, want ...string) {
	t.Helper()
	await(t, within, func() string {
		if n := len(in.all()); n < len(want) {
			return fmt.Sprintf("%d of %d messages have come", n, len(want))
		}
		return ""
	})
	have := in.bodies()
	slices.Sort(have)
	want = slices.Sorted(slices.Values(want))
	if !slices.Equal(have, want) {
		t.Fatalf("received %.2000q, want %.2000q", have, want)
	}
}

// await asks until missing gives nothing, and fails with what it gave last.
func await(t *testing.T, within time.Duration, missing func() string) {
	t.Helper()
	deadline := time.After(within)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		last := missing()
		if last == "" {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("after %v: %s", within, last)
		case <-tick.C:
		}
	}
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package frames

import (
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twostage/twostage/internal/proctest"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/message"
	"github.com/twostage/twostage/test/rig"
)

const brokerName = "broker-a"

// broker is a running server.
type broker struct{ *proctest.Server }

func start(t *testing.T) *broker {
	t.Helper()
	return &broker{proctest.Start(t,
		"server", "--data", t.TempDir(),
		"--set", "bindAddress=127.0.0.1", "--namesrv-set", "bindAddress=127.0.0.1", "--set", "brokerIP1=127.0.0.1", "--set", "waitTimeMillsInSendQueue=30000",
		"--set", "listenPort=0", "--namesrv-set", "listenPort=0", "--set", "httpListenPort=0",
		"--set", "brokerName="+brokerName, "--set", "mappedFileSizeCommitLog=67108864", "--set", "recallMessageEnable=true",
		"--set", "messageDelayLevel=1s 3s 2s 0s", "--set", "enableTopicMessageTypeCheck=true",
	)}
}

// kill ends the server with SIGKILL and starts it again.
func (b *broker) kill(t *testing.T) {
	t.Helper()
	if err := b.Kill(); err != nil {
		t.Fatal(err)
	}
	b.Restart(t)
}

// peer is a client of a broker: a connection, an encoding and a client id.
type peer struct {
	t   *testing.T
	b   *broker
	c   *remoting.Client
	enc wire.Encoding
	id  string
}

var peers atomic.Int64

func (b *broker) peer(t *testing.T, enc wire.Encoding) *peer {
	t.Helper()
	return &peer{t: t, b: b, c: rig.Client(t), enc: enc, id: "127.0.0.1@peer-" + strconv.FormatInt(peers.Add(1), 10)}
}

// name gives a topic or group of the test's own.
func (p *peer) name(what string) string {
	return strings.NewReplacer("/", "_", "#", "_").Replace(p.t.Name()) + "_" + what
}

// topic makes a topic of the test's own.
func (p *peer) topic(what string, queues int32) string {
	p.t.Helper()
	topic := p.name(what)
	if err := rpc.CreateTopic(p.t.Context(), p.c, p.b.Broker, rig.TopicHeader(topic, queues)); err != nil {
		p.t.Fatal(err)
	}
	return topic
}

// group makes a consumer group of the test's own.
func (p *peer) group(what string, retries int32) string {
	p.t.Helper()
	g := body.NewSubscriptionGroupConfig(p.name(what))
	g.RetryMaxTimes = retries
	if err := rpc.CreateGroup(p.t.Context(), p.c, p.b.Broker, &g); err != nil {
		p.t.Fatal(err)
	}
	return g.GroupName
}

// ask sends a request of these fields, names and values by turns, and gives the
// answer. Codes that a binary header has no room for go out as their low 16 bits.
func (p *peer) ask(code int32, data []byte, fields ...string) *wire.Command {
	p.t.Helper()
	answer, err := p.try(code, data, fields...)
	if err != nil {
		p.t.Fatalf("%s: %v", wire.CodeName(code), err)
	}
	return answer
}

// try is ask for goroutines that may not end the test.
func (p *peer) try(code int32, data []byte, fields ...string) (*wire.Command, error) {
	req := &wire.Request{Code: code, Body: data, Encoding: p.enc}
	if p.enc == wire.Binary {
		req.Code &= 0xFFFF
	}
	for i := 0; i < len(fields); i += 2 {
		req.Fields = append(req.Fields, wire.Field{Key: []byte(fields[i]), Value: []byte(fields[i+1])})
	}
	return p.c.Invoke(rig.Context(p.t), p.b.Broker, req)
}

// must is ask for a request that succeeds.
func (p *peer) must(code int32, data []byte, fields ...string) *wire.Command {
	p.t.Helper()
	answer := p.ask(code, data, fields...)
	if answer.Code != wire.Success {
		p.t.Fatalf("%s is answered %s: %s", wire.CodeName(code), wire.ResponseName(answer.Code), answer.Remark)
	}
	return answer
}

// refused is ask for a request that is answered with this code and a reason.
func (p *peer) refused(want int32, code int32, data []byte, fields ...string) {
	p.t.Helper()
	answer := p.ask(code, data, fields...)
	if answer.Code != want || len(answer.Remark) == 0 {
		p.t.Errorf("%s %q is answered %s %q, want %s and a reason", wire.CodeName(code), fields,
			wire.ResponseName(answer.Code), answer.Remark, wire.ResponseName(want))
	}
}

// field gives a field of an answer that must have it.
func (p *peer) field(answer *wire.Command, name string) string {
	p.t.Helper()
	v, ok := answer.Ext.Get(name)
	if !ok {
		p.t.Fatalf("the answer has no %s: %q", name, answer.Ext)
	}
	return string(v)
}

// number is field for a decimal.
func (p *peer) number(answer *wire.Command, name string) int64 {
	p.t.Helper()
	n, err := strconv.ParseInt(p.field(answer, name), 10, 64)
	if err != nil {
		p.t.Fatal(err)
	}
	return n
}

// send stores a message with these properties, names and values by turns, and
// gives the answer.
func (p *peer) send(topic string, queue int32, text string, properties ...string) *wire.Command {
	p.t.Helper()
	answer := p.trySend(topic, queue, text, properties...)
	if answer.Code != wire.Success {
		p.t.Fatalf("sending %q is answered %s: %s", text, wire.ResponseName(answer.Code), answer.Remark)
	}
	return answer
}

func (p *peer) trySend(topic string, queue int32, text string, properties ...string) *wire.Command {
	p.t.Helper()
	props := message.AppendProperty(nil, message.PropertyUniqueKey, uniqueKey())
	for i := 0; i < len(properties); i += 2 {
		props = message.AppendProperty(props, properties[i], properties[i+1])
	}
	return p.ask(wire.ReqSendMessageV2, []byte(text),
		"a", p.name("producer"), "b", topic, "c", message.TopicAutoCreate, "d", "4", "e", strconv.Itoa(int(queue)), "f", "0",
		"g", "1800000000000", "h", "0", "i", string(props), "j", "0", "k", "false", "m", "false", "n", brokerName)
}

var keys atomic.Int64

// uniqueKey gives an id in the form of Java's: 32 hex digits.
func uniqueKey() string {
	n := strconv.FormatInt(keys.Add(1), 16)
	return "7F000001" + strings.Repeat("0", 24-len(n)) + strings.ToUpper(n)
}

// sendAll stores messages in a queue, in order.
func (p *peer) sendAll(topic string, queue int32, texts ...string) {
	p.t.Helper()
	for _, text := range texts {
		p.send(topic, queue, text)
	}
}

// stored gives what a queue holds, by pulls.
func (p *peer) stored(topic string, queue int32) ([]string, error) {
	var all []string
	_, err := rig.Drain(rig.Context(p.t), p.c, p.b.Broker, topic, queue, 0, func(r *message.Record) error {
		all = append(all, string(r.Body))
		return nil
	})
	return all, err
}

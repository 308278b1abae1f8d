// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// request is a send as a broker reads it.
type request struct {
	opaque int32
	header.SendRequest
	topic, props string
	body         []byte
}

func readRequest(t *testing.T, frame []byte) request {
	t.Helper()
	var d wire.Decoder
	var c wire.Command
	if err := d.Decode(frame[4:], &c); err != nil {
		t.Fatal(err)
	}
	r := request{opaque: c.Opaque, body: bytes.Clone(c.Body)}
	if err := r.DecodeV2(c.Ext); err != nil {
		t.Fatal(err)
	}
	r.topic, r.props = string(r.Topic), string(r.Properties)
	return r
}

func TestTemplate(t *testing.T) {
	for _, enc := range []wire.Encoding{wire.JSON, wire.Binary} {
		for _, c := range []struct{ topics, queues, conns, size int }{{1, 8, 1, 33}, {0, 4, 4, 1}, {1, 1, 2, 100}, {25, 12, 3, 7}, {11, 101, 2, bodyApart}, {1, 1000, 8, 2}} {
			l := &Load{Topic: "T", Topics: c.topics, Conns: c.conns, Size: c.size, Encoding: enc, Targets: []Target{{Broker: "b", Queues: int32(c.queues)}}}
			seen := map[string]int{}
			for i := range c.conns {
				p := newTemplate(l, l.Targets[0], i, 1700000000000)
				all := max(c.topics, 1) * c.queues
				mine := all*(i+1)/c.conns - all*i/c.conns
				for n := range mine {
					head := p.append([]byte("before"), firstOpaque+int32(n), uint64(n)<<4|0xC)[6:]
					r := readRequest(t, append(head, p.body...))
					if want := fmt.Sprintf("UNIQ_KEY\x01%s%016X\x02WAIT\x01true", keyPrefix, n<<4|0xC); r.props != want || r.opaque != firstOpaque+int32(n) || len(r.body) != c.size || r.BornTimestamp != 1700000000000 {
						t.Fatalf("%+v: %+v, want properties %q", c, r, want)
					}
					seen[fmt.Sprint(r.topic, "/", r.QueueID)]++
				}
			}
			for topic := range max(c.topics, 1) {
				for queue := range c.queues {
					if n := seen[fmt.Sprint(l.TopicName(topic), "/", queue)]; n != 1 {
						t.Fatalf("%+v: topic %s queue %d got %d messages of the first round, want 1", c, l.TopicName(topic), queue, n)
					}
				}
			}
		}
	}
}

func TestTopicNames(t *testing.T) {
	for _, c := range []struct {
		topics, i int
		want      string
	}{{0, 0, "T"}, {1, 0, "T"}, {2, 1, "T-1"}, {10, 9, "T-9"}, {11, 3, "T-03"}, {10000, 42, "T-0042"}} {
		if got := (&Load{Topic: "T", Topics: c.topics}).TopicName(c.i); got != c.want {
			t.Errorf("%d of %d is %s, want %s", c.i, c.topics, got, c.want)
		}
	}
}

// TestBatch has requests arrive whole and in order, twice from the same memory.
func TestBatch(t *testing.T) {
	for _, size := range []int{1, bodyApart - 1, bodyApart, 3 * bodyApart} {
		l := &Load{Topic: "T", Conns: 1, Size: size, Targets: []Target{{Queues: 12}}}
		b := newBatch(newTemplate(l, l.Targets[0], 0, 1), 5)
		client, server := net.Pipe()
		got := make(chan []byte, 1)
		go func() {
			all, err := io.ReadAll(server)
			if err != nil {
				t.Error(err)
			}
			got <- all
		}()
		for place := range 10 {
			b.add(firstOpaque+int32(place), uint64(place))
			if place%5 == 4 {
				if err := b.flush(client); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := b.flush(client); err != nil { // of nothing
			t.Fatal(err)
		}
		_ = client.Close()
		all := <-got
		for place := range 10 {
			n, err := frameAt(all)
			if err != nil || n == 0 {
				t.Fatalf("%d bytes: request %d of 10: %d, %v", size, place, n, err)
			}
			if r := readRequest(t, all[:n]); r.opaque != firstOpaque+int32(place) || r.QueueID != int32(place) || len(r.body) != size {
				t.Errorf("%d bytes: request %d has opaque %d, queue %d, %d bytes", size, place, r.opaque, r.QueueID, len(r.body))
			}
			all = all[n:]
		}
		if len(all) > 0 {
			t.Errorf("%d bytes: %d too many arrive", size, len(all))
		}
		b.add(firstOpaque, 1)
		if err := b.flush(client); err == nil {
			t.Error("writing to a closed connection is no error")
		}
		_ = server.Close()
	}
}

// TestTemplateTags: messages have their tags in turn, in either encoding.
func TestTemplateTags(t *testing.T) {
	for _, enc := range []wire.Encoding{wire.JSON, wire.Binary} {
		l := &Load{Targets: []Target{{Queues: 3}}, Conns: 1, Topic: "T", Size: 20, Encoding: enc, Tags: 12}
		p := newTemplate(l, l.Targets[0], 0, 7)
		for key := range uint64(30) {
			frame := append(p.append(nil, firstOpaque, key), p.body...)
			var d wire.Decoder
			var c wire.Command
			if err := d.Decode(frame[4:], &c); err != nil {
				t.Fatal(err)
			}
			var h header.SendRequest
			if err := h.Decode(c.Code, c.Ext); err != nil {
				t.Fatal(err)
			}
			props := message.ParseProperties(h.Properties)
			want := fmt.Sprintf("%04d", key%12)
			if props["TAGS"] != "t"+want || props["n"] != want || props["WAIT"] != "true" {
				t.Fatalf("key %d: %q", key, props)
			}
		}
	}
}

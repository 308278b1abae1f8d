// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"net"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
)

// firstOpaque gives every opaque the same width, so that a frame can be patched
// in place.
const firstOpaque = 1_000_000_000

const (
	keyPrefix      = "7F00000100000000" // 16 of a UNIQ_KEY's 32 hex digits
	sendProperties = "UNIQ_KEY\x01" + keyPrefix + "0000000000000000" + "\x02WAIT\x01true"
	tagProperties  = "\x02TAGS\x01t" + tagPlace + "\x02n\x01" + numberPlace
	tagPlace       = "5555"
	numberPlace    = "7777"
	deliverPlace   = "8888888888888" // of TIMER_DELIVER_MS: 13 digits, until the year 2286
)

// bodyApart is the size of a body from which on it is not copied behind its
// header, but written from where it is: one body serves all messages.
const bodyApart = 4 << 10

// template makes the send requests of one connection. Header and body are made
// once for each width of queue id; a request is a copy of the header with the
// opaque, the key, the topic's number and the queue patched in.
type template struct {
	enc            wire.Encoding
	widths         []patches // by the digits of the queue id, 1 first
	body           []byte
	topics, queues uint64
	tags           uint64      // 0: none
	timed          *timedSends // nil: none
	at             uint64      // of the row of all queues: topics first, then queues
}

// patches is a header and where in it stands what differs.
type patches struct {
	header                    []byte
	opaque, key, topic, queue int
	topicDigits, queueDigits  int
	tag, number               int // -1: without tags
	deliver                   int // -1: without a time of delivery
}

// newTemplate makes the template of connection i of the load's n to t.
func newTemplate(l *Load, t Target, i int, bornMillis int64) *template {
	topics, queues := uint64(max(l.Topics, 1)), uint64(max(t.Queues, 1))
	p := &template{
		enc: l.Encoding, topics: topics, queues: queues, tags: uint64(max(l.Tags, 0)), body: bytes.Repeat([]byte("0123456789abcdef"), l.Size/16+1)[:l.Size],
		at: uint64(i/len(l.Targets)) * topics * queues / uint64(l.share(i)),
	}
	properties := sendProperties
	if l.Tags > 0 {
		properties += tagProperties
	}
	if l.timers != nil {
		properties += l.timers.property()
		p.timed = l.timers.sends[i]
	}
	frame := func(opaque int32, topic int, queue uint64) []byte {
		return wire.AppendRequest(nil, &wire.Request{
			Code: wire.ReqSendMessageV2, Opaque: opaque, Body: p.body, Encoding: l.Encoding, Language: wire.LanguageJava, Version: wire.Version,
			Header: &header.SendRequest{
				ProducerGroup: []byte("twostage_bench"), Topic: []byte(l.TopicName(topic)), DefaultTopic: []byte("TBW102"),
				DefaultTopicQueueNums: 4, QueueID: int32(queue), BornTimestamp: bornMillis, BrokerName: []byte(t.Broker),
				Properties: []byte(properties),
			},
		})
	}
	digits := 1
	for low := uint64(0); low < queues; low = uint64(math.Pow10(digits - 1)) {
		// The places are where two frames differ, whatever their encoding.
		f := frame(firstOpaque, 0, low)
		q := patches{
			header: f[: len(f)-len(p.body) : len(f)-len(p.body)],
			opaque: differ(f, frame(2*firstOpaque, 0, low)), queue: differ(f, frame(firstOpaque, 0, low+1)) - digits + 1,
			key: bytes.Index(f, []byte(keyPrefix)) + len(keyPrefix), queueDigits: digits,
			tag: bytes.Index(f, []byte("t"+tagPlace)) + 1, number: bytes.Index(f, []byte(numberPlace)),
			deliver: bytes.Index(f, []byte(deliverPlace)),
		}
		if topics > 1 {
			q.topicDigits = l.topicDigits()
			q.topic = differ(f, frame(firstOpaque, 1, low)) - q.topicDigits + 1
		}
		p.widths = append(p.widths, q)
		digits++
	}
	return p
}

// differ is the first place in which two frames differ.
func differ(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return -1
}

// headerSize is the most bytes that a request has without its body.
func (p *template) headerSize() int { return len(p.widths[len(p.widths)-1].header) }

// append writes the header of the next request behind dst, with a key of their own
// where messages are timed. Requests go to one
// topic after the other, and with every round to the next queue; the connections
// of a broker begin as far from one another as they can.
func (p *template) append(dst []byte, opaque int32, key uint64) []byte {
	topic, queue := p.at%p.topics, p.at/p.topics%p.queues
	p.at++
	w := 0
	for n := queue; n > 9; n /= 10 {
		w++
	}
	q := &p.widths[w]
	at := len(dst)
	dst = append(dst, q.header...)
	f := dst[at:]
	if p.enc == wire.Binary {
		binary.BigEndian.PutUint32(f[q.opaque:], uint32(opaque))
	} else {
		putDecimal(f[q.opaque:q.opaque+10], uint64(opaque))
	}
	if p.timed != nil {
		k, millis := p.timed.next()
		key = k
		if q.deliver >= 0 {
			putDecimal(f[q.deliver:q.deliver+len(deliverPlace)], uint64(millis))
		}
	}
	putHex(f[q.key:q.key+16], key)
	putDecimal(f[q.queue:q.queue+q.queueDigits], queue)
	putDecimal(f[q.topic:q.topic+q.topicDigits], topic)
	if p.tags > 0 {
		tag := key % p.tags
		putDecimal(f[q.tag:q.tag+len(tagPlace)], tag)
		putDecimal(f[q.number:q.number+len(numberPlace)], tag)
	}
	return dst
}

func putDecimal(dst []byte, n uint64) {
	for i := len(dst) - 1; i >= 0; i-- {
		dst[i] = byte('0' + n%10)
		n /= 10
	}
}

// batch is requests on their way into one write.
type batch struct {
	*template
	heads []byte
	bufs  net.Buffers // of bodies apart
	spare net.Buffers
}

func newBatch(p *template, most int) *batch {
	b := &batch{template: p}
	if len(p.body) >= bodyApart {
		b.heads = make([]byte, 0, most*p.headerSize()) // bufs point into it: it never grows
		b.spare = make(net.Buffers, 0, 2*most)
		b.bufs = b.spare
	}
	return b
}

// add adds a request.
func (b *batch) add(opaque int32, key uint64) {
	at := len(b.heads)
	b.heads = b.template.append(b.heads, opaque, key)
	if len(b.body) < bodyApart {
		b.heads = append(b.heads, b.body...)
		return
	}
	b.bufs = append(b.bufs, b.heads[at:], b.body)
}

// flush writes what was added, if anything.
func (b *batch) flush(conn net.Conn) (err error) {
	if len(b.heads) == 0 {
		return nil
	}
	if len(b.body) < bodyApart {
		_, err = conn.Write(b.heads)
	} else {
		_, err = b.bufs.WriteTo(conn)
		b.bufs = b.spare[:0]
	}
	b.heads = b.heads[:0]
	if err != nil {
		return fmt.Errorf("bench: sending: %w", err)
	}
	return nil
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package body

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	mathbits "math/bits"
	"slices"

	"github.com/twostage/twostage/internal/wire/fastjson"
)

// PopCheckPoint is the body of a checkpoint record (tag ck) in the revive topic:
// the messages that one pop gave out of one queue. Source: PopCheckPoint of
// Apache RocketMQ 5.3.3.
type PopCheckPoint struct {
	BitMap          int32   `json:"bm"` // bit i: message i is acked
	BrokerName      string  `json:"bn,omitempty"`
	Group           string  `json:"c"`
	QueueOffsetDiff []int32 `json:"d"`  // of each message, from StartOffset; empty: StartOffset+i
	InvisibleTime   int64   `json:"it"` // ms
	Num             int32   `json:"n"`  // messages, a byte in Java
	PopTime         int64   `json:"pt"` // ms since 1970
	QueueID         int32   `json:"q"`
	ReviveOffset    int64   `json:"ro"`
	RePutTimes      string  `json:"rp,omitempty"`
	StartOffset     int64   `json:"so"`
	Topic           string  `json:"t"`
}

// MaxPopMessages is how many messages a checkpoint can have: the bits of BitMap.
const MaxPopMessages = 32

func (c *PopCheckPoint) check() error {
	switch {
	case c.Num < 0 || c.Num > MaxPopMessages:
		return fmt.Errorf("a checkpoint of %d messages (n), 0 to %d are possible", c.Num, MaxPopMessages)
	case len(c.QueueOffsetDiff) > MaxPopMessages || len(c.QueueOffsetDiff) != 0 && len(c.QueueOffsetDiff) < int(c.Num):
		return fmt.Errorf("a checkpoint of %d messages with %d offsets (d)", c.Num, len(c.QueueOffsetDiff))
	case c.StartOffset < 0 || c.QueueID < 0:
		return fmt.Errorf("a checkpoint of queue %d (q) at %d (so)", c.QueueID, c.StartOffset)
	}
	for _, d := range c.QueueOffsetDiff {
		if d < 0 {
			return fmt.Errorf("a checkpoint with a message at %d (d) before its start", d)
		}
	}
	return nil
}

// AckMsg is the body of an ack record (tag ack) in the revive topic; with a list
// of offsets that of a batch (tag bAck). Source: AckMsg and BatchAckMsg of Apache
// RocketMQ 5.3.3, which reads the long names too.
type AckMsg struct {
	AckOffset     int64   `json:"ao"` // of the message in its queue; -1 in a batch
	AckOffsetList []int64 `json:"aol,omitempty"`
	BrokerName    string  `json:"bn,omitempty"`
	Group         string  `json:"c"`
	PopTime       int64   `json:"pt"`
	QueueID       int32   `json:"q"`
	StartOffset   int64   `json:"so"` // of the checkpoint
	Topic         string  `json:"t"`
}

// UnmarshalJSON reads short and long names.
func (a *AckMsg) UnmarshalJSON(text []byte) error {
	type plain AckMsg
	var long struct {
		AckOffset     int64   `json:"ackOffset"`
		AckOffsetList []int64 `json:"ackOffsetList"`
		BrokerName    string  `json:"brokerName"`
		Group         string  `json:"consumerGroup"`
		PopTime       int64   `json:"popTime"`
		QueueID       int32   `json:"queueId"`
		StartOffset   int64   `json:"startOffset"`
		Topic         string  `json:"topic"`
	}
	if err := json.Unmarshal(text, &long); err != nil {
		return err
	}
	*a = AckMsg(long)
	return json.Unmarshal(text, (*plain)(a))
}

func (a *AckMsg) check() error {
	if len(a.AckOffsetList) > 1<<16 {
		return fmt.Errorf("an ack of %d messages", len(a.AckOffsetList))
	}
	return nil
}

// BatchAckRequest is the body of BATCH_ACK_MESSAGE (200151).
type BatchAckRequest struct {
	BrokerName string     `json:"brokerName"`
	Acks       []BatchAck `json:"acks"`
}

// BatchAck acks messages of one checkpoint. Source: BatchAck of Apache RocketMQ
// 5.3.3.
type BatchAck struct {
	// BitSet has a bit for each acked message, by its distance from StartOffset:
	// bit n of byte n/8, counted from the low end, base64 on the wire.
	BitSet        string `json:"b"`
	ConsumerGroup string `json:"c"`
	InvisibleTime int64  `json:"it"`
	PopTime       int64  `json:"pt"`
	QueueID       int32  `json:"q"`
	Retry         string `json:"r"` // 0, 1 or 2, as in the handle
	ReviveQueueID int32  `json:"rq"`
	StartOffset   int64  `json:"so"`
	Topic         string `json:"t"` // the topic, for a retry as well
}

// UnmarshalJSON reads short and long names.
func (b *BatchAck) UnmarshalJSON(text []byte) error {
	type plain BatchAck
	var long struct {
		BitSet        string `json:"bitSet"`
		ConsumerGroup string `json:"consumerGroup"`
		InvisibleTime int64  `json:"invisibleTime"`
		PopTime       int64  `json:"popTime"`
		QueueID       int32  `json:"queueId"`
		Retry         string `json:"retry"`
		ReviveQueueID int32  `json:"reviveQueueId"`
		StartOffset   int64  `json:"startOffset"`
		Topic         string `json:"topic"`
	}
	if err := json.Unmarshal(text, &long); err != nil {
		return err
	}
	*b = BatchAck(long)
	return json.Unmarshal(text, (*plain)(b))
}

// maxBatchAckBits: a batch acks what one checkpoint holds, and filters may have
// left much out between its messages.
const maxBatchAckBits = 1 << 20

// Offsets are the acked messages: StartOffset plus the number of each set bit.
func (b *BatchAck) Offsets() ([]int64, error) {
	set, err := base64.StdEncoding.DecodeString(b.BitSet)
	if err != nil {
		return nil, fmt.Errorf("the bit set (b) is not base64: %w", err)
	}
	var list []int64
	for i, bits := range set {
		for ; bits != 0; bits &= bits - 1 {
			list = append(list, b.StartOffset+int64(i*8+mathbits.TrailingZeros8(bits)))
		}
	}
	return list, nil
}

// SetOffsets sets StartOffset and BitSet.
func (b *BatchAck) SetOffsets(start int64, offsets ...int64) {
	var set []byte
	for _, o := range offsets {
		n := int(o - start)
		for len(set) <= n/8 {
			set = append(set, 0)
		}
		set[n/8] |= 1 << (n % 8)
	}
	b.StartOffset, b.BitSet = start, base64.StdEncoding.EncodeToString(set)
}

func (b *BatchAckRequest) check() error {
	for i := range b.Acks {
		if n := len(b.Acks[i].BitSet); n > maxBatchAckBits/6 {
			return fmt.Errorf("ack %d has a bit set of %d characters, %d are possible", i, n, maxBatchAckBits/6)
		}
	}
	return nil
}

// OrderInfo is what a group has in flight of a queue that it consumes in order.
// Source: ConsumerOrderInfoManager.OrderInfo of Apache RocketMQ 5.3.3, but for
// Acked and At, which are ours and passed over there.
type OrderInfo struct {
	AttemptID string `json:"a,omitempty"`
	Committed int64  `json:"cm"` // bit i: message i is acked
	Invisible int64  `json:"i"`  // ms
	Last      int64  `json:"l"`  // last pop, ms since 1970
	// Offsets: the first is an offset in the queue, the others count from it.
	Offsets     []int64         `json:"o"`
	Consumed    map[int64]int32 `json:"oc,omitempty"` // by offset in the queue: given so often before, if it was
	NextVisible map[int64]int64 `json:"ot,omitempty"` // by offset in the queue, ms since 1970
	PopTime     int64           `json:"popTime"`

	Acked []int64 `json:"ak,omitempty"` // further acked messages, by rising offset in the queue
	At    int64   `json:"at,omitempty"` // of the record of the pop in the log
}

// ConsumerOrderInfo is config/consumerOrderInfo.json.
type ConsumerOrderInfo struct {
	Table map[string]map[int32]*OrderInfo `json:"table"` // by topic@group and queue
}

func (c *ConsumerOrderInfo) check() error {
	for key, queues := range c.Table {
		for queue, info := range queues {
			if info == nil {
				return errNullEntry
			}
			if len(info.Offsets) == 0 || len(info.Offsets) > MaxPopMessages {
				return fmt.Errorf("%s, queue %d: %d offsets (o)", key, queue, len(info.Offsets))
			}
			if !slices.IsSorted(info.Acked) {
				return fmt.Errorf("%s, queue %d: its acked offsets (ak) do not rise", key, queue)
			}
		}
	}
	return nil
}

// PopNote is config/popCheckpoints.json, a file of Twostage alone: the
// checkpoints that were open when the log ended at LogOffset.
type PopNote struct {
	LogOffset int64     `json:"logOffset"`
	Open      []OpenPop `json:"open"`
}

// OpenPop is an open checkpoint: PopCheckPoint.BitMap has the messages that are
// acked or revived.
type OpenPop struct {
	At     int64         `json:"at"` // of its record in the log
	Revive int32         `json:"rq"` // revive queue
	Point  PopCheckPoint `json:"ck"`
}

func (n *PopNote) check() error {
	if n.LogOffset < 0 {
		return fmt.Errorf("logOffset is %d", n.LogOffset)
	}
	for i := range n.Open {
		if err := n.Open[i].Point.check(); err != nil {
			return fmt.Errorf("open checkpoint %d: %w", i, err)
		}
	}
	return nil
}

func recordLimits() fastjson.Limits { return fastjson.Limits{Size: 1 << 20, Depth: 4, Objects: 64} }

func (*PopCheckPoint) about() (string, fastjson.Limits)   { return "pop checkpoint", recordLimits() }
func (*AckMsg) about() (string, fastjson.Limits)          { return "pop ack", recordLimits() }
func (*BatchAckRequest) about() (string, fastjson.Limits) { return "batch ack", clientLimits() }
func (*ConsumerOrderInfo) about() (string, fastjson.Limits) {
	return "consumer order info", tableLimits()
}
func (*PopNote) about() (string, fastjson.Limits) { return "pop checkpoints", tableLimits() }

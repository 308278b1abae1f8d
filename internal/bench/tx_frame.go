// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"bytes"
	"strconv"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// TxGroup is the producer group of the transaction loads. One of them at a time
// can use a broker: whoever of the group is asked about a transaction of another
// load rolls it back.
const TxGroup = "twostage_bench_tx"

// txKey is the UNIQ_KEY of a transaction, from which a check of any connection
// finds what is known of it. In upper case hex:
//
//	+---------------+---------+------------+----------+---------+
//	| 7F000001 (4)  | run (4) | worker (2) | slot (2) | seq (4) |
//	+---------------+---------+------------+----------+---------+
type txKey struct {
	run    uint32
	number uint64 // worker, slot and seq
}

// txNumber makes the number of a txKey.
func txNumber(worker, slot int, seq uint32) uint64 {
	return uint64(worker)<<48 | uint64(slot)<<32 | uint64(seq)
}

func splitTxNumber(n uint64) (worker, slot int, seq uint32) {
	return int(n >> 48), int(n >> 32 & 0xFFFF), uint32(n)
}

const (
	txKeyPrefix = "7F000001"
	txKeyLen    = 32
	upperHex    = "0123456789ABCDEF"
)

// put writes the 32 digits of the key.
func (k txKey) put(dst []byte) {
	copy(dst, txKeyPrefix)
	putHex(dst[8:16], uint64(k.run))
	putHex(dst[16:32], k.number)
}

func (k txKey) String() string {
	var b [txKeyLen]byte
	k.put(b[:])
	return string(b[:])
}

func putHex(dst []byte, n uint64) {
	for i := len(dst) - 1; i >= 0; i-- {
		dst[i] = upperHex[n&15]
		n >>= 4
	}
}

// parseTxKey reads a key; ok is false for what no transaction load made.
func parseTxKey(s string) (k txKey, ok bool) {
	if len(s) != txKeyLen || s[:8] != txKeyPrefix {
		return k, false
	}
	run, err := strconv.ParseUint(s[8:16], 16, 32)
	if err != nil {
		return k, false
	}
	k.run = uint32(run)
	k.number, err = strconv.ParseUint(s[16:], 16, 64)
	return k, err == nil
}

// halfSpec is what stands in a half message.
type halfSpec struct {
	enc      wire.Encoding
	opaque   int32
	topic    string
	broker   string
	queue    int32
	born     int64 // milliseconds, 13 digits
	key      txKey
	keys     bool // KEYS too
	immunity int  // CHECK_IMMUNITY_TIME_IN_SECONDS; 0: the broker's
	body     []byte
}

// appendHalf writes the send request of a half message.
func appendHalf(dst []byte, s *halfSpec) []byte {
	key := s.key.String()
	var props []byte
	props = message.AppendProperty(props, message.PropertyUniqueKey, key)
	props = message.AppendProperty(props, message.PropertyTransactionPrepared, "true")
	props = message.AppendProperty(props, message.PropertyProducerGroup, TxGroup)
	props = message.AppendProperty(props, message.PropertyWait, "true")
	if s.keys {
		props = message.AppendProperty(props, message.PropertyKeys, key)
	}
	if s.immunity > 0 {
		props = message.AppendProperty(props, message.PropertyCheckImmunityInSeconds, strconv.Itoa(s.immunity))
	}
	return wire.AppendRequest(dst, &wire.Request{
		Code: wire.ReqSendMessageV2, Opaque: s.opaque, Encoding: s.enc, Language: wire.LanguageJava, Version: wire.Version,
		Header: &header.SendRequest{
			ProducerGroup: []byte(TxGroup), Topic: []byte(s.topic), DefaultTopic: []byte("TBW102"), DefaultTopicQueueNums: 4,
			QueueID: s.queue, SysFlag: int32(message.TransactionPrepared), BornTimestamp: s.born, Properties: props, BrokerName: []byte(s.broker),
		},
		Body: s.body,
	})
}

// txBody is a body of that many bytes, 1 or more.
func txBody(size int) []byte {
	return bytes.Repeat([]byte("0123456789abcdef"), size/16+1)[:size]
}

// halfFrame is the half message of one place in flight, made once. Key and time
// of birth change from one use to the next.
type halfFrame struct {
	bytes []byte
	born  int   // where the 13 digits of the time stand
	keys  []int // where keys stand
}

func newHalfFrame(s halfSpec) halfFrame {
	s.born = 1_000_000_000_000
	f := halfFrame{bytes: appendHalf(nil, &s)}
	head := f.bytes[:len(f.bytes)-len(s.body)]
	key := []byte(s.key.String())
	for at := bytes.Index(head, key); at >= 0; {
		f.keys = append(f.keys, at)
		next := bytes.Index(head[at+1:], key)
		if next < 0 {
			break
		}
		at += 1 + next
	}
	f.born = bytes.LastIndex(head[:f.keys[0]], []byte("1000000000000"))
	return f
}

// next gives the frame a key and a time of birth in milliseconds.
func (f *halfFrame) next(k txKey, born int64) []byte {
	for i := 12; i >= 0; i-- {
		f.bytes[f.born+i] = byte('0' + born%10)
		born /= 10
	}
	for _, at := range f.keys {
		k.put(f.bytes[at : at+txKeyLen])
	}
	return f.bytes
}

// offsetIn is the commit log offset that the id of a stored message names.
func offsetIn(id []byte) (offset int64, ok bool) {
	if len(id) != 32 && len(id) != 56 {
		return 0, false
	}
	for _, c := range id[len(id)-16:] {
		var d byte
		switch {
		case c >= '0' && c <= '9':
			d = c - '0'
		case c >= 'A' && c <= 'F':
			d = c - 'A' + 10
		case c >= 'a' && c <= 'f':
			d = c - 'a' + 10
		default:
			return 0, false
		}
		offset = offset<<4 | int64(d)
	}
	return offset, offset >= 0
}

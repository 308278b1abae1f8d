// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package message

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
)

// The body of a batch is a row of members:
//
//	byte  bytes
//	   0      4  size of the member
//	   4      4  magic, 0
//	   8      4  CRC, 0
//	  12      4  flag of the application
//	  16    4+n  length of the body, body
//	        2+n  length of the properties, properties text
//
// Source: MessageDecoder.encodeMessage of Apache RocketMQ.
const minMemberSize = 4 + 4 + 4 + 4 + 4 + 2

// ErrBatch is the class of the errors of RangeBatch that concern the size of a
// member; the others are ErrBody and ErrProperties.
var ErrBatch = errors.New("message: bad batch")

// RangeBatch calls fn for the members of a batch in their order until fn returns
// an error, which it returns. body and props are parts of batch. An empty batch
// has no members. Magic and CRC of a member are not looked at. Errors match
// ErrBatch, ErrBody or ErrProperties and name the member; fn may have been
// called for those before it.
func RangeBatch(batch []byte, fn func(flag int32, body, props []byte) error) error {
	for i := 0; len(batch) > 0; i++ {
		flag, body, props, n, err := decodeMember(batch)
		if err != nil {
			return fmt.Errorf("batch member %d: %w", i, err)
		}
		if err := fn(flag, body, props); err != nil {
			return err
		}
		batch = batch[n:]
	}
	return nil
}

func decodeMember(b []byte) (flag int32, body, props []byte, n int, err error) {
	be := binary.BigEndian
	if len(b) < minMemberSize {
		return 0, nil, nil, 0, fmt.Errorf("%w: %d bytes are left, the smallest has %d", ErrBatch, len(b), minMemberSize)
	}
	n = int(int32(be.Uint32(b)))
	if n < minMemberSize || n > len(b) {
		return 0, nil, nil, 0, fmt.Errorf("%w: size %d, it must be %d to %d", ErrBatch, n, minMemberSize, len(b))
	}
	b = b[:n:n]
	flag = int32(be.Uint32(b[12:]))
	length, at := int(int32(be.Uint32(b[16:]))), 20
	if room := n - at - 2; length < 0 || length > room {
		return 0, nil, nil, 0, fmt.Errorf("%w: %d, the member has room for %d", ErrBody, length, room)
	}
	body = b[at : at+length : at+length]
	at += length
	length = int(be.Uint16(b[at:]))
	at += 2
	if room := n - at; length > MaxPropertiesLength || length > room {
		return 0, nil, nil, 0, fmt.Errorf("%w: %d, the member has room for %d", ErrProperties, length, min(room, MaxPropertiesLength))
	}
	props = b[at : at+length : at+length]
	if at += length; at != n {
		return 0, nil, nil, 0, fmt.Errorf("%w: size %d, its parts have %d bytes", ErrBatch, n, at)
	}
	return flag, body, props, n, nil
}

// AppendBatch writes a member behind dst. If props is longer than
// MaxPropertiesLength, or the body than a member can be (2 GiB less 64 KiB), dst
// comes back as it was: nothing is ever cut. It does not allocate if dst has
// room.
func AppendBatch(dst []byte, flag int32, body, props []byte) []byte {
	if len(props) > MaxPropertiesLength || int64(len(body)) > math.MaxInt32-1<<16 {
		return dst
	}
	size := minMemberSize + len(body) + len(props)
	dst = slices.Grow(dst, size)
	be := binary.BigEndian
	dst = be.AppendUint32(dst, uint32(size))
	dst = append(dst, 0, 0, 0, 0, 0, 0, 0, 0)
	dst = be.AppendUint32(dst, uint32(flag))
	dst = be.AppendUint32(dst, uint32(len(body)))
	dst = append(dst, body...)
	dst = be.AppendUint16(dst, uint16(len(props)))
	return append(dst, props...)
}

// CheckBatch tests that messages can be sent in one batch: each passes
// Message.Check, all are of one topic and wait alike, and none is delayed, half of a
// transaction, or to a retry topic. Errors are those of Message.Check, and ErrBatch
// for messages that cannot go together; they name the message.
func CheckBatch(messages []*Message) error {
	if len(messages) == 0 {
		return fmt.Errorf("%w: it has no messages", ErrBatch)
	}
	first := messages[0]
	for i, m := range messages {
		switch {
		case m.Topic != first.Topic:
			return fmt.Errorf("%w: message 0 is for %q, message %d for %q", ErrBatch, first.Topic, i, m.Topic)
		case m.Delayed():
			return fmt.Errorf("%w: message %d is delayed", ErrBatch, i)
		case m.Prepared():
			return fmt.Errorf("%w: message %d is half of a transaction", ErrBatch, i)
		case strings.HasPrefix(m.Topic, RetryPrefix):
			return fmt.Errorf("%w: %q is a retry topic", ErrBatch, m.Topic)
		case m.WaitStored() != first.WaitStored():
			return fmt.Errorf("%w: messages 0 and %d differ in WaitStored", ErrBatch, i)
		}
		if err := m.Check(); err != nil {
			return fmt.Errorf("batch member %d: %w", i, err)
		}
	}
	return nil
}

// EncodeBatch writes messages of one topic as the body of a batch. Errors are
// those of CheckBatch.
func EncodeBatch(messages []*Message) ([]byte, error) {
	if err := CheckBatch(messages); err != nil {
		return nil, err
	}
	var batch, props []byte
	for _, m := range messages {
		props = m.Properties.Append(props[:0])
		batch = AppendBatch(batch, m.Flag, m.Body, props)
	}
	return batch, nil
}

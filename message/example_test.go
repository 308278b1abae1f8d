// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package message_test

import (
	"errors"
	"fmt"

	"github.com/twostage/twostage/message"
)

// A record with a CRC over all of it, as brokers with enabledAppendPropCRC=true
// store them.
func ExampleAppendRecordCRC() {
	raw := message.AppendRecordCRC(nil, &message.Record{Topic: []byte("Orders"), Body: []byte("1 apple"), Properties: []byte("TAGS\x01fruit")})
	message.PatchPosition(raw, 0, 4096, 1_700_000_000_000)
	message.PatchCRC(raw)

	var r message.Record
	n, err := message.DecodeRecord(raw, &r, true)
	fmt.Println(n == len(raw), r.HasCRC(), err)

	raw[15] ^= 1 // the queue id, which the body's CRC does not cover
	_, err = message.DecodeRecord(raw, &r, true)
	fmt.Println(errors.Is(err, message.ErrCRC))
	// Output:
	// true true <nil>
	// true
}

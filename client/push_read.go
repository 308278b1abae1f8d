// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"errors"
	"fmt"

	"github.com/twostage/twostage/message"
)

// read gives the messages of a pull that brought the records up to next. Those that are
// not what was stored are left out, each with an error in the log: no pull brings them
// any better, and those behind them are to be consumed. Where something is no record,
// next becomes the offset behind the messages before it; without any it is an error.
func (c *PushConsumer) read(q Queue, records []byte, next *int64) ([]*message.Received, error) {
	all, err := message.TakeReceived(records)
	for more := all; errors.Is(err, message.ErrBodyCRC) || errors.Is(err, message.ErrCRC); all = append(all, more...) {
		var bad message.Record
		bad, records = behind(records, len(more))
		c.log.Error("client: a message is damaged and left out", "queue", q, "offset", bad.QueueOffset, "physical", bad.PhysicalOffset, "err", err)
		more, err = message.TakeReceived(records)
	}
	if err == nil {
		return all, nil
	}
	err = fmt.Errorf("client: no message can be read in %s: %w", q, err)
	if len(all) == 0 {
		return nil, err
	}
	*next = all[len(all)-1].QueueOffset + 1
	c.log.Error("client: pulling again what cannot be read", "from", *next, "err", err)
	return all, nil
}

// behind gives the record behind n others, whatever its CRC, and what comes after it.
func behind(records []byte, n int) (r message.Record, rest []byte) {
	for range n + 1 {
		size, _ := message.DecodeRecord(records, &r, false) // all but the CRC was seen to be right
		records = records[size:]
	}
	return r, records
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/twostage/twostage/message"
)

// decoder reads records; with an error it gives the messages before the bad one.
type decoder func(records []byte) ([]*message.Received, error)

// readRecords gives the messages of a queue that records hold. Those that are not what
// was stored are damaged, each with an error in the log: a broker gives them no better
// the next time, and those behind them are to be consumed. Where something is no
// record, the messages before it come with an error.
func readRecords(log *slog.Logger, q Queue, records []byte, decode decoder) (all, damaged []*message.Received, err error) {
	all, err = decode(records)
	for more := all; errors.Is(err, message.ErrBodyCRC) || errors.Is(err, message.ErrCRC); all = append(all, more...) {
		var bad message.Record
		bad, records = behind(records, len(more))
		damaged = append(damaged, message.NewReceived(&bad))
		log.Error("client: a message is damaged and left out", "queue", q, "offset", bad.QueueOffset, "physical", bad.PhysicalOffset, "err", err)
		more, err = decode(records)
	}
	if err != nil {
		err = fmt.Errorf("client: no message can be read in %s: %w", q, err)
	}
	return all, damaged, err
}

// readPulled is readRecords of a pull that brought the records up to next. Where
// something is no record, next becomes the offset behind the messages before it;
// without any it is an error.
func readPulled(log *slog.Logger, q Queue, records []byte, decode decoder, next *int64) ([]*message.Received, error) {
	all, _, err := readRecords(log, q, records, decode)
	if err == nil || len(all) == 0 {
		return all, err
	}
	*next = all[len(all)-1].QueueOffset + 1
	log.Error("client: pulling again what cannot be read", "from", *next, "err", err)
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

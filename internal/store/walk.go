// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"fmt"

	"github.com/twostage/twostage/internal/store/commitlog"
	"github.com/twostage/twostage/message"
)

// Walk calls visit for each sound record of the log, in log order, from the first
// one at or behind offset from up to the end of the log as of the call. A from
// below the log's first record is that record. Damaged ranges are passed over,
// and so is what retention deletes meanwhile. The record and its parts are valid
// during the call only.
//
// It reads the log through a window of about 1 MiB, beside appends and other
// walks, and finds records whether or not they are in their queues yet, or
// durable. It ends with the first error of visit, ErrClosed, or an error of
// reading the disk.
func (s *Store) Walk(from int64, visit func(*message.Record) error) error {
	end := s.log.End()
	next := from
	var visited error
	for {
		if s.ended.Load() {
			return ErrClosed
		}
		next = max(next, s.log.Min())
		if next >= end {
			return nil
		}
		err := s.log.Walk(next, func(r *message.Record) error {
			if r.PhysicalOffset >= end {
				return errWalked
			}
			if s.ended.Load() {
				return ErrClosed
			}
			if visited = visit(r); visited != nil {
				return visited
			}
			next = r.PhysicalOffset + int64(r.Size)
			return nil
		})
		switch {
		case err == nil || err == errWalked:
			return nil
		case visited != nil:
			return visited
		case errors.Is(err, commitlog.ErrNotFound) && next < s.log.Min():
			continue // deleted meanwhile
		case errors.Is(err, ErrClosed):
			return err
		}
		return fmt.Errorf("store: walking the log from %d: %w", next, err)
	}
}

// errWalked ends a walk at its end.
var errWalked = errors.New("store: walked")

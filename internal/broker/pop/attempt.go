// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package pop

import (
	"errors"
	"fmt"
	"strings"
)

// MaxAttempt is how many bytes an attempt id may have: a queue keeps that of its last
// pop in order, a held request its own. Clients send a UUID.
const MaxAttempt = 256

// ErrAttempt: an attempt id can't be kept.
var ErrAttempt = errors.New("pop: an impossible attempt id")

// CheckAttempt says, with ErrAttempt, why an attempt id can't be kept: it is a property
// of the record of its pop, and would add others with the bytes that separate them.
func CheckAttempt(id string) error {
	if len(id) > MaxAttempt {
		return fmt.Errorf("%w: it has %d bytes, %d are possible (attemptId)", ErrAttempt, len(id), MaxAttempt)
	}
	if i := strings.IndexAny(id, "\x00\x01\x02"); i >= 0 {
		return fmt.Errorf("%w: its byte %d is 0x%02x, which separates properties (attemptId)", ErrAttempt, i, id[i])
	}
	return nil
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package body

import "github.com/twostage/twostage/internal/wire/fastjson"

// DataVersion tells two states of a table apart. Java compares it for equality
// only.
type DataVersion struct {
	Counter      int64 `json:"counter"`                // changes since the table was made
	StateVersion int64 `json:"stateVersion,omitempty"` // 5.x, of a controller; 0 elsewhere
	Timestamp    int64 `json:"timestamp"`              // of the last change, milliseconds
}

func (*DataVersion) about() (string, fastjson.Limits) { return "data version", clientLimits() }

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package header

import "math"

// The headers of the send and pull path go through the fields once and note
// which of the required ones they saw, one bit each. These parts are theirs.

// setI32 reads a number and gives bit, or 0 if the value counts as absent.
func (c *codec) setI32(name string, v []byte, p *int32, bit uint32) uint32 {
	if len(v) == 0 {
		return 0
	}
	n, reason := parseInt(v, math.MinInt32, math.MaxInt32)
	if reason != "" {
		c.fail(name, reason)
	}
	*p = int32(n)
	return bit
}

// setI64 reads a number and gives bit, or 0 if the value counts as absent.
func (c *codec) setI64(name string, v []byte, p *int64, bit uint32) uint32 {
	if len(v) == 0 {
		return 0
	}
	n, reason := parseInt(v, math.MinInt64, math.MaxInt64)
	if reason != "" {
		c.fail(name, reason)
	}
	*p = n
	return bit
}

// require fails for the first of the names whose bit, in their order, is not set.
func (c *codec) require(seen uint32, names ...string) {
	if seen&(1<<len(names)-1) == 1<<len(names)-1 {
		return
	}
	for i, name := range names {
		if seen&(1<<i) == 0 {
			c.fail(name, "is missing")
		}
	}
}

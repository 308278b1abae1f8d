// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package orders

import (
	"testing"

	"github.com/twostage/twostage/examples/shop/event"
)

// TestPricesInAnyOrder: the newest counts, whichever message comes last.
func TestPricesInAnyOrder(t *testing.T) {
	var p prices
	if _, known := p.of("tea"); known {
		t.Error("a price is known before any was told")
	}
	for _, e := range []event.Price{{Product: "tea", Cents: 20, Version: 2}, {Product: "tea", Cents: 30, Version: 3}, {Product: "tea", Cents: 10, Version: 1}} {
		p.learn(e)
	}
	if cents, known := p.of("tea"); !known || cents != 30 {
		t.Errorf("%d cents, %v", cents, known)
	}
}

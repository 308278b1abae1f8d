// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package orders

import (
	"context"
	"net/http"
	"sync"

	"github.com/twostage/twostage/examples/shop/event"
)

// prices are what this instance knows of them, from broadcast messages since the
// first one. The zero value knows none.
type prices struct {
	mu sync.Mutex
	by map[string]event.Price
}

// learn takes a price, unless a newer one is known: a message may come late, or
// again.
func (p *prices) learn(e event.Price) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.by == nil {
		p.by = map[string]event.Price{}
	}
	if e.Version > p.by[e.Product].Version {
		p.by[e.Product] = e
	}
}

func (p *prices) of(product string) (cents int64, known bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e, known := p.by[product]
	return e.Cents, known
}

func (p *prices) list(context.Context, *http.Request, struct{}) (any, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := map[string]int64{}
	for product, e := range p.by {
		all[product] = e.Cents
	}
	return all, nil
}

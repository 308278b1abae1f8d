// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import "slices"

// row is a label set and its figures.
type row[K comparable, V any] struct {
	key K
	v   V
}

// admission bounds the label sets of a metric. Those that were listed stay listed
// while they are there, so that a counter never goes from its own line to the one
// for what is too much.
type admission[K comparable] struct{ listed []K }

// admit sorts rows and cuts them to limit; rest is what the others make together,
// and n how many they are.
func admit[K comparable, V any](a *admission[K], rows []row[K, V], limit int, less func(a, b K) int, add func(rest *V, v *V)) (in []row[K, V], rest V, n int) {
	slices.SortFunc(rows, func(x, y row[K, V]) int { return less(x.key, y.key) })
	if n = len(rows) - limit; n > 0 {
		was := make(map[K]bool, len(a.listed))
		for _, k := range a.listed {
			was[k] = true
		}
		slices.SortStableFunc(rows, func(x, y row[K, V]) int {
			switch {
			case was[x.key] == was[y.key]:
				return 0
			case was[x.key]:
				return -1
			}
			return 1
		})
		for i := range rows[limit:] {
			add(&rest, &rows[limit+i].v)
		}
		rows = rows[:limit]
	}
	a.listed = a.listed[:0]
	for i := range rows {
		a.listed = append(a.listed, rows[i].key)
	}
	return rows, rest, max(n, 0)
}

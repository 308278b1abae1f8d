// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package txn

// dueHeap orders transactions by due time, equal times by age.
type dueHeap []*tx

func (h dueHeap) Len() int { return len(h) }
func (h dueHeap) Less(i, j int) bool {
	if h[i].due != h[j].due {
		return h[i].due < h[j].due
	}
	return h[i].halves[0].QueueOffset < h[j].halves[0].QueueOffset
}
func (h dueHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].heapPos, h[j].heapPos = i, j
}
func (h *dueHeap) Push(v any) {
	x := v.(*tx)
	x.heapPos = len(*h)
	*h = append(*h, x)
}
func (h *dueHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	x.heapPos = -1
	return x
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package consumequeue

// IndexAt returns the index of the first entry whose record stands at or behind a
// log offset, Max when there is none. Blank entries are passed over.
func (q *Queue) IndexAt(physical int64) (int64, error) {
	index, _, err := q.firstAt(q.min.Load(), physical)
	return index, err
}

// firstAt is IndexAt from entry low on, with the entry.
func (q *Queue) firstAt(low, physical int64) (int64, Entry, error) {
	return q.search(low, q.max.Load(), func(_ int64, _, e Entry) bool { return !e.valid() || e.Offset >= physical })
}

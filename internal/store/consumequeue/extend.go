// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package consumequeue

// Extend moves Max up to index with blank entries, so that the next entry gets
// that offset. It does nothing when Max is there already. It is durable after the
// next Flush. ErrGap is wrapped as by Append.
func (q *Queue) Extend(index int64) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.usable(); err != nil || index <= q.max.Load() {
		return err
	}
	// The last blank entry is put by itself, so that a file holds it also when the
	// next one begins a file.
	err := q.fill(index - 1)
	if err == nil {
		err = q.push(blankEntry)
	}
	if err == nil {
		if q.min.Load() == q.max.Load() {
			q.min.Store(index)
		}
		q.max.Store(index)
	}
	if err != nil {
		return q.fail("extend to", index, err)
	}
	q.lastSure = false
	return nil
}

// Extended tells whether the last entry is blank, as Extend leaves it, and there
// are others: TruncatePhysical may take it away.
func (q *Queue) Extended() (bool, error) {
	q.mu.Lock()
	sure := q.lastSure
	q.mu.Unlock()
	low, high := q.min.Load(), q.max.Load()
	if sure || low == high {
		return false, nil
	}
	var buf [1]Entry
	entries, err := q.Read(buf[:0], high-1, 1)
	return len(entries) == 1 && entries[0].padding(), err
}

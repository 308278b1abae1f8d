// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package handler

import (
	"container/list"
	"sync"

	"github.com/twostage/twostage/internal/filter"
)

// Limits of what a kept keeps: how many texts, how many bytes they have together, and
// how many one has, which is enough for any tags of an expression of filter.MaxLength.
// What is made of one takes memory in proportion.
const (
	maxKept      = 1024
	maxKeptBytes = 2 << 20
	maxKeptText  = 4 * filter.MaxLength
)

// kept is what was made of the texts that were asked for last. It is safe for
// concurrent use; the zero value is empty.
type kept struct {
	mu     sync.Mutex
	byText map[string]*list.Element
	order  list.List // of *entry, the last asked for first
	bytes  int
}

type entry struct {
	text string
	made made
}

// made is a selection, or why there is none.
type made struct {
	selection *Selection
	err       error
}

func (k *kept) get(text string) (made, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	e, ok := k.byText[text]
	if !ok {
		return made{}, false
	}
	k.order.MoveToFront(e)
	return e.Value.(*entry).made, true
}

// put keeps m, unless the text is longer than maxKeptText, and forgets what is
// too much. Another may have been faster: what is returned is what is kept.
func (k *kept) put(text string, m made) made {
	if len(text) > maxKeptText {
		return m
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if e, ok := k.byText[text]; ok {
		return e.Value.(*entry).made
	}
	if k.byText == nil {
		k.byText = make(map[string]*list.Element)
	}
	k.byText[text] = k.order.PushFront(&entry{text, m})
	k.bytes += len(text)
	for len(k.byText) > maxKept || k.bytes > maxKeptBytes {
		last := k.order.Remove(k.order.Back()).(*entry)
		delete(k.byText, last.text)
		k.bytes -= len(last.text)
	}
	return m
}

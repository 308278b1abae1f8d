// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import "slices"

// failures are those of queues that have not worked since, the latest of each. It has
// no lock.
type failures []failure

type failure struct {
	of   Queue
	err  error
	tell bool // nobody was told of it
}

// note keeps a failure; tell has it told at once.
func (f *failures) note(q Queue, err error, tell bool) {
	f.clear(q)
	*f = append(*f, failure{q, err, tell})
}

// clear says that a queue works, or is of no interest any more.
func (f *failures) clear(q Queue) {
	*f = slices.DeleteFunc(*f, func(one failure) bool { return one.of == q })
}

// clearTopic is clear for the queues of a topic.
func (f *failures) clearTopic(topic string) {
	*f = slices.DeleteFunc(*f, func(one failure) bool { return one.of.Topic == topic })
}

// tell gives a failure that is to be told, once.
func (f failures) tell() error {
	for i := range f {
		if f[i].tell {
			f[i].tell = false
			return f[i].err
		}
	}
	return nil
}

// last is the latest failure; nil: there is none.
func (f failures) last() error {
	if len(f) == 0 {
		return nil
	}
	return f[len(f)-1].err
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package consume

import (
	"fmt"
	"math"
	"strings"
)

// register is a group's offset of a queue. Who asks for it gets what was stored
// last, or one of those values whose storing overlaps with others or with the
// question. A killed broker comes back with the value in its files.
type register struct {
	writes []write
}

// write is a value and the numbers of the events between which it was stored.
type write struct {
	asked, done int
	offset      int64
}

func (c *check) register(at place) *register {
	if c.registers[at] == nil {
		c.registers[at] = &register{writes: []write{{asked: -1, done: -1}}}
	}
	return c.registers[at]
}

func (r *register) write(asked int, offset int64) {
	r.writes = append(r.writes, write{asked: asked, done: math.MaxInt, offset: offset})
}

func (r *register) wrote(asked, done int) {
	for i := len(r.writes) - 1; i >= 0; i-- {
		if r.writes[i].asked == asked {
			r.writes[i].done = done
			return
		}
	}
}

// keep is what a killed broker has. What was answered before is forgotten; what
// was not may still come.
func (r *register) keep(now int, offset int64) {
	still := []write{{asked: now, done: now, offset: offset}}
	for _, w := range r.writes {
		if w.done == math.MaxInt {
			still = append(still, w)
		}
	}
	r.writes = still
}

// read holds an answer to a question against what may be stored. What a group
// that pops stores is the broker's own doing.
func (c *check) read(at place, asked int, offset int64) {
	if c.groups[at.group].pop {
		return
	}
	writes := c.register(at).writes
	// Overwritten is what was stored before the storing of another began that had
	// ended before the question.
	latest := math.MinInt
	for _, w := range writes {
		if w.done < asked {
			latest = max(latest, w.asked)
		}
	}
	var may []string
	for _, w := range writes {
		if w.done < latest {
			continue
		}
		if w.offset == offset {
			return
		}
		if len(may) < 8 {
			may = append(may, fmt.Sprint(w.offset))
		}
	}
	c.add(wrongOffset, "%s of group %s: %d was answered, stored may be %s", at.q, at.group, offset, strings.Join(may, ", "))
}

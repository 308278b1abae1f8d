// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package longpoll

// work bounds what all filters that one message is shown to may cost together, in
// ns: they run on the goroutine of the message's sender.
const work = 1 << 20

// maxShown bounds what is kept for the next message, in pulls.
const maxShown = 1024

// showing is a message being shown to the filters of pulls.
type showing struct {
	pulls    []*Pull
	verdicts []verdict          // of the pulls
	said     map[Filter]verdict // of the distinct filters
}

type verdict uint8

const (
	turnedDown verdict = iota
	taken
	unasked // it would have cost too much
)

// show asks each distinct filter once, as long as there is work left; one that costs
// more than that is not asked, others are. It is called without the lock.
func (s *showing) show(tagsCode int64, props []byte) {
	left := work
	for i, p := range s.pulls {
		f := p.Filter
		if i > 0 && f == s.pulls[i-1].Filter { // as those of one group, mostly
			s.verdicts = append(s.verdicts, s.verdicts[i-1])
			continue
		}
		v, ok := s.said[f]
		if !ok {
			v = unasked
			if cost := f.Cost(tagsCode, len(props)); cost <= left {
				left -= cost
				if v = turnedDown; f.Arrival(tagsCode, props) {
					v = taken
				}
			}
			if s.said == nil {
				s.said = make(map[Filter]verdict)
			}
			s.said[f] = v
		}
		s.verdicts = append(s.verdicts, v)
	}
}

// empty makes room for the next message, unless this one took too much.
func (s *showing) empty() bool {
	if cap(s.pulls) > maxShown || len(s.said) > maxShown {
		return false
	}
	clear(s.pulls)
	clear(s.said)
	s.pulls, s.verdicts = s.pulls[:0], s.verdicts[:0]
	return true
}

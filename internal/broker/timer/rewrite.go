// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package timer

import (
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/message"
)

// ErrRefused is the class of what Rewrite tells a sender.
var ErrRefused = errors.New("timer message refused")

// ErrNotEnabled is what a sender is told where there is no Service.
var ErrNotEnabled = errors.New("accurate timer message is not enabled, timerWheelEnable is false")

// propertyRoom is left free in the properties of what waits, for those that are
// added until it is delivered.
const propertyRoom = 160

// asked is what the properties of a message say about its time of delivery.
type asked struct {
	timed    bool
	relative bool  // ms is a delay, not a time
	ms       int64 // far times are math.MaxInt64/4
	bad      []byte
	recall   bool // TIMER_DEL_UNIQKEY
}

const farMillis = math.MaxInt64 / 4

// timerName tells whether a property may be one of a timer.
func timerName(name []byte) bool {
	return len(name) > 6 && name[0] == 'T' && string(name[:6]) == "TIMER_"
}

// read finds out what properties ask for. A message that has been through the
// wheel, or is in it, asks for nothing.
func read(props []byte) asked {
	var seconds, millis, deliver []byte
	var a asked
	through := false
	message.RangeProperties(props, func(name, value []byte) bool {
		if !timerName(name) {
			return true
		}
		switch string(name) {
		case message.PropertyTimerDelaySeconds:
			seconds = value
		case message.PropertyTimerDelayMillis:
			millis = value
		case message.PropertyTimerDeliver:
			deliver = value
		case message.PropertyTimerOut:
			through = true
		case message.PropertyTimerDeleteKey:
			a.recall = true
		}
		return true
	})
	if through {
		return asked{}
	}
	switch {
	case seconds != nil:
		a.relative = true
		a.number(seconds, 1000)
	case millis != nil:
		a.relative = true
		a.number(millis, 1)
	case deliver != nil:
		a.number(deliver, 1)
	}
	return a
}

func (a *asked) number(text []byte, unit int64) {
	a.timed = true
	n, err := strconv.ParseInt(string(text), 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange) && n > 0 || n > farMillis/unit:
		a.ms = farMillis
	case errors.Is(err, strconv.ErrRange) || n < -farMillis/unit:
		a.ms = -farMillis
	case err != nil:
		a.bad = text
	default:
		a.ms = n * unit
	}
}

// Timed tells whether properties ask for a time of delivery.
func Timed(props []byte) bool { return read(props).timed }

// Rewrite turns a record for a queue of topic into one that waits, if its
// properties ask for a time of delivery to come: q is the queue it waits in, out
// its properties, appended to scratch. ok is false, and nothing is appended, when
// they ask for none or for one that is over. An error, which wraps ErrRefused, is
// for the sender: no number, longer than MaxDelay, or a recall of what is over.
// topic may be one of the broker's own.
//
// Of several properties TIMER_DELAY_SEC wins, then TIMER_DELAY_MS, then
// TIMER_DELIVER_MS. It allocates only to grow scratch.
//
//	before  KEYS k  TIMER_DELIVER_MS 1700000000500
//	after   KEYS k  TIMER_DELIVER_MS 1700000000500  TIMER_OUT_MS 1700000000000  REAL_TOPIC t  REAL_QID 3
//
// Source: HookUtils.transformTimerMessage of Apache RocketMQ 5.3.3.
func (s *Service) Rewrite(topic string, queue int32, props, scratch []byte) (q *store.Queue, out []byte, ok bool, err error) {
	return s.rewrite(topic, queue, props, scratch, s.cfg.MaxDelay.Milliseconds())
}

// RewriteTaken is Rewrite for a message that was taken before: of a delay longer
// than MaxDelay nothing is said.
func (s *Service) RewriteTaken(topic string, queue int32, props, scratch []byte) (q *store.Queue, out []byte, ok bool, err error) {
	return s.rewrite(topic, queue, props, scratch, math.MaxInt64)
}

func (s *Service) rewrite(topic string, queue int32, props, scratch []byte, limit int64) (*store.Queue, []byte, bool, error) {
	a := read(props)
	if !a.timed {
		return nil, scratch, false, nil
	}
	if a.bad != nil {
		return nil, scratch, false, fmt.Errorf("%w: the time of delivery %q is no number of milliseconds or seconds", ErrRefused, a.bad)
	}
	now := s.clock.Wall()
	deliver := a.ms
	if a.relative {
		deliver = now + min(a.ms, farMillis)
	}
	if deliver <= now {
		if a.recall {
			return nil, scratch, false, fmt.Errorf("%w: what is to be recalled has been delivered", ErrRefused)
		}
		return nil, scratch, false, nil
	}
	if a.recall {
		if err := s.refuseRecall(s.floor(deliver)); err != nil {
			return nil, scratch, false, err
		}
	}
	if deliver-now > limit {
		return nil, scratch, false, fmt.Errorf("%w: the delay of %d ms is longer than the max delay %d ms (timerMaxDelaySec)", ErrRefused, deliver-now, limit)
	}
	out := scratch
	start := len(out)
	out = appendWithout(out, props, message.PropertyRealTopic, message.PropertyRealQueueID, message.PropertyTimerRollTimes)
	out = appendProperty(out, start, message.PropertyTimerOut)
	out = strconv.AppendInt(out, s.floor(deliver), 10)
	out = append(appendProperty(out, start, message.PropertyRealTopic), topic...)
	out = strconv.AppendInt(appendProperty(out, start, message.PropertyRealQueueID), int64(queue), 10)
	if n := len(out) - start; n > message.MaxPropertiesLength-propertyRoom {
		return nil, scratch, false, fmt.Errorf("%w: its properties have %d bytes, of a message that waits at most %d fit", ErrRefused, n, message.MaxPropertiesLength-propertyRoom)
	}
	return s.q, out, true, nil
}

// floor is TIMER_OUT_MS: the begin of the slot in which a time lies, where a slot
// has its end but not its begin.
func (s *Service) floor(ms int64) int64 { return (ms - 1) / s.precision * s.precision }

// The marks of properties text (see package message).
const (
	valueMark    = 0x01
	propertyMark = 0x02
)

// appendWithout appends properties but for those named.
func appendWithout(out, props []byte, names ...string) []byte {
	start := len(out)
	message.RangeProperties(props, func(name, value []byte) bool {
		for _, n := range names {
			if string(name) == n {
				return true
			}
		}
		if len(out) > start {
			out = append(out, propertyMark)
		}
		out = append(append(append(out, name...), valueMark), value...)
		return true
	})
	return out
}

// appendProperty appends the begin of a property.
func appendProperty(out []byte, start int, name string) []byte {
	if len(out) > start && out[len(out)-1] != propertyMark {
		out = append(out, propertyMark)
	}
	return append(append(out, name...), valueMark)
}

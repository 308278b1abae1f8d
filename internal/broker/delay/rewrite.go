// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package delay

import (
	"bytes"
	"math"
	"strconv"
	"time"

	"github.com/twostage/twostage/message"
)

// Levels are the delays of a broker (messageDelayLevel): Levels[0] is level 1.
type Levels []time.Duration

// Millis are the delays in ms, as store.Config.DelayLevels wants them.
func (l Levels) Millis() []int64 {
	ms := make([]int64, len(l))
	for i, d := range l {
		ms[i] = d.Milliseconds()
	}
	return ms
}

// Level reads the delay level out of properties text: 0 for none, for one that
// is no number and for those below 1; the highest for those above it.
func (l Levels) Level(props []byte) int {
	level, _ := l.level(props)
	return level
}

func (l Levels) level(props []byte) (level int, cut bool) {
	value, ok := message.Property(props, message.PropertyDelay)
	if !ok || len(l) == 0 {
		return 0, false
	}
	level = atoi(value)
	if level > len(l) {
		return len(l), true
	}
	return level, false
}

// atoi reads a positive decimal number, 0 for anything else. What does not fit
// becomes math.MaxInt32.
func atoi(b []byte) int {
	if len(b) > 1 && b[0] == '+' {
		b = b[1:]
	}
	if len(b) == 0 {
		return 0
	}
	n := 0
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0
		}
		n = min(n*10+int(c-'0'), math.MaxInt32)
	}
	return n
}

// Rewrite makes the properties of a record that is to wait before it reaches a
// queue of topic: REAL_TOPIC and REAL_QID name that queue, a level above the
// highest is cut to it, the times of delivery of RocketMQ 5 go, as there, everything else keeps its bytes and order (also WAIT).
// out is scratch with them behind. The record waits in queue level-1 of
// message.TopicSchedule. ok is false, and nothing is written, when props ask for
// no delay. It allocates only to grow scratch.
//
//	before  KEYS k  DELAY 40  WAIT true
//	after   KEYS k  WAIT true  DELAY 18  REAL_TOPIC t  REAL_QID 3
//
// Source: CommitLog.asyncPutMessage of Apache RocketMQ 4.9.8.
func (l Levels) Rewrite(topic string, queue int32, props, scratch []byte) (level int, out []byte, ok bool) {
	level, cut := l.level(props)
	if level == 0 {
		return 0, scratch, false
	}
	out, start := scratch, len(scratch)
	for len(props) > 0 {
		piece := props
		if i := bytes.IndexByte(props, propertyMark); i >= 0 {
			piece, props = props[:i], props[i+1:]
		} else {
			props = nil
		}
		if len(piece) == 0 || named(piece, message.PropertyRealTopic) || named(piece, message.PropertyRealQueueID) ||
			cut && named(piece, message.PropertyDelay) || len(piece) > 6 && string(piece[:6]) == "TIMER_" && asksForTime(piece) {
			continue
		}
		if len(out) > start {
			out = append(out, propertyMark)
		}
		out = append(out, piece...)
	}
	if cut {
		out = appendInt(begin(out, start, message.PropertyDelay), int64(level))
	}
	out = append(begin(out, start, message.PropertyRealTopic), topic...)
	out = appendInt(begin(out, start, message.PropertyRealQueueID), int64(queue))
	return level, out, true
}

// The marks of properties text (see package message).
const (
	valueMark    = 0x01
	propertyMark = 0x02
)

// asksForTime tells whether a property asks for another time than the level's,
// which counts.
func asksForTime(piece []byte) bool {
	return named(piece, message.PropertyTimerDeliver) || named(piece, message.PropertyTimerDelayMillis) || named(piece, message.PropertyTimerDelaySeconds)
}

func named(piece []byte, name string) bool {
	return len(piece) > len(name) && piece[len(name)] == valueMark && string(piece[:len(name)]) == name
}

func begin(out []byte, start int, name string) []byte {
	if len(out) > start {
		out = append(out, propertyMark)
	}
	return append(append(out, name...), valueMark)
}

func appendInt(dst []byte, n int64) []byte { return strconv.AppendInt(dst, n, 10) }

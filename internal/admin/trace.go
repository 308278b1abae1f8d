// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twostage/twostage/message"
)

// A trace message holds records, each behind the other, of fields:
//
//	record | 0x02 | record | 0x02 | ...        field | 0x01 | field | ...
//
//	Pub            time region group topic id tags keys storeHost bodyLength cost type offsetId success [clientHost]
//	               (before 4.5: without offsetId)
//	SubBefore      time region group requestId id retries keys
//	SubAfter       requestId id cost success keys [contextCode [time group]]
//	EndTransaction time region group topic id tags keys storeHost type transactionId state fromCheck
//	Recall         time region group topic id success
//
// Times are milliseconds since 1970, costs milliseconds, both of the client's clock.
// The id of a message is its unique key and a key of the trace message. Source:
// TraceDataEncoder of Apache RocketMQ.
const (
	traceFieldMark  = "\x01"
	traceRecordMark = "\x02"
	// traceMost bounds a trace message that was compressed, in bytes.
	traceMost = 16 << 20
)

// Kinds of trace events.
const (
	TraceSent     = "sent"
	TraceConsumed = "consumed" // or begun to be, while Result is empty
	TraceEnded    = "ended"    // its transaction
	TraceRecalled = "recalled" // a timer message that was to come
)

// TraceEvent is something that a client did with a message and told by a trace
// message.
type TraceEvent struct {
	Kind      string        `json:"kind"`
	Time      time.Time     `json:"time,omitzero"` // of the client's clock, when it began
	Cost      time.Duration `json:"costNanos,omitempty"`
	Group     string        `json:"group"`
	Client    string        `json:"client"` // host of the client
	Result    string        `json:"result,omitempty"`
	MessageID string        `json:"id"`
	Topic     string        `json:"topic,omitempty"`
	Tags      string        `json:"tags,omitempty"`
	Keys      string        `json:"keys,omitempty"`
	Type      string        `json:"type,omitempty"` // normal, half, committed, delay, order
	StoreHost string        `json:"storeHost,omitempty"`
	OffsetID  string        `json:"offsetId,omitempty"`
	BodySize  int64         `json:"bodySize,omitempty"` // bytes
	Retries   int64         `json:"retries,omitempty"`  // how often it was consumed before
	FromCheck bool          `json:"fromCheck,omitempty"`
	request   string        // ties the end of a consumption to its beginning
}

// ErrNoTrace: there is no trace of a message.
var ErrNoTrace = errors.New("no trace of the message")

// Trace gives what clients told of a message, in the order of their clocks: those that
// were set up to trace. id is its unique key; traceTopic is where traces are,
// message.TopicTrace when it is empty.
func (a *Admin) Trace(ctx context.Context, traceTopic, id string) ([]TraceEvent, error) {
	traceTopic = cmp.Or(traceTopic, message.TopicTrace)
	list, _, err := a.MessagesByKey(ctx, traceTopic, id, 0, 0, 0)
	if errors.Is(err, ErrNoMessage) || errors.Is(err, ErrNoTopic) {
		return nil, fmt.Errorf("%w %s in topic %s", ErrNoTrace, id, traceTopic)
	}
	if len(list) == 0 {
		return nil, err
	}
	errs := []error{err}
	var events []TraceEvent
	for _, m := range list {
		if err := m.Inflate(traceMost); err != nil {
			errs = append(errs, fmt.Errorf("trace message %s: %w", m.ID(), err))
			continue
		}
		for _, e := range traceEvents(string(m.Body)) {
			if e.MessageID == id {
				e.Client = cmp.Or(m.BornHost.Addr().String(), e.Client)
				events = append(events, e)
			}
		}
	}
	return merged(events), errors.Join(errs...)
}

// merged joins the end of each consumption with its beginning and sorts by time.
func merged(events []TraceEvent) []TraceEvent {
	var all []TraceEvent
	ends := map[string]TraceEvent{}
	for _, e := range events {
		if e.Kind == TraceConsumed && e.Result != "" {
			ends[e.request] = e
		} else {
			all = append(all, e)
		}
	}
	for i := range all {
		if end, ok := ends[all[i].request]; ok && all[i].Kind == TraceConsumed {
			all[i].Result, all[i].Cost = end.Result, end.Cost
			delete(ends, all[i].request)
		}
	}
	for _, e := range events {
		if end, ok := ends[e.request]; ok && e.Kind == TraceConsumed {
			if !end.Time.IsZero() {
				end.Time = end.Time.Add(-end.Cost)
			}
			all = append(all, end)
			delete(ends, e.request)
		}
	}
	slices.SortStableFunc(all, func(x, y TraceEvent) int { return x.Time.Compare(y.Time) })
	return all
}

// traceEvents reads a trace message. Records of a kind that is not known are left
// out, fields that are missing or no number are zero.
func traceEvents(text string) []TraceEvent {
	var all []TraceEvent
	for record := range strings.SplitSeq(text, traceRecordMark) {
		f := traceFields(strings.Split(record, traceFieldMark))
		switch f.text(0) {
		case "Pub":
			e := TraceEvent{
				Kind: TraceSent, Time: f.time(1), Group: f.text(3), Topic: f.text(4), MessageID: f.text(5), Tags: f.text(6), Keys: f.text(7),
				StoreHost: f.text(8), BodySize: f.number(9), Cost: f.cost(10), Type: f.messageType(11), OffsetID: f.text(12), Result: f.success(13),
				Client: f.text(14),
			}
			if len(f) == 13 {
				e.OffsetID, e.Result = "", f.success(12)
			}
			all = append(all, e)
		case "SubBefore":
			all = append(all, TraceEvent{
				Kind: TraceConsumed, Time: f.time(1), Group: f.text(3), request: f.text(4), MessageID: f.text(5), Retries: f.number(6), Keys: f.text(7),
			})
		case "SubAfter":
			e := TraceEvent{
				Kind: TraceConsumed, request: f.text(1), MessageID: f.text(2), Cost: f.cost(3), Result: f.success(4), Keys: f.text(5), Time: f.time(7), Group: f.text(8),
			}
			if reasons := []string{"", "timeout", "exception", "returned null", "failed"}; e.Result == traceFailed {
				if n := f.number(6); n > 0 && n < int64(len(reasons)) {
					e.Result = reasons[n]
				}
			}
			all = append(all, e)
		case "EndTransaction":
			all = append(all, TraceEvent{
				Kind: TraceEnded, Time: f.time(1), Group: f.text(3), Topic: f.text(4), MessageID: f.text(5), Tags: f.text(6), Keys: f.text(7),
				StoreHost: f.text(8), Type: f.messageType(9), Result: f.text(11), FromCheck: f.text(12) == "true",
			})
		case "Recall":
			all = append(all, TraceEvent{
				Kind: TraceRecalled, Time: f.time(1), Group: f.text(3), Topic: f.text(4), MessageID: f.text(5), Result: f.success(6),
			})
		}
	}
	return all
}

const traceFailed = "failed"

// traceFields is the fields of a record.
type traceFields []string

func (f traceFields) text(i int) string {
	if i >= len(f) || f[i] == "null" { // what Java writes for none
		return ""
	}
	return f[i]
}

func (f traceFields) number(i int) int64 {
	n, err := strconv.ParseInt(f.text(i), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

func (f traceFields) time(i int) time.Time {
	if n := f.number(i); n > 0 {
		return time.UnixMilli(n)
	}
	return time.Time{}
}

// cost is milliseconds; what would not fit is none.
func (f traceFields) cost(i int) time.Duration {
	const most = int64(1<<63-1) / int64(time.Millisecond)
	if n := f.number(i); n > 0 && n <= most {
		return time.Duration(n) * time.Millisecond
	}
	return 0
}

func (f traceFields) success(i int) string {
	switch f.text(i) {
	case "true":
		return "ok"
	case "":
		return "unknown"
	}
	return traceFailed
}

func (f traceFields) messageType(i int) string {
	names := []string{"normal", "half", "committed", "delay", "order"}
	if n := f.number(i); f.text(i) != "" && n >= 0 && n < int64(len(names)) {
		return names[n]
	}
	return f.text(i)
}

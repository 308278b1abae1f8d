// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/twostage/twostage/message"
)

// traced is records of Java's form.
func traced(records ...string) string {
	text := strings.Join(records, traceRecordMark) + traceRecordMark
	return strings.ReplaceAll(text, " ", traceFieldMark)
}

func TestTrace(t *testing.T) {
	s, a := newShelf(t)
	s.topic(message.TopicTrace, 1)
	put := func(millis int64, text string) {
		s.put(addrA, message.TopicTrace, 0, millis, message.Properties{"KEYS": "U1 U2"})
		list := s.stored[slot(addrA, message.TopicTrace, int32(0))]
		list[len(list)-1].Body = []byte(text)
	}
	// Clients send in the order that suits them.
	put(1, traced("SubAfter R1 U1 7 true k 0 1120 g1", "SubAfter R2 U1 9 false k 2 1300 g2"))
	put(2, traced("SubBefore 1110 region g1 R1 U1 2 k", "SubBefore 1111 region g3 R3 U1 0 ", "SubBefore 1 region g1 R9 U2 0 k", "Unknown 1"))
	put(3, traced("Pub 1100 region pg T U1 tag k 10.0.0.1:10911 5 4 0 OID true", "Recall 1105 region pg T U1 false",
		"EndTransaction 1103 region pg T U1 tag k 10.0.0.1:10911 2 X COMMIT_MESSAGE true"))
	events, err := a.Trace(t.Context(), "", "U1")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range events {
		got = append(got, fmt.Sprintf("%d %s %s %s %v retries=%d %s check=%v %s", e.Time.UnixMilli(), e.Kind, e.Group, e.Result, e.Cost, e.Retries, e.Type, e.FromCheck, e.Client))
	}
	want := []string{
		"1100 sent pg ok 4ms retries=0 normal check=false 10.1.1.1",
		"1103 ended pg COMMIT_MESSAGE 0s retries=0 committed check=true 10.1.1.1",
		"1105 recalled pg failed 0s retries=0  check=false 10.1.1.1",
		"1110 consumed g1 ok 7ms retries=2  check=false 10.1.1.1",
		"1111 consumed g3  0s retries=0  check=false 10.1.1.1", // has not told how it ended
		"1291 consumed g2 exception 9ms retries=0  check=false 10.1.1.1",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("have\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if _, err := a.Trace(t.Context(), "", "U3"); !errors.Is(err, ErrNoTrace) {
		t.Errorf("%v", err)
	}
	if _, err := a.Trace(t.Context(), "other", "U1"); !errors.Is(err, ErrNoTrace) || !strings.Contains(err.Error(), "other") {
		t.Errorf("%v", err)
	}
}

func FuzzTrace(f *testing.F) {
	f.Add(traced("Pub 1100 region pg T U1 tag k host 5 4 0 OID true", "SubBefore 1110 region g1 R1 U1 2 k", "SubAfter R1 U1 7 true k 0 1120 g1"))
	f.Add(traced("EndTransaction 1103 region pg T U1 tag k host 2 X COMMIT_MESSAGE true", "Recall 1105 region pg T U1 false"))
	f.Add(traced("SubAfter R U1 9223372036854775807 false k 99 -1 g"))
	f.Fuzz(func(t *testing.T, text string) {
		events := traceEvents(text)
		if most := strings.Count(text, traceRecordMark) + 1; len(events) > most {
			t.Errorf("%d events in %d records", len(events), most)
		}
		all := merged(events)
		if len(all) > len(events) {
			t.Errorf("%d of %d events", len(all), len(events))
		}
		for _, e := range all {
			if e.Cost < 0 || e.Kind == "" {
				t.Errorf("%+v", e)
			}
		}
	})
}

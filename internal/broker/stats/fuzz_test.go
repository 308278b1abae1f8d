// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package stats

import (
	"strings"
	"testing"
	"time"
)

// FuzzView asks for statistics by names and keys as tools may send them: what is not
// known is an error that names both, and nothing is made by being asked for.
func FuzzView(f *testing.F) {
	for _, name := range []string{"TOPIC_PUT_NUMS", "DLQ_PUT_NUMS", "GROUP_GET_SIZE", "GROUP_GET_LATENCY", "BROKER_PUT_NUMS_WITHOUT_SYSTEM_TOPIC", "QUEUE_PUT_NUMS", ""} {
		for _, key := range []string{"T", "T@g", "0@T@g", "@", "c", "%DLQ%g", ""} {
			f.Add(name, key)
		}
	}
	f.Fuzz(func(t *testing.T, name, key string) {
		s := New(Config{Cluster: "c", Now: time.Now})
		s.In("T", 1, 1)
		s.In("%DLQ%g", 1, 1)
		s.Out("g", "T", 1, 1, 1)
		v, err := s.View(name, key)
		if err != nil && (!strings.Contains(err.Error(), "<"+name+"> <"+key+">") || v != (View{})) {
			t.Errorf("%q %q: %+v, %v", name, key, v, err)
		}
		n := 0
		s.EachTopic(func(string, int64, int64) { n++ })
		s.EachGroup(func(string, string, int64, int64) { n++ })
		if n != 3 {
			t.Errorf("%q %q: %d counters", name, key, n)
		}
	})
}

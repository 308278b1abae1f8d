// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// queuesOf gives two queues of each broker.
func queuesOf(brokers ...string) (all []Queue) {
	for _, b := range brokers {
		all = append(all, Queue{"T", b, 0}, Queue{"T", b, 1})
	}
	return all
}

func TestStrategies(t *testing.T) {
	room := func(name string) string { room, _, _ := strings.Cut(name, "@"); return room }
	for _, tt := range []struct {
		name    string
		share   Strategy
		brokers []string
		want    string // shares of x@1 and y@2
	}{
		{"averagely", Averagely, []string{"a", "b"}, "[T/a/0 T/a/1] [T/b/0 T/b/1]"},
		{"by circle", ByCircle, []string{"a", "b"}, "[T/a/0 T/b/0] [T/a/1 T/b/1]"},
		{"by config", ByConfig(Queue{"T", "b", 1}, Queue{"T", "gone", 0}), []string{"a", "b"}, "[T/b/1] [T/b/1]"},
		{"by machine room", ByMachineRoom("x", "z"), []string{"plain", "x@a", "y@b", "z@c"}, "[T/x@a/0 T/x@a/1] [T/z@c/0 T/z@c/1]"},
		{"nearest machine room", NearestMachineRoom(Averagely, room, room), []string{"x@a", "y@b", "z@c"}, "[T/x@a/0 T/x@a/1 T/z@c/0] [T/y@b/0 T/y@b/1 T/z@c/1]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			members := []string{"x@1", "y@2"}
			var got []string
			for _, m := range members {
				got = append(got, fmt.Sprint(tt.share(queuesOf(tt.brokers...), members, m)))
			}
			if have := strings.Join(got, " "); have != tt.want {
				t.Errorf("shares %s, want %s", have, tt.want)
			}
			if got := tt.share(queuesOf("a"), members, "stranger"); len(got) > 0 {
				t.Errorf("a stranger got %v", got)
			}
		})
	}
}

// Java's client hashes what it prints of a queue.
func TestConsistentHashCoversAll(t *testing.T) {
	all, members := queuesOf("a", "b", "c", "d"), []string{"10.0.0.1@1", "10.0.0.2@1", "10.0.0.3@1"}
	var got []Queue
	for _, m := range members {
		got = append(got, ConsistentHash(10)(all, members, m)...)
	}
	slices.SortFunc(got, cmpQueues)
	if !slices.Equal(got, all) {
		t.Errorf("shares cover %v", got)
	}
	if got := javaName(all[1]); got != "MessageQueue [topic=T, brokerName=a, queueId=1]" {
		t.Errorf("hashes %q", got)
	}
}

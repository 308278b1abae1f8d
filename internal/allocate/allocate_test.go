// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package allocate

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func averagely(q []int, m []string, self string) []int {
	return Averagely(q, slices.Index(m, self), len(m))
}

func byCircle(q []int, m []string, self string) []int {
	return ByCircle(q, slices.Index(m, self), len(m))
}

func endToLast(q []int, m []string, self string) []int {
	return EndToLast(q, slices.Index(m, self), len(m))
}

func onRing(q []int, m []string, self string) []int {
	return ConsistentHash(q, queueName, m, self, 10)
}

// queueName is what Java's MessageQueue prints.
func queueName(q int) string {
	return "MessageQueue [topic=T, brokerName=broker-a, queueId=" + strconv.Itoa(q) + "]"
}

func nearest(q []int, m []string, self string) []int {
	return Nearest(q, m, self, averagely, func(q int) string { return strconv.Itoa(q % 3) }, func(m string) string { return m[:1] })
}

func numbers(n int) (all []int) {
	for i := range n {
		all = append(all, i)
	}
	return all
}

func TestSharesAsRocketMQ(t *testing.T) {
	tests := []struct {
		name    string
		share   Share[int]
		queues  int
		members string
		want    string
	}{
		{"averagely, uneven", averagely, 8, "a b c", "[0 1 2] [3 4 5] [6 7]"},
		{"averagely, more members than queues", averagely, 2, "a b c", "[0] [1] []"},
		{"by circle", byCircle, 8, "a b c", "[0 3 6] [1 4 7] [2 5]"},
		{"end to last", endToLast, 8, "a b c", "[0 1 6] [2 3 7] [4 5]"},
		{"nearest, a room without members", nearest, 7, "0x 0y 1x", "[0 3 2] [6 5] [1 4]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			members := strings.Fields(tt.members)
			var got []string
			for _, m := range members {
				got = append(got, fmt.Sprint(tt.share(numbers(tt.queues), members, m)))
			}
			if have := strings.Join(got, " "); have != tt.want {
				t.Errorf("shares %s, want %s", have, tt.want)
			}
		})
	}
}

// Whatever the members and queues are, every queue has exactly one owner, and who is
// not a member has none.
func TestEveryQueueHasOneOwner(t *testing.T) {
	for name, share := range map[string]Share[int]{
		"averagely": averagely, "by circle": byCircle, "end to last": endToLast, "consistent hash": onRing, "nearest": nearest,
	} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				queues := numbers(rapid.IntRange(0, 40).Draw(t, "queues"))
				members := rapid.SliceOfNDistinct(rapid.StringMatching(`[0-4]@[a-z]{1,4}`), 1, 12, rapid.ID[string]).Draw(t, "members")
				slices.Sort(members)
				var all []int
				for _, m := range members {
					all = append(all, share(queues, members, m)...)
				}
				slices.Sort(all)
				if !slices.Equal(all, queues) {
					t.Fatalf("shares of %q cover %v, want each of %d queues once", members, all, len(queues))
				}
				if got := share(queues, members, "9@stranger"); len(got) > 0 {
					t.Fatalf("a stranger got %v", got)
				}
			})
		})
	}
}

// Where the places of members on the ring are is part of the protocol: members of
// one group may run RocketMQ's clients.
func TestConsistentHashMovesFew(t *testing.T) {
	queues := numbers(64)
	four := []string{"10.0.0.1@1", "10.0.0.2@1", "10.0.0.3@1", "10.0.0.4@1"}
	before := make(map[int]string)
	for _, m := range four {
		for _, q := range onRing(queues, four, m) {
			before[q] = m
		}
	}
	moved := 0
	for _, m := range four[:3] {
		for _, q := range onRing(queues, four[:3], m) {
			if before[q] != m && before[q] != four[3] {
				moved++
			}
		}
	}
	if moved > 0 {
		t.Errorf("%d queues of members that stayed changed their owner", moved)
	}
	if got := hash("10.0.0.1@1-0"); got != 0xb2b6568d {
		t.Errorf("hash %#x, want the first bytes of the MD5 sum", got)
	}
}

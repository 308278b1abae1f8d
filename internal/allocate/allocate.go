// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package allocate

import (
	"cmp"
	"crypto/md5"
	"encoding/binary"
	"slices"
	"strconv"
)

// Averagely gives the member with an index among n a run of neighbours; the first
// members get one queue more where it does not come out even (AVG).
func Averagely[Q any](queues []Q, index, n int) []Q {
	if index < 0 || index >= n {
		return nil
	}
	each, more := len(queues)/n, len(queues)%n
	from := index*each + min(index, more)
	if index < more {
		each++
	}
	return slices.Clone(queues[from : from+each])
}

// ByCircle deals the queues out one by one (AVG_BY_CIRCLE).
func ByCircle[Q any](queues []Q, index, n int) (share []Q) {
	if index < 0 || index >= n {
		return nil
	}
	for i := index; i < len(queues); i += n {
		share = append(share, queues[i])
	}
	return share
}

// EndToLast is Averagely, with the queues that are over dealt out from the end of
// the list: what MACHINE_ROOM does with the queues of its rooms.
func EndToLast[Q any](queues []Q, index, n int) []Q {
	if index < 0 || index >= n {
		return nil
	}
	each := len(queues) / n
	share := slices.Clone(queues[index*each : (index+1)*each])
	if over := index + each*n; over < len(queues) {
		share = append(share, queues[over])
	}
	return share
}

// ConsistentHash puts each member at so many places of a ring and gives it the
// queues whose names, by name, hash to before one of its places (CONSISTENT_HASH):
// few queues move when a member comes or goes.
func ConsistentHash[Q any](queues []Q, name func(Q) string, members []string, self string, places int) (share []Q) {
	type place struct {
		hash   uint32
		member string
	}
	var ring []place
	for _, m := range members {
		for i := range places {
			ring = append(ring, place{hash(m + "-" + strconv.Itoa(i)), m})
		}
	}
	// Of two members at one place the later one has it.
	slices.SortStableFunc(ring, func(a, b place) int { return cmp.Compare(a.hash, b.hash) })
	kept := ring[:0]
	for i, p := range ring {
		if i+1 == len(ring) || ring[i+1].hash != p.hash {
			kept = append(kept, p)
		}
	}
	if len(kept) == 0 {
		return nil
	}
	for _, q := range queues {
		at, _ := slices.BinarySearchFunc(kept, hash(name(q)), func(p place, h uint32) int { return cmp.Compare(p.hash, h) })
		if kept[at%len(kept)].member == self {
			share = append(share, q)
		}
	}
	return share
}

// hash is the first four bytes of the MD5 sum, which is RocketMQ's choice.
func hash(s string) uint32 {
	sum := md5.Sum([]byte(s))
	return binary.BigEndian.Uint32(sum[:])
}

// Share is a strategy that does not look at names: Averagely or ByCircle.
type Share[Q any] func(queues []Q, members []string, self string) []Q

// Nearest has the queues of a room shared by the members in that room, and those
// of rooms without members by all (MACHINE_ROOM_NEARBY).
func Nearest[Q any](queues []Q, members []string, self string, share Share[Q], queueRoom func(Q) string, memberRoom func(string) string) []Q {
	near := make(map[string][]string)
	for _, m := range members {
		near[memberRoom(m)] = append(near[memberRoom(m)], m)
	}
	var rooms []string
	in := make(map[string][]Q)
	for _, q := range queues {
		room := queueRoom(q)
		if in[room] == nil {
			rooms = append(rooms, room)
		}
		in[room] = append(in[room], q)
	}
	slices.Sort(rooms)
	var mine []Q
	for _, room := range rooms {
		switch {
		case room == memberRoom(self):
			mine = append(mine, share(in[room], near[room], self)...)
		case near[room] == nil:
			mine = append(mine, share(in[room], members, self)...)
		}
	}
	return mine
}

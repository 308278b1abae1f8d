// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/wire/body"
)

// newRewind is a shelf whose topic T has two queues on each broker: those with id 0
// have messages of the times 100, 200 and 300. Group g is at 11 in them.
func newRewind(t *testing.T) (*shelf, *Admin) {
	s, a := newShelf(t)
	s.topic("T", 2)
	s.group("g", addrA, addrB)
	for _, addr := range []string{addrA, addrB} {
		for _, millis := range []int64{100, 200, 300} {
			s.put(addr, "T", 0, millis, nil)
		}
		s.places[slot(addr, "g", "T", int32(0))] = 11
		s.places[slot(addr, "g", "T", int32(1))] = -1
	}
	return s, a
}

func moves(list []Move) string {
	var all []string
	for _, m := range list {
		all = append(all, fmt.Sprintf("%s%d:%d>%d again %d skipped %d", m.Broker, m.ID, m.From, m.To, m.Again(), m.Skipped()))
	}
	return strings.Join(all, ", ")
}

func TestMoves(t *testing.T) {
	s, a := newRewind(t)
	for _, c := range []struct {
		r    Reset
		want string
	}{
		{Reset{}, "a0:11>10 again 1 skipped 0, a1:-1>10 again 0 skipped 0, b0:11>10 again 1 skipped 0, b1:-1>10 again 0 skipped 0"},
		{Reset{To: Latest()}, "a0:11>13 again 0 skipped 2, a1:-1>10 again 0 skipped 0, b0:11>13 again 0 skipped 2, b1:-1>10 again 0 skipped 0"},
		{Reset{To: AtTime(time.UnixMilli(201)), Broker: "b"}, "b0:11>12 again 0 skipped 1"},
		{Reset{To: AtTime(time.UnixMilli(999)), Broker: "b", RewindOnly: true}, "b0:11>11 again 0 skipped 0"},
		{Reset{To: AtOffset(13), Broker: "a"}, "a0:11>13 again 0 skipped 2"},
		{Reset{To: AtOffset(10), Broker: "a", Queue: 1}, "a1:-1>10 again 0 skipped 0"},
	} {
		c.r.Group, c.r.Topic = "g", "T"
		list, err := a.Moves(t.Context(), c.r)
		if got := moves(list); err != nil || got != c.want {
			t.Errorf("%+v: %s, %v, want %s", c.r, got, err, c.want)
		}
	}
	if s.acts != nil {
		t.Errorf("looking changed something: %q", s.acts)
	}
	for want, r := range map[string]Reset{
		"offset 14: it has those from 10 to 13": {To: AtOffset(14), Broker: "a"},
		"no queue 2 at broker a":                {Broker: "a", Queue: 2},
		"no queue 0 at broker z":                {Broker: "z"},
		"no such topic: gone":                   {Topic: "gone"},
		"no such consumer group: nobody":        {Group: "nobody"},
	} {
		r.Group, r.Topic = cmp.Or(r.Group, "g"), cmp.Or(r.Topic, "T")
		if _, err := a.Moves(t.Context(), r); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %s", r, err, want)
		}
	}
}

func TestReset(t *testing.T) {
	const byTime = "a reset T/0 to 11 force=true,a reset T/1 to 10 force=true,b reset T/0 to 11 force=true,b reset T/1 to 10 force=true"
	for name, c := range map[string]struct {
		r      Reset
		config string // of the broker
		lazy   bool   // it leaves resets to consumers, of which none is there
		online bool
		acts   string
		err    error
	}{
		"by time, by each broker itself": {r: Reset{To: AtTime(time.UnixMilli(200))}, config: "useServerSideResetOffset=true", acts: byTime},
		"by time, by consumers":          {r: Reset{To: AtTime(time.UnixMilli(200))}, online: true, acts: byTime},
		"by time, nobody who would do it": {r: Reset{To: Earliest()}, lazy: true,
			acts: "a set T/0 to 10,a set T/1 to 10,b set T/0 to 10,b set T/1 to 10"},
		"never forward, where Force may not be looked at": {r: Reset{To: Latest(), RewindOnly: true}, config: "useServerSideResetOffset=true",
			acts: "a reset T/1 to 10 force=true,b reset T/1 to 10 force=true"},
		"never forward, where it is": {r: Reset{To: Latest(), RewindOnly: true}, online: true,
			acts: "a reset T/0 to 13 force=false,a reset T/1 to 10 force=false,b reset T/0 to 13 force=false,b reset T/1 to 10 force=false"},
		"one queue": {r: Reset{To: Latest(), Broker: "b"}, config: "useServerSideResetOffset=true", online: true, acts: "b reset T/0 to 13 force=true"},
		"one queue of a broker that would move all":  {r: Reset{To: AtOffset(12), Broker: "a"}, config: "useServerSideResetOffset=false", acts: "a set T/0 to 12"},
		"one queue of one before 5.0":                {r: Reset{To: AtOffset(12), Broker: "a"}, acts: "a set T/0 to 12"},
		"one that would move all, clients are there": {r: Reset{To: AtOffset(12), Broker: "a"}, online: true, err: ErrWholeTopic},
	} {
		t.Run(name, func(t *testing.T) {
			s, a := newRewind(t)
			s.lazy, s.config = c.lazy, c.config
			if c.online {
				s.online["g"] = body.ConsumerConnection{ConnectionSet: []body.Connection{{ClientID: "one"}}}
			}
			c.r.Group, c.r.Topic = "g", "T"
			planned, err := a.Moves(t.Context(), c.r)
			if err != nil {
				t.Fatal(err)
			}
			done, err := a.Reset(t.Context(), c.r)
			if got := strings.Join(s.acts, ","); got != c.acts || !errors.Is(err, c.err) || err == nil && len(done) != len(planned) {
				t.Errorf("%s, %s, %v", got, moves(done), err)
			}
		})
	}
}

func TestResetNamesTheBrokerThatFails(t *testing.T) {
	s, a := newRewind(t)
	s.places = map[string]int64{}
	s.w.refusing = addrB
	done, err := a.Reset(t.Context(), Reset{Group: "g", Topic: "T", Broker: "a", To: Latest()})
	if err != nil || moves(done) != "a0:-1>13 again 0 skipped 3" {
		t.Errorf("%s, %v", moves(done), err)
	}
	if _, err := a.Reset(t.Context(), Reset{Group: "g", Topic: "T", To: Latest()}); err == nil || !strings.Contains(err.Error(), "broker b: ") {
		t.Errorf("%v", err)
	}
}

// A group and a topic of the same names in another cluster are others.
func TestMovesInOneCluster(t *testing.T) {
	s, a := newRewind(t)
	s.w.broker("D", "c", addrC, 0)
	s.names[addrC] = "c"
	r := Reset{Group: "g", Topic: "T", To: Latest()}
	if _, err := a.Reset(t.Context(), r); !errors.Is(err, ErrCluster) || !strings.Contains(err.Error(), "C, D") || s.acts != nil {
		t.Errorf("%v, %q", err, s.acts)
	}
	if _, err := a.CloneOffsets(t.Context(), "", "g", "h", ""); !errors.Is(err, ErrCluster) || s.acts != nil {
		t.Errorf("%v, %q", err, s.acts)
	}
	r.Cluster = "D"
	if _, err := a.Reset(t.Context(), r); !errors.Is(err, ErrNoGroup) || s.acts != nil {
		t.Errorf("%v, %q", err, s.acts)
	}
	r.Cluster = "C"
	if done, err := a.Reset(t.Context(), r); err != nil || len(done) != 4 {
		t.Errorf("%s, %v", moves(done), err)
	}
}

func TestCloneOffsets(t *testing.T) {
	s, a := newRewind(t)
	if _, err := a.CloneOffsets(t.Context(), "", "g", "h", ""); !errors.Is(err, ErrNoGroup) || s.acts != nil {
		t.Errorf("to a group that is not there: %v, %q", err, s.acts)
	}
	s.group("h", addrB)
	s.topic("U", 1)
	s.places[slot(addrB, "g", "U", int32(0))] = 10
	topics, err := a.CloneOffsets(t.Context(), "", "g", "h", "")
	if want := []string{"a clone g to h in T", "b clone g to h in T", "b clone g to h in U"}; err != nil || !slices.Equal(s.acts, want) || !slices.Equal(topics, []string{"T", "U"}) {
		t.Errorf("%q, %v, %v", s.acts, topics, err)
	}
	s.acts = nil
	if _, err := a.CloneOffsets(t.Context(), "C", "g", "h", "U"); err != nil || !slices.Equal(s.acts, []string{"b clone g to h in U"}) {
		t.Errorf("%q, %v", s.acts, err)
	}
	if _, err := a.CloneOffsets(t.Context(), "", "nobody", "h", ""); !errors.Is(err, ErrNoProgress) {
		t.Errorf("%v", err)
	}
}

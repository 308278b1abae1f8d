// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package pop

import (
	"errors"
	"fmt"
	"testing"

	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire/body"
)

// deleteTopic deletes T as the broker does, up to where told is whether pop
// consumption is told, and makes it again.
func (r *rig) remake(told bool) {
	r.t.Helper()
	c := r.names.topics["T"]
	delete(r.names.topics, "T")
	r.must(r.st.DeleteTopic("T"))
	if told {
		r.must(r.s.ForgetTopics("T"))
	}
	r.offsets.DeleteTopic("T")
	r.must(r.offsets.Flush())
	r.names.topics["T"] = c
}

// TestTopicMadeAgain: of a topic that was deleted nothing applies to one of its
// name: no ack, no offset, nothing in flight, also after kills, and when one came
// before pop consumption was told.
func TestTopicMadeAgain(t *testing.T) {
	for _, order := range []bool{false, true} {
		for _, told := range []bool{false, true} {
			for _, noted := range []bool{false, true} {
				for _, kill := range []bool{false, true} {
					if !told && !kill {
						continue
					}
					t.Run(fmt.Sprintf("order %v told %v noted %v kill %v", order, told, noted, kill), func(t *testing.T) {
						r := newRig(t)
						r.must(r.send(0, "o0", "o1", "o2"))
						req := Request{Group: "g", Topic: "T", Queue: 0, Max: 3, Invisible: 1000, Order: order}
						list, err := r.pop(req)
						if err != nil || len(list) != 3 {
							t.Fatalf("%+v %v", list, err)
						}
						r.must(r.ack(&list[1]))
						r.must(r.ack(&list[2]))
						if noted {
							r.must(r.s.Note())
						}
						r.remake(told)
						r.must(r.send(0, "n0", "n1", "n2", "n3"))
						if kill {
							r.restart((*vfs.Mem).Kill)
						}
						if s := r.s.Stats(); s.Open != 0 {
							t.Errorf("open is %+v", s)
						}
						req.Max = 4
						if list, err = r.pop(req); err != nil || len(list) != 4 || list[0].text != "n0" {
							t.Fatalf("given %+v, %v", list, err)
						}
						old := list[1].handle
						old.PopTime -= 5
						if err := r.s.Ack("g", "T", 0, &old, 1); err != nil {
							t.Errorf("an old handle: %v", err)
						}
						r.now += 1000
						r.must(r.turn())
						if list, err = r.pop(Request{Group: "g", Topic: "T", Queue: -1, Max: 4, Invisible: 1000, Order: order}); err != nil || len(list) != 4 {
							t.Errorf("given again %+v, %v", list, err)
						}
					})
				}
			}
		}
	}
}

// TestForgetGroup: nothing of a group that was deleted with its offsets comes back,
// not with a kill either.
func TestForgetGroup(t *testing.T) {
	for _, kill := range []bool{false, true} {
		r := newRig(t)
		r.must(r.send(0, "a", "b"))
		req := Request{Group: "g", Topic: "T", Queue: 0, Max: 1, Invisible: 1000}
		if _, err := r.pop(req); err != nil {
			t.Fatal(err)
		}
		r.must(r.s.ForgetGroup("g"))
		r.offsets.DeleteGroup("g")
		r.must(r.offsets.Flush())
		if kill {
			r.restart((*vfs.Mem).Kill)
		}
		r.must(r.turn())
		if off, known := r.offsets.Query("g", "T", 0); known {
			t.Errorf("killed %v: an offset is back: %d", kill, off)
		}
		r.now += 5000
		r.must(r.turn())
		if s := r.s.Stats(); s.Revived != 0 || s.Open != 0 {
			t.Errorf("killed %v: %+v", kill, s)
		}
		if list, err := r.pop(req); err != nil || len(list) != 1 || list[0].text != "a" {
			t.Errorf("killed %v: %+v %v", kill, list, err)
		}
	}
}

// TestDeletedWhilePopped: a pop that is under way when its topic is deleted leaves
// nothing behind.
func TestDeletedWhilePopped(t *testing.T) {
	for _, order := range []bool{false, true} {
		r := newRig(t)
		r.must(r.send(0, "a"))
		f := r.faults()
		f.entered, f.leave = make(chan struct{}), make(chan error)
		done := make(chan error)
		go func() {
			_, err := r.pop(Request{Group: "g", Topic: "T", Queue: 0, Max: 1, Invisible: 1000, Order: order})
			done <- err
		}()
		<-f.entered
		r.must(r.st.DeleteTopic("T"))
		f.leave <- nil
		if err := <-done; !errors.Is(err, ErrAgain) {
			t.Errorf("in order %v: %v", order, err)
		}
		if s := r.s.Stats(); s.Open != 0 || len(r.s.orders.table) != 0 || len(r.s.pending) != 0 {
			t.Errorf("in order %v: %+v %v %v", order, s, r.s.orders.table, r.s.pending)
		}
	}
}

// TestOffsetMovedMeanwhile: an offset that waits for the disk is not committed over
// one that somebody has set since.
func TestOffsetMovedMeanwhile(t *testing.T) {
	r := newRig(t)
	r.s.cfg.Sync = false
	r.must(r.send(0, "a", "b", "c", "d"))
	req := Request{Group: "g", Topic: "T", Queue: 0, Max: 1, Invisible: 1000}
	for range 2 {
		if _, err := r.pop(req); err != nil {
			t.Fatal(err)
		}
	}
	if len(r.s.pending) != 1 {
		t.Fatalf("nothing waits: %+v", r.s.pending)
	}
	r.offsets.Commit("g", "T", 0, 3)
	r.must(r.turn())
	r.must(r.turn())
	r.must(r.s.Note())
	if off, _ := r.offsets.Query("g", "T", 0); off != 3 {
		t.Errorf("the offset is %d", off)
	}
	if list, err := r.pop(req); err != nil || len(list) != 1 || list[0].text != "d" {
		t.Errorf("%+v %v", list, err)
	}
}

// TestReviveOffsetWaits: a checkpoint that has arrived in its revive queue before the
// tables have it counts as open.
func TestReviveOffsetWaits(t *testing.T) {
	r := newRig(t)
	r.must(r.send(0, "a"))
	r.s.cfg.Delays = nil // it arrives at once
	list, err := r.pop(Request{Group: "g", Topic: "T", Queue: 0, Max: 1, Invisible: 1000})
	r.must(err)
	r.must(r.turn())
	id := list[0].handle.Revive
	q := r.st.LookupQueue(ReviveTopic("c"), id)
	if off, known := r.offsets.Query(ReviveGroup, ReviveTopic("c"), id); q == nil || q.Max() != 1 || known && off >= 0 {
		t.Fatalf("the open checkpoint counts as dealt with: %d %v", off, known)
	}
	r.must(r.ack(&list[0]))
	r.must(r.turn())
	r.must(r.turn())
	if off, known := r.offsets.Query(ReviveGroup, ReviveTopic("c"), id); !known || off != 1 {
		t.Errorf("after the ack %d %v", off, known)
	}
}

// slowTopics make a topic only when they may.
type slowTopics struct {
	topicNames
	entered, leave chan struct{}
}

func (n slowTopics) Ensure(name string, queues, perm, sysFlag int32) (*body.TopicConfig, error) {
	n.entered <- struct{}{}
	<-n.leave
	return n.topicNames.Ensure(name, queues, perm, sysFlag)
}

// TestSettleWaitsForRevivals: once it has returned, nothing makes a retry topic of a
// topic that was deleted before.
func TestSettleWaitsForRevivals(t *testing.T) {
	r := newRig(t)
	r.must(r.send(0, "a", "b"))
	req := Request{Group: "g", Topic: "T", Queue: 0, Max: 1, Invisible: 1000}
	for range 2 {
		if list, err := r.pop(req); err != nil || len(list) != 1 {
			t.Fatal(list, err)
		}
		r.now += 500
	}
	slow := slowTopics{topicNames{r.names}, make(chan struct{}), make(chan struct{})}
	r.s.cfg.Topics = slow
	// The first is due, the second not yet.
	revived, settled := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(revived)
		r.s.due(t.Context())
	}()
	<-slow.entered
	delete(r.names.topics, "T") // not read while Ensure waits
	began := make(chan struct{})
	go func() {
		defer close(settled)
		close(began)
		r.s.Settle()
		retry := RetryTopic("g", "T", RetryV1)
		if r.names.topics[retry] == nil {
			t.Error("a topic is being made while Settle has returned")
		}
		delete(r.names.topics, retry)
	}()
	<-began
	slow.leave <- struct{}{}
	<-revived
	<-settled
	r.s.cfg.Topics = slow.topicNames
	r.now += 5000
	r.must(r.turn())
	if s := r.s.Stats(); len(r.names.topics) != 0 || s.Revived != 1 || s.InFlight != 0 {
		t.Errorf("there are the topics %v; %+v", r.names.topics, s)
	}
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package txn

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/message"
)

// TestRule1DecisionsFromEverywhere: many connections store half messages at once and
// three decide about each, two for a commit and one for a rollback. Each question
// has one answer, each transaction one outcome, and the answers agree with it.
func TestRule1DecisionsFromEverywhere(t *testing.T) {
	for _, change := range [][]option{nil, {syncFlush}} {
		synctest.Test(t, func(t *testing.T) {
			r := start(t, vfs.NewMem(), newMarks(), change...)
			const conns, each = 8, 40
			var answers, commits, rollbacks atomic.Int32
			var all sync.WaitGroup
			for c := range conns {
				all.Go(func() {
					for i := range each {
						at, err := r.tryHalf(prepared("g", fmt.Sprint(c, "-", i)))
						if err != nil {
							t.Error(err)
							return
						}
						var ok [3]atomic.Int32
						var one sync.WaitGroup
						one.Add(3)
						for n, o := range []Outcome{Commit, Commit, Rollback} {
							go r.svc.End(End{Group: "g", QueueOffset: at.QueueOffset, Physical: at.PhysicalOffset, Outcome: o}, func(code int32, _ string) {
								answers.Add(1)
								if code == wire.Success {
									ok[n].Add(1)
								}
								one.Done()
							})
						}
						one.Wait()
						switch {
						case ok[0].Load() == 1 && ok[1].Load() == 1 && ok[2].Load() == 0:
							commits.Add(1)
						case ok[0].Load() == 0 && ok[1].Load() == 0 && ok[2].Load() == 1:
							rollbacks.Add(1)
						default:
							t.Errorf("%d-%d: commits %d and %d, rollback %d", c, i, ok[0].Load(), ok[1].Load(), ok[2].Load())
						}
					}
				})
			}
			all.Wait()
			got := map[string]int{}
			for _, rec := range r.records("T", 2) {
				got[property(&rec, message.PropertyUniqueKey)]++
			}
			ops := len(r.records(message.TopicOpHalf, 0))
			if answers.Load() != 3*conns*each || len(got) != int(commits.Load()) || int(commits.Load()+rollbacks.Load()) != conns*each || ops != conns*each {
				t.Errorf("%d answers, %d committed, %d rolled back, %d in the topic, %d op messages", answers.Load(), commits.Load(), rollbacks.Load(), len(got), ops)
			}
			for key, n := range got {
				if n != 1 {
					t.Errorf("%s is in the topic %d times", key, n)
				}
			}
			r.stop()
			if half, op := r.marks.get(); half != conns*each || op != conns*each {
				t.Errorf("marks %d %d at the end, want %d", half, op, conns*each)
			}
		})
	}
}

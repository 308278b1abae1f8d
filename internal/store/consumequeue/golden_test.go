// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package consumequeue_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"github.com/twostage/twostage/internal/store/consumequeue"
	"github.com/twostage/twostage/internal/vfs"
)

const goldenDir = "../../../testdata/golden/"

// manifest is what Apache RocketMQ 4.9.8 read from a store directory of its own.
type manifest struct {
	Queues               []goldenQueue
	ConsumeQueuesAsFound []goldenQueue // after a kill, before its recovery
	Messages             []struct {
		Topic   string
		QueueID int32
		CQ      struct {
			Index, Offset int64
			Size          int32
			TagsCode      int64
		}
	}
}

type goldenQueue struct {
	Topic                                 string
	QueueID                               int32
	MinOffset, MaxOffset, MaxPhysicOffset int64
}

var goldens = []struct {
	name     string
	fileSize int64
	clean    bool
}{
	{"store-clean", 600, true},
	{"store-killed", 2000, false},
}

func readManifest(t testing.TB, name string) (m manifest) {
	t.Helper()
	data, err := os.ReadFile(goldenDir + name + ".manifest.json")
	must(t, err)
	must(t, json.Unmarshal(data, &m))
	if len(m.Messages) == 0 || len(m.Queues) == 0 {
		t.Fatal("the manifest lists nothing")
	}
	return m
}

func openGolden(t testing.TB, name string, fileSize int64, clean bool) (*vfs.Mem, *consumequeue.Set) {
	t.Helper()
	m := vfs.NewMem()
	copyTree(t, m, goldenDir+name+"/consumequeue", dir)
	s, err := consumequeue.Open(consumequeue.Options{FS: m, Dir: dir, FileSize: fileSize, MaxOpen: 5, Clean: clean})
	must(t, err)
	return m, s
}

func TestGoldenQueues(t *testing.T) {
	for _, g := range goldens {
		t.Run(g.name, func(t *testing.T) {
			mf := readManifest(t, g.name)
			_, s := openGolden(t, g.name, g.fileSize, g.clean)
			defer s.Close()
			want := mf.Queues
			if !g.clean {
				want = mf.ConsumeQueuesAsFound
			}
			known := 0
			for _, w := range want {
				q, ok := s.Lookup(w.Topic, w.QueueID)
				if w.MaxOffset == 0 {
					continue // RocketMQ makes these in memory
				}
				known++
				if !ok {
					t.Errorf("no queue %s-%d", w.Topic, w.QueueID)
					continue
				}
				if q.Min() != w.MinOffset || q.Max() != w.MaxOffset || q.MaxPhysical() != w.MaxPhysicOffset {
					t.Errorf("%s-%d: [%d,%d) physical %d, want [%d,%d) physical %d", w.Topic, w.QueueID,
						q.Min(), q.Max(), q.MaxPhysical(), w.MinOffset, w.MaxOffset, w.MaxPhysicOffset)
				}
			}
			s.Range(func(string, int32, *consumequeue.Queue) bool { known--; return true })
			if known != 0 {
				t.Errorf("%d queues too few in the set", known)
			}
		})
	}
}

func TestGoldenEntries(t *testing.T) {
	for _, g := range goldens {
		t.Run(g.name, func(t *testing.T) {
			mf := readManifest(t, g.name)
			_, s := openGolden(t, g.name, g.fileSize, g.clean)
			defer s.Close()
			found, missing := 0, 0
			for _, msg := range mf.Messages {
				q := s.Queue(msg.Topic, msg.QueueID)
				got, err := q.Read(nil, msg.CQ.Index, 1)
				must(t, err)
				if len(got) == 0 {
					missing++
					continue
				}
				found++
				if want := (entry{Offset: msg.CQ.Offset, Size: msg.CQ.Size, Tags: msg.CQ.TagsCode}); got[0] != want {
					t.Errorf("%s-%d entry %d is %v, want %v", msg.Topic, msg.QueueID, msg.CQ.Index, got[0], want)
				}
			}
			// The killed store lacks the last entries of its queues.
			if g.clean && missing > 0 || missing > 20 || found < 400 {
				t.Errorf("%d entries found, %d missing", found, missing)
			}
		})
	}
}

// Putting the same entries gives the same files.
func TestGoldenFilesWritten(t *testing.T) {
	for _, g := range goldens {
		t.Run(g.name, func(t *testing.T) {
			mf := readManifest(t, g.name)
			recorded, before := openGolden(t, g.name, g.fileSize, g.clean)
			defer before.Close()
			m := vfs.NewMem()
			s := open(t, m, g.fileSize)
			for _, msg := range mf.Messages {
				if q, ok := before.Lookup(msg.Topic, msg.QueueID); !ok || msg.CQ.Index >= q.Max() {
					continue
				}
				must(t, s.Queue(msg.Topic, msg.QueueID).Append(msg.CQ.Index, entry{msg.CQ.Offset, msg.CQ.Size, msg.CQ.TagsCode}))
			}
			must(t, s.Close())
			files := 0
			before.Range(func(topic string, id int32, _ *consumequeue.Queue) bool {
				queue := fmt.Sprintf("%s/%s/%d", dir, topic, id)
				names, err := recorded.ReadDir(queue)
				must(t, err)
				for _, name := range names {
					want, err := vfs.ReadFile(recorded, queue+"/"+name)
					must(t, err)
					got, err := vfs.ReadFile(m, queue+"/"+name)
					must(t, err)
					if !bytes.Equal(got, want) {
						t.Errorf("%s/%s differs", queue, name)
					}
					files++
				}
				return true
			})
			if files < 50 {
				t.Errorf("only %d files compared", files)
			}
		})
	}
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package delay

import (
	"encoding/json"
	"io/fs"
	"maps"
	"os"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/message"
)

// The golden directories are those of a RocketMQ 4.9.8 broker; the manifests are
// what RocketMQ reads from them.

const goldenRoot = "../../../testdata/golden/"

type goldenMessage struct {
	CommitLogOffset, StoreTimestamp int64
	QueueID                         int32
	Topic                           string
	Properties                      map[string]string
	CQ                              *struct{ TagsCode int64 }
}

func goldenMessages(t *testing.T, name string) (list []goldenMessage) {
	t.Helper()
	data, err := os.ReadFile(goldenRoot + name + ".manifest.json")
	if err != nil {
		t.Fatal(err)
	}
	var m struct{ Messages []goldenMessage }
	if err := json.Unmarshal(data, &m); err != nil || len(m.Messages) == 0 {
		t.Fatalf("%s: %d messages, %v", name, len(m.Messages), err)
	}
	return m.Messages
}

func goldenLevels() (l Levels) {
	for _, s := range []time.Duration{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 20, 30, 60, 120, 300, 600, 3600, 3650 * 86400} {
		l = append(l, s*time.Second)
	}
	return l
}

// goldenFiles copies a store into memory.
func goldenFiles(t *testing.T, name string) *vfs.Mem {
	t.Helper()
	m, root := vfs.NewMem(), os.DirFS(goldenRoot+name)
	err := fs.WalkDir(root, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return m.MkdirAll("/data/" + path)
		}
		data, err := fs.ReadFile(root, path)
		if err != nil {
			return err
		}
		return vfs.WriteFile(m, "/data/"+path, data)
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestGolden opens RocketMQ's directories with the clock at their last store
// time. What RocketMQ has delivered stays delivered, also when it has to be found
// out from the log; what was pending at levels 17 and 18 stays pending until it
// is due, and is then delivered with RocketMQ's properties.
func TestGolden(t *testing.T) {
	for name, queueFile := range map[string]int64{"store-clean": 600, "store-killed": 2000} {
		for _, file := range []string{"as it is", "gone"} {
			t.Run(name+" "+file, func(t *testing.T) {
				messages := goldenMessages(t, name)
				m := goldenFiles(t, name)
				if file == "gone" {
					for _, path := range []string{offsetPath, offsetPath + ".bak"} {
						if err := m.Remove(path); err != nil {
							t.Fatal(err)
						}
					}
				}
				synctest.Test(t, func(t *testing.T) { testGolden(t, m, queueFile, messages) })
			})
		}
	}
}

func testGolden(t *testing.T, m *vfs.Mem, queueFile int64, messages []goldenMessage) {
	last := messages[len(messages)-1].StoreTimestamp
	begin := time.Now()
	r := start(t, m, func(sc *store.Config, c *Config) {
		sc.CommitLogFileSize, sc.ConsumeQueueFileSize, sc.IndexSlots, sc.IndexEntries = 262144, queueFile, 1000, 4000
		c.Levels, c.FlushInterval = goldenLevels(), time.Hour
		c.NowMillis = func() int64 { return last + time.Since(begin).Milliseconds() }
		sc.NowMillis = c.NowMillis
	})
	if got := r.svc.Offsets(); !maps.Equal(got, map[int32]int64{1: 5, 2: 1, 3: 1, 4: 2}) {
		t.Fatalf("goes on at %v", got)
	}
	var pending17 int64 // when it is due, ms
	for _, g := range messages {
		if g.Topic == message.TopicSchedule && g.QueueID == 16 {
			pending17 = g.CQ.TagsCode - last
		}
	}
	if pending17 <= 0 {
		t.Fatal("nothing pending at level 17")
	}
	end := r.st.MaxPhysical()
	after(time.Duration(pending17)*time.Millisecond - time.Millisecond)
	if r.svc.Delivered() != 0 || r.st.MaxPhysical() != end {
		t.Fatalf("%d delivered early", r.svc.Delivered())
	}
	after(time.Millisecond)
	if r.svc.Delivered() != 1 || r.svc.Skipped() != 0 {
		t.Fatalf("%d delivered, %d skipped", r.svc.Delivered(), r.svc.Skipped())
	}
	waited := r.records(message.TopicSchedule, 16)[0]
	topic, _ := waited.Property(message.PropertyRealTopic)
	id, _ := waited.Property(message.PropertyRealQueueID)
	list := r.records(string(topic), int32(atoi(id)))
	got := list[len(list)-1]
	if got.PhysicalOffset != end || string(got.Properties) != string(waited.Properties) || string(got.Body) != string(waited.Body) {
		t.Errorf("delivered %+v", got)
	}
	after(5 * time.Hour)
	if st := r.svc.States()[17]; r.svc.Delivered() != 1 || st.Next != 0 || st.Max < 3 {
		t.Errorf("%d delivered, level 18 %+v", r.svc.Delivered(), st)
	}
	r.close()
}

// TestGoldenRewrite makes RocketMQ's records of SCHEDULE_TOPIC_XXXX out of what
// was sent.
func TestGoldenRewrite(t *testing.T) {
	levels, seen := goldenLevels(), 0
	for _, name := range []string{"store-clean", "store-killed"} {
		for _, g := range goldenMessages(t, name) {
			if g.Topic != message.TopicSchedule {
				continue
			}
			seen++
			in := maps.Clone(g.Properties)
			delete(in, message.PropertyRealTopic)
			delete(in, message.PropertyRealQueueID)
			if in[message.PropertyKeys] == "delay-40" {
				in[message.PropertyDelay] = "40"
			}
			id, err := strconv.Atoi(g.Properties[message.PropertyRealQueueID])
			if err != nil {
				t.Fatal(err)
			}
			level, out, ok := levels.Rewrite(g.Properties[message.PropertyRealTopic], int32(id), message.Properties(in).Append(nil), nil)
			if !ok || int32(level-1) != g.QueueID || !maps.Equal(message.ParseProperties(out), message.Properties(g.Properties)) {
				t.Errorf("record at %d: level %d, %q, want queue %d, %v", g.CommitLogOffset, level, out, g.QueueID, g.Properties)
			}
		}
	}
	if seen < 20 {
		t.Errorf("%d delayed records in the golden stores", seen)
	}
}

// TestGoldenDelivered makes RocketMQ's delivered records out of the waiting ones.
func TestGoldenDelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := goldenFiles(t, "store-clean")
		r := start(t, m, func(sc *store.Config, c *Config) {
			sc.CommitLogFileSize, sc.ConsumeQueueFileSize, sc.IndexSlots, sc.IndexEntries = 262144, 600, 1000, 4000
			c.Levels = goldenLevels()
		})
		seen := 0
		for _, want := range append(r.records("GDelay", 3), append(r.records("%RETRY%G_retry", 0), r.records("GDelay", 1)...)...) {
			for queue := range int32(4) {
				for _, waited := range r.records(message.TopicSchedule, queue) {
					waited.QueueID = queue
					var rec message.Record
					if _, err := due(&rec, message.AppendRecord(nil, &waited), r.svc.levels[queue]); err != nil {
						t.Fatal(err)
					}
					rec.QueueOffset, rec.PhysicalOffset, rec.StoreTimestamp = want.QueueOffset, want.PhysicalOffset, want.StoreTimestamp
					if string(message.AppendRecord(nil, &rec)) == string(message.AppendRecord(nil, &want)) {
						seen++
					}
				}
			}
		}
		if seen != 7 {
			t.Errorf("%d of 7 delivered records are those that RocketMQ made", seen)
		}
	})
}

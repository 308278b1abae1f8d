// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package txn

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/message"
)

// The golden directories are those of a RocketMQ 4.9.8 broker, after a clean
// stop and after SIGKILL; the manifests are what RocketMQ reads from them.

const goldenRoot = "../../../testdata/golden/"

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

type goldenMessage struct {
	CommitLogOffset, StoreSize, QueueOffset, StoreTimestamp int64
	PreparedTransactionOffset                               int64
	SysFlag                                                 message.SysFlag
	Topic, BodySha256                                       string
	Properties                                              map[string]string
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

// goldenRecords reads the records of topics from the log files themselves.
func goldenRecords(t *testing.T, name string, topics ...string) (list []message.Record) {
	t.Helper()
	const fileSize = 262144
	for _, g := range goldenMessages(t, name) {
		if !slices.Contains(topics, g.Topic) {
			continue
		}
		file := goldenRoot + name + "/commitlog/" + strings.Repeat("0", 20-len(itoa(g.CommitLogOffset/fileSize*fileSize))) + itoa(g.CommitLogOffset/fileSize*fileSize)
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var rec message.Record
		if _, err := message.DecodeRecord(data[g.CommitLogOffset%fileSize:], &rec, true); err != nil {
			t.Fatal(err)
		}
		list = append(list, rec)
	}
	return list
}

func goldenFiles(t *testing.T, name string) *vfs.Mem {
	t.Helper()
	m, root := vfs.NewMem(), os.DirFS(goldenRoot+name)
	err := fs.WalkDir(root, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return m.MkdirAll(path.Join("/data", p))
		}
		data, err := fs.ReadFile(root, p)
		if err != nil {
			return err
		}
		return vfs.WriteFile(m, path.Join("/data", p), data)
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// goldenMarks reads the low-water marks of a golden consumerOffset.json.
func goldenMarks(t *testing.T, name string) *marks {
	t.Helper()
	data, err := os.ReadFile(goldenRoot + name + "/config/consumerOffset.json")
	if err != nil {
		t.Fatal(err)
	}
	m := newMarks()
	for _, topic := range []string{message.TopicHalf, message.TopicOpHalf} {
		_, rest, ok := strings.Cut(string(data), `"`+topic+"@"+message.GroupTransCheck+`":{0:`)
		end := strings.IndexAny(rest, "\n,}")
		v, err := strconv.ParseInt(rest[:max(end, 0)], 10, 64)
		if !ok || err != nil {
			t.Fatalf("%s: no mark of %s", name, topic)
		}
		m.Commit(message.GroupTransCheck, topic, 0, v)
	}
	return m
}

// undecided works out of a manifest which UNIQ_KEYs have half messages from the
// mark on and no outcome: the body of an op message is known by its hash.
func undecided(t *testing.T, list []goldenMessage, mark int64) (keys map[string]int) {
	t.Helper()
	decided := map[string]bool{} // hash of a half queue offset
	for _, g := range list {
		if g.Topic == message.TopicOpHalf {
			decided[g.BodySha256] = true
		}
	}
	keys = map[string]int{}
	gone := map[string]bool{}
	for _, g := range list {
		if g.Topic != message.TopicHalf || g.QueueOffset < mark {
			continue
		}
		sum := sha256.Sum256([]byte(itoa(g.QueueOffset)))
		if decided[hex.EncodeToString(sum[:])] {
			gone[g.Properties["UNIQ_KEY"]] = true
			continue
		}
		keys[g.Properties["UNIQ_KEY"]]++
	}
	for k := range gone {
		delete(keys, k)
	}
	return keys
}

// goldenConfig is as the directories were made; the clock goes on from last.
func goldenConfig(name string, last int64) option {
	shift := last - time.Now().UnixMilli()
	now := func() int64 { return time.Now().UnixMilli() + shift }
	return func(sc *store.Config, c *Config) {
		sc.CommitLogFileSize, sc.ConsumeQueueFileSize, sc.IndexSlots, sc.IndexEntries = 262144, 600, 1000, 4000
		if name == "store-killed" {
			sc.ConsumeQueueFileSize = 2000
		}
		sc.NowMillis, c.NowMillis, c.Checks = now, now, 2
	}
}

func TestRule10GoldenPending(t *testing.T) {
	for name, want := range map[string]struct {
		copies map[string]int   // half messages of one transaction, by KEYS
		checks map[string]int32 // that RocketMQ counted
		min    int
	}{
		"store-clean": {map[string]int{"tx-checked-pending": 1, "tx-immune-pending": 1, "tx-pending-1": 1, "tx-pending-2": 1},
			map[string]int32{"tx-checked-pending": 1}, 4},
		"store-killed": {map[string]int{"tx-checked-pending": 3, "tx-immune-pending": 3, "tx-pending-1": 2, "tx-pending-2": 2},
			map[string]int32{"tx-checked-pending": 2, "tx-pending-1": 1, "tx-pending-2": 1}, 20},
	} {
		t.Run(name, func(t *testing.T) {
			list := goldenMessages(t, name)
			marks := goldenMarks(t, name)
			mark, _ := marks.get()
			keys := undecided(t, list, mark)
			if len(keys) < want.min {
				t.Fatalf("the manifest has %d undecided transactions", len(keys))
			}
			byKey := map[string]string{}
			last := int64(0)
			for _, g := range list {
				byKey[g.Properties["UNIQ_KEY"]] = g.Properties["KEYS"]
				last = max(last, g.StoreTimestamp)
			}
			synctest.Test(t, func(t *testing.T) {
				r := start(t, goldenFiles(t, name), marks, goldenConfig(name, last))
				got := r.open()
				for k := range got {
					i := r.find(k)
					if w := want.checks[byKey[k]]; i.Checks != w {
						t.Errorf("%s was checked %d times, want %d", byKey[k], i.Checks, w)
					}
					if immune := byKey[k] == "tx-immune-pending"; immune != (i.Due-r.svc.mono() > 9*365*86400*1000) {
						t.Errorf("%s is due in %d ms", byKey[k], i.Due-r.svc.mono())
					}
				}
				for k, n := range keys {
					if got[k] != n {
						t.Errorf("%s (%s): %d half messages are one undecided transaction, want %d", byKey[k], k, got[k], n)
					}
				}
				for k := range got {
					if keys[k] == 0 {
						t.Errorf("%s (%s) is pending and has an outcome", byKey[k], k)
					}
				}
				for kk, n := range want.copies {
					for k, v := range byKey {
						if v == kk && got[k] != n {
							t.Errorf("%s: %d half messages, want %d", kk, got[k], n)
						}
					}
				}
			})
		})
	}
}

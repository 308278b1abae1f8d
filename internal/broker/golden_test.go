// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"encoding/json"
	"io/fs"
	"os"
	"path"
	"slices"
	"testing"

	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

const goldenRoot = "../../testdata/golden/"

// TestGolden opens the directories of a RocketMQ 4.9.8 broker and pulls, over the
// wire, every message that RocketMQ itself reads from them; then it goes on
// sending.
func TestGolden(t *testing.T) {
	for name, keys := range map[string][]string{
		"store-clean":  {"mappedFileSizeConsumeQueue", "600", "transactionTimeOut", "6000", "transactionCheckInterval", "600000"},
		"store-killed": {"mappedFileSizeConsumeQueue", "2000", "transactionTimeOut", "2000", "transactionCheckInterval", "600000"},
	} {
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(goldenRoot + name + ".manifest.json")
			if err != nil {
				t.Fatal(err)
			}
			var m struct {
				Messages []struct {
					CommitLogOffset, StoreTimestamp int64
					QueueID                         int32
					Topic                           string
					CQ                              *struct{}
				}
			}
			if err := json.Unmarshal(data, &m); err != nil {
				t.Fatal(err)
			}
			type queue struct {
				topic string
				id    int32
			}
			want, last := map[queue][]int64{}, int64(0)
			for _, g := range m.Messages {
				last = max(last, g.StoreTimestamp)
				if g.CQ != nil {
					q := queue{g.Topic, g.QueueID}
					want[q] = append(want[q], g.CommitLogOffset)
				}
			}
			w := startAt(t, goldenFiles(t, name), func() int64 { return last }, append(keys, "mappedFileSizeCommitLog", "262144", "maxHashSlotNum", "1000", "maxIndexNum", "4000",
				"messageDelayLevel", "1s 2s 3s 4s 5s 6s 7s 8s 9s 10s 20s 30s 1m 2m 5m 10m 1h 3650d", "transactionCheckMax", "2")...)
			c := w.client()
			n := 0
			for q, offsets := range want {
				if _, ok := w.topics.Get(q.topic); !ok {
					if q.topic != message.TopicOpHalf { // of which RocketMQ has no configuration: nobody can pull it
						t.Errorf("no topic %s", q.topic)
					}
					for _, off := range offsets {
						b, err := rpc.ViewMessage(w.ctx, c, w.addr, off)
						var rec message.Record
						if err == nil {
							_, err = message.DecodeRecord(b, &rec, true)
						}
						if err != nil || string(rec.Topic) != q.topic {
							t.Errorf("%s at %d: record of %q, %v", q.topic, off, rec.Topic, err)
						}
						n++
					}
					continue
				}
				var got []int64
				for next := int64(0); ; {
					p, err := rpc.Pull(w.ctx, c, w.addr, &header.PullRequest{ConsumerGroup: []byte("reader"), Topic: []byte(q.topic), QueueID: q.id,
						QueueOffset: next, MaxMsgNums: 32, SysFlag: header.PullSubscription, Subscription: []byte("*")})
					if err != nil {
						t.Fatal(err)
					}
					if p.Code != wire.Success {
						break
					}
					if err := message.RangeRecords(p.Records, true, func(r *message.Record) error { got = append(got, r.PhysicalOffset); return nil }); err != nil {
						t.Fatal(err)
					}
					next = p.Header.NextBeginOffset
				}
				if len(got) < len(offsets) || !slices.Equal(got[:len(offsets)], offsets) {
					t.Errorf("%s/%d: pulled %v, want %v", q.topic, q.id, got, offsets)
				}
				n += len(got)
			}
			if n < 400 {
				t.Errorf("pulled %d messages", n)
			}
			if p := w.txn.Stats().Pending; p[map[string]string{"store-clean": "GTx", "store-killed": "KTx"}[name]] != 4 {
				t.Errorf("undecided transactions: %v, want 4 of Tx", p)
			}
			c.send(sendHeader("Afterwards"), "goes on")
			w.wantBodies("Afterwards", 0, "goes on")
			if err := w.stop(); err != nil {
				t.Error(err)
			}
		})
	}
}

func goldenFiles(t *testing.T, name string) *vfs.Mem {
	t.Helper()
	m, root := vfs.NewMem(), os.DirFS(goldenRoot+name)
	err := fs.WalkDir(root, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return m.MkdirAll(path.Join("/store", p))
		}
		data, err := fs.ReadFile(root, p)
		if err != nil {
			return err
		}
		return vfs.WriteFile(m, path.Join("/store", p), data)
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

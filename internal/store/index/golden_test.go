// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package index_test

import (
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/store/index"
	"github.com/twostage/twostage/internal/vfs"
)

const goldenDir = "../../../testdata/golden/"

// manifest is what Apache RocketMQ 4.9.8 read from a store directory of its own.
type manifest struct {
	AsFound struct {
		Checkpoint struct{ IndexMsgTimestamp int64 }
	}
	IndexFilesAsFound []struct {
		File                         string
		BeginTimestamp, EndTimestamp int64
		BeginPhyOffset, EndPhyOffset int64
		HashSlotCount, IndexCount    int32
	}
	Messages []struct {
		CommitLogOffset, StoreTimestamp int64
		Topic                           string
		SysFlag                         int32
		Properties                      map[string]string
	}
	QueryMessage []struct {
		Topic, Key                                         string
		MaxNum                                             int
		Begin, End                                         int64
		CommitLogOffsets                                   []int64
		IndexLastUpdateTimestamp, IndexLastUpdatePhyoffset int64
	}
}

func readManifest(t testing.TB, name string) (m manifest) {
	t.Helper()
	data, err := os.ReadFile(goldenDir + name + ".manifest.json")
	must(t, err)
	must(t, json.Unmarshal(data, &m))
	if len(m.Messages) < 400 || len(m.QueryMessage) < 200 || len(m.IndexFilesAsFound) != 2 {
		t.Fatal("the manifest lacks something")
	}
	return m
}

func (m *manifest) records() []record {
	records := make([]record, len(m.Messages))
	for i, msg := range m.Messages {
		records[i] = record{msg.Topic, msg.Properties["UNIQ_KEY"], msg.Properties["KEYS"], msg.CommitLogOffset, msg.StoreTimestamp}
	}
	return records
}

func goldenOptions(fs vfs.FS, trusted int64) index.Options {
	return index.Options{FS: fs, Dir: dir, Slots: 1000, Entries: 4000, Trusted: trusted}
}

func openGolden(t testing.TB, name string, trusted int64) (*vfs.Mem, *index.Index) {
	t.Helper()
	m := newMem(t)
	copyTree(t, m, goldenDir+name+"/index", dir)
	return m, open(t, goldenOptions(m, trusted))
}

func TestGoldenFiles(t *testing.T) {
	for _, name := range []string{"store-clean", "store-killed"} {
		mf := readManifest(t, name)
		for _, want := range mf.IndexFilesAsFound {
			data, err := os.ReadFile(goldenDir + name + "/index/" + want.File)
			must(t, err)
			got, err := index.ReadHeader(data)
			must(t, err)
			if got != (index.Header{
				BeginTime: want.BeginTimestamp, EndTime: want.EndTimestamp,
				BeginOffset: want.BeginPhyOffset, EndOffset: want.EndPhyOffset,
				Slots: want.HashSlotCount, Count: want.IndexCount,
			}) {
				t.Errorf("%s: got %+v, want %+v", want.File, got, want)
			}
		}
	}
}

// checkQueries asks what RocketMQ was asked. What it found after a kill lacks
// records that its recovery loses: they must be found here, so there its answers
// need only be among ours.
func checkQueries(t *testing.T, mf *manifest, x *index.Index, lossy bool) {
	t.Helper()
	found := 0
	for _, q := range mf.QueryMessage {
		got, lastTime, lastOffset, err := x.Query(q.Topic, q.Key, q.MaxNum, q.Begin, q.End)
		must(t, err)
		found += len(got)
		for _, offset := range q.CommitLogOffsets {
			if lossy && len(got) < q.MaxNum && !slices.Contains(got, offset) {
				t.Errorf("%s#%s [%d,%d]: got %v, want %d among them", q.Topic, q.Key, q.Begin, q.End, got, offset)
			}
		}
		if lossy {
			continue
		}
		if !slices.Equal(got, q.CommitLogOffsets) {
			t.Errorf("%s#%s [%d,%d]: got %v, want %v", q.Topic, q.Key, q.Begin, q.End, got, q.CommitLogOffsets)
		}
		if len(got) > 0 && (lastTime != q.IndexLastUpdateTimestamp || lastOffset != q.IndexLastUpdatePhyoffset) {
			t.Errorf("%s#%s: last record at %d, stored %d", q.Topic, q.Key, lastOffset, lastTime)
		}
	}
	if found < 200 {
		t.Errorf("only %d records found", found)
	}
}

func TestGoldenQueries(t *testing.T) {
	mf := readManifest(t, "store-clean")
	_, x := openGolden(t, "store-clean", index.TrustAll)
	defer x.Close()
	checkQueries(t, &mf, x, false)
	if got := x.ResumeFrom(); got != 495742 {
		t.Errorf("ResumeFrom %d", got)
	}
	answers(t, x, mf.records())
}

// RocketMQ's own files after a kill: trusted up to its checkpoint, completed from
// the log, and then nothing is missing.
func TestGoldenKilled(t *testing.T) {
	mf := readManifest(t, "store-killed")
	_, x := openGolden(t, "store-killed", mf.AsFound.Checkpoint.IndexMsgTimestamp)
	defer x.Close()
	if got := x.ResumeFrom(); got != 105290 {
		t.Errorf("ResumeFrom %d", got)
	}
	for _, r := range mf.records() {
		if r.offset >= x.ResumeFrom() {
			must(t, put(x, r))
		}
	}
	answers(t, x, mf.records())
	checkQueries(t, &mf, x, true)
}

// The same with all that a process leaves that dies, when the files are verified
// up to the end: every entry is found good.
func TestGoldenVerified(t *testing.T) {
	for name, end := range map[string]int64{"store-clean": 495742, "store-killed": 635702} {
		mf := readManifest(t, name)
		m, x := openGolden(t, name, mf.IndexFilesAsFound[1].EndTimestamp)
		if got := x.ResumeFrom(); got != end {
			t.Errorf("%s: ResumeFrom %d, want %d", name, got, end)
		}
		must(t, x.Close())
		for _, f := range mf.IndexFilesAsFound {
			want, err := os.ReadFile(goldenDir + name + "/index/" + f.File)
			must(t, err)
			got, err := vfs.ReadFile(m, dir+"/"+f.File)
			must(t, err)
			if !bytes.Equal(got, want) {
				t.Errorf("%s/%s has changed", name, f.File)
			}
		}
	}
}

// Putting the same records in log order gives RocketMQ's files byte for byte.
func TestGoldenFilesWritten(t *testing.T) {
	mf := readManifest(t, "store-clean")
	m := newMem(t)
	o := goldenOptions(m, index.TrustAll)
	var names []time.Time
	for _, f := range mf.IndexFilesAsFound {
		at, err := time.Parse("20060102150405.000", f.File[:14]+"."+f.File[14:])
		must(t, err)
		names = append(names, at)
	}
	o.Clock = func() time.Time {
		at := names[0]
		names = names[1:]
		return at
	}
	x := open(t, o)
	for i, r := range mf.records() {
		must(t, put(x, r))
		if i%100 == 17 {
			_, err := x.Flush()
			must(t, err)
		}
	}
	must(t, x.Close())
	for _, f := range mf.IndexFilesAsFound {
		want, err := os.ReadFile(goldenDir + "store-clean/index/" + f.File)
		must(t, err)
		got, err := vfs.ReadFile(m, dir+"/"+f.File)
		must(t, err)
		if !bytes.Equal(got, want) {
			t.Errorf("%s differs", f.File)
		}
	}
}

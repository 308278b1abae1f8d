// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package fsck

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// manifest is what Apache RocketMQ reads from a golden directory.
type manifest struct {
	AfterLoad struct{ MinPhyOffset, MaxPhyOffset int64 }
	Blanks    []struct{ CommitLogOffset int64 }
	Queues    []struct {
		Topic                string
		QueueID              int32
		MinOffset, MaxOffset int64
	}
	Messages []struct {
		CommitLogOffset, QueueOffset, BornTimestamp, StoreTimestamp int64
		StoreSize, QueueID, SysFlag, Flag, ReconsumeTimes           int32
		PreparedTransactionOffset                                   int64
		Topic, BornHost, StoreHost                                  string
		StoredBodyLength                                            int64
		Properties                                                  map[string]string
		CQ                                                          *struct {
			Index, Offset, TagsCode int64
			Size                    int32
		}
	}
}

// golden copies a directory and returns how to look into the copy.
func golden(t *testing.T, name string) (Options, *manifest) {
	t.Helper()
	root := "../../testdata/golden/"
	dir := t.TempDir() + "/store"
	if err := os.CopyFS(dir, os.DirFS(root+name)); err != nil {
		t.Fatal(err)
	}
	if err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chmod(path, 0o755)
	}); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(root + name + ".manifest.json")
	if err != nil {
		t.Fatal(err)
	}
	m := new(manifest)
	if err := json.Unmarshal(data, m); err != nil {
		t.Fatal(err)
	}
	levels := []int64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 20, 30, 60, 120, 300, 600, 3600, 3650 * 86400}
	for i := range levels {
		levels[i] *= 1000
	}
	last := m.Messages[len(m.Messages)-1].StoreTimestamp
	return Options{Dir: dir, IndexSlots: 1000, IndexEntries: 4000, DelayLevels: levels, Now: last}, m
}

// TestGolden: RocketMQ's own directories are right, and what is counted is what
// RocketMQ counts.
func TestGolden(t *testing.T) {
	for _, name := range []string{"store-clean", "store-killed"} {
		t.Run(name, func(t *testing.T) {
			o, m := golden(t, name)
			r, err := Verify(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range r.Findings {
				if f.Level != Behind || name == "store-clean" {
					t.Error(f)
				} else {
					t.Log(f)
				}
			}
			entries := int64(0)
			for i := range m.Messages {
				if m.Messages[i].CQ != nil {
					entries++
				}
			}
			if name == "store-killed" {
				entries -= 2 // as its README says
			}
			if r.Start != m.AfterLoad.MinPhyOffset || r.End != m.AfterLoad.MaxPhyOffset || r.Records != int64(len(m.Messages)) || r.Blanks != int64(len(m.Blanks)) ||
				r.QueueEntries != entries || !r.Clean {
				t.Errorf("%+v", r)
			}
		})
	}
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twostage/twostage/message"
)

// goldenRecords are the encoded records of a golden log, in its order.
func goldenRecords(t *testing.T, name string) (records [][]byte) {
	t.Helper()
	for start := 0; ; start += 262144 {
		b, err := os.ReadFile(fmt.Sprintf("../../testdata/golden/%s/commitlog/%020d", name, start))
		if errors.Is(err, fs.ErrNotExist) {
			return records
		}
		if err != nil {
			t.Fatal(err)
		}
		for binary.BigEndian.Uint32(b) != 0 && binary.BigEndian.Uint32(b[4:]) != message.MagicBlank {
			n := int(binary.BigEndian.Uint32(b))
			records = append(records, b[:n])
			b = b[n:]
		}
	}
}

// rewrite makes a store directory out of the records of a golden one, stored at
// the times at which Java did, and ends with what end does.
func rewrite(t *testing.T, name string, queueFile int64, end func(*Store)) (dir string) {
	t.Helper()
	cfg, m := golden(t, name, queueFile)
	var now atomic.Int64
	cfg.Dir, cfg.NowMillis = t.TempDir()+"/store", now.Load
	records := goldenRecords(t, name)
	if len(records) != len(m.Messages) {
		t.Fatalf("%d records, Java reads %d", len(records), len(m.Messages))
	}
	s := open(t, cfg)
	for _, rec := range records {
		_, _, _, ts := message.Position(rec)
		now.Store(ts)
		var r message.Record
		if _, err := message.DecodeRecord(rec, &r, true); err != nil {
			t.Fatal(err)
		}
		var b Batch
		if err := errors.Join(b.AddEncoded(s.Queue(string(r.Topic), r.QueueID), rec), s.Append(&b)); err != nil {
			t.Fatal(err)
		}
	}
	dispatched(t, s)
	end(s)
	return cfg.Dir
}

// tree lists the files of a store directory with their bytes, but for what the
// broker keeps there. Index files are named after the time at which they were
// begun: they are numbered instead, in order.
func tree(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	files := make(map[string][]byte)
	if err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil || strings.HasPrefix(name, "config/") {
			return err
		}
		if time, ok := strings.CutPrefix(name, "index/"); ok {
			if !indexName.MatchString(time) {
				t.Errorf("%s: the name is not that of an index file", path)
			}
			name = fmt.Sprintf("index/%d", indexFiles(files))
		}
		files[name], err = os.ReadFile(path)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return files
}

var indexName = regexp.MustCompile(`^20\d{15}$`)

func indexFiles(files map[string][]byte) (n int) {
	for name := range files {
		if strings.HasPrefix(name, "index/") {
			n++
		}
	}
	return n
}

func sortedNames(files map[string][]byte) []string { return slices.Sorted(maps.Keys(files)) }

// TestGoldenRewritten: a directory that we write has the names and sizes of one
// that Java wrote of the same messages, and, but for the index time of the
// checkpoint, its bytes.
func TestGoldenRewritten(t *testing.T) {
	dir := rewrite(t, "store-clean", 600, func(s *Store) { closeStore(t, s) })
	java, ours := tree(t, "../../testdata/golden/store-clean"), tree(t, dir)
	if !slices.Equal(sortedNames(java), sortedNames(ours)) {
		t.Fatalf("Java has the files\n%s\nwe have\n%s", sortedNames(java), sortedNames(ours))
	}
	sameFiles(t, java, ours)
}

// sameFiles compares what both have, byte for byte.
func sameFiles(t *testing.T, java, ours map[string][]byte) {
	t.Helper()
	for name, want := range java {
		got := ours[name]
		if name == "checkpoint" && len(got) == len(want) {
			// Java's is that of the last index file that is full, ours says how far the
			// index is complete.
			clear(got[16:24])
			clear(want[16:24])
		}
		if !bytes.Equal(got, want) {
			at := 0
			for at < min(len(got), len(want)) && got[at] == want[at] {
				at++
			}
			t.Errorf("%s differs from Java's, %d bytes, at byte %d of %d", name, len(want), at, len(got))
		}
	}
}

// TestGoldenRewrittenAndKilled: what a broker leaves that did not stop.
func TestGoldenRewrittenAndKilled(t *testing.T) {
	var ours map[string][]byte
	rewrite(t, "store-killed", 2000, func(s *Store) {
		if err := s.flushViews(); err != nil {
			t.Fatal(err)
		}
		ours = tree(t, s.cfg.Dir)
	})
	java := tree(t, "../../testdata/golden/store-killed")
	names := sortedNames(java)
	// Java reserves the next file as soon as it begins one, we when half of it is
	// full.
	names = slices.DeleteFunc(names, func(name string) bool { return name == "commitlog/00000000000000786432" })
	if !slices.Equal(names, sortedNames(ours)) {
		t.Fatalf("Java has the files\n%s\nwe have\n%s", names, sortedNames(ours))
	}
	for name, want := range java {
		switch {
		case strings.HasPrefix(name, "commitlog/") && ours[name] != nil, name == "abort", name == "lock":
			if !bytes.Equal(ours[name], want) {
				t.Errorf("%s differs from Java's", name)
			}
		case ours[name] != nil && len(ours[name]) != len(want):
			t.Errorf("%s has %d bytes, Java's %d", name, len(ours[name]), len(want))
		}
	}
}

// TestGoldenOpenedIsUnchanged: a start and a stop leave Java's files as they were.
func TestGoldenOpenedIsUnchanged(t *testing.T) {
	cfg, _ := golden(t, "store-clean", 600)
	closeStore(t, open(t, cfg))
	java, ours := tree(t, "../../testdata/golden/store-clean"), tree(t, cfg.Dir)
	if !slices.Equal(sortedNames(java), sortedNames(ours)) {
		t.Fatalf("Java has the files\n%s\nwe have\n%s", sortedNames(java), sortedNames(ours))
	}
	sameFiles(t, java, ours)
}

// goldenRest is what of a manifest's messages the other tests leave out.
type goldenRest struct {
	Blanks []struct {
		CommitLogOffset int64
		Size            int32
	}
	Messages []struct {
		CommitLogOffset                int64
		Magic, Tags, Keys, OffsetMsgID string
		BodyLength                     int
		BodySha256                     string
		Properties                     map[string]string
	}
}

// TestGoldenWhole: the log holds the records of the manifest and no others, with
// these properties and no others, and bodies that inflate to what was sent.
func TestGoldenWhole(t *testing.T) {
	for name, queueFile := range map[string]int64{"store-clean": 600, "store-killed": 2000} {
		cfg, _ := golden(t, name, queueFile)
		data, err := os.ReadFile("../../testdata/golden/" + name + ".manifest.json")
		if err != nil {
			t.Fatal(err)
		}
		var m goldenRest
		if err := json.Unmarshal(data, &m); err != nil {
			t.Fatal(err)
		}
		s := open(t, cfg)
		seen := 0
		if err := s.log.Walk(0, func(r *message.Record) error {
			if seen == len(m.Messages) {
				return fmt.Errorf("a record at %d that Java does not have", r.PhysicalOffset)
			}
			want := &m.Messages[seen]
			seen++
			text, err := r.Body, error(nil)
			if r.SysFlag.Has(message.FlagCompressed) {
				text, err = message.Inflate(r.Body, 1<<20)
			}
			tags, _ := r.Property(message.PropertyTags)
			keys, _ := r.Property(message.PropertyKeys)
			id := message.AppendOffsetID(nil, r.StoreHost, r.PhysicalOffset)
			got := fmt.Sprintf("%d %08x %s %s %s %d %x %v", r.PhysicalOffset, r.Magic, tags, keys, id, len(text), sha256.Sum256(text), properties(r))
			if wanted := fmt.Sprintf("%d %s %s %s %s %d %s %v", want.CommitLogOffset, want.Magic, want.Tags, want.Keys, want.OffsetMsgID,
				want.BodyLength, want.BodySha256, want.Properties); got != wanted || err != nil {
				t.Errorf("got  %s (%v)\nwant %s", got, err, wanted)
			}
			return nil
		}); err != nil || seen != len(m.Messages) {
			t.Errorf("%s: %d records of %d: %v", name, seen, len(m.Messages), err)
		}
		for _, b := range m.Blanks {
			var p [8]byte
			if err := s.log.ReadAt(p[:], b.CommitLogOffset); err != nil || !bytes.Equal(p[:], message.AppendBlank(nil, b.Size)) {
				t.Errorf("%s: at %d stands %x (%v), Java has a marker over %d bytes", name, b.CommitLogOffset, p, err, b.Size)
			}
		}
		closeStore(t, s)
	}
}

// properties are all properties of a record, read by a reader of its own.
func properties(r *message.Record) map[string]string {
	all := make(map[string]string)
	for pair := range strings.SplitSeq(string(r.Properties), "\x02") {
		if k, v, ok := strings.Cut(pair, "\x01"); ok {
			all[k] = v
		}
	}
	return all
}

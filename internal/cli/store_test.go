// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"encoding/json"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/twostage/twostage/internal/fsck"
	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/vfs"
)

var update = flag.Bool("update", false, "write what came into testdata and docs/cli.md, where they differ")

// goldenStore copies a store directory of RocketMQ.
func goldenStore(t *testing.T, name string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "store")
	if err := os.CopyFS(dir, os.DirFS("../../testdata/golden/"+name)); err != nil {
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
	return dir
}

// contents is all files below a directory.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	if err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		files[path] = string(data)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return files
}

// shape are the numbers that the golden index was written with.
var shape = []string{"--set", "maxHashSlotNum=1000", "--set", "maxIndexNum=4000"}

// levels are the delay levels of the golden directories.
var levels = []string{"--set", "messageDelayLevel=1s 2s 3s 4s 5s 6s 7s 8s 9s 10s 20s 30s 1m 2m 5m 10m 1h 3650d"}

var onDisk = regexp.MustCompile(`, \d+ of the disk`)

// TestStoreDump: every format as text and as JSON, and what is said of a store; and
// the directory stays as it is, without a lock file if it had none.
func TestStoreDump(t *testing.T) {
	dir := goldenStore(t, "store-killed")
	if err := os.Remove(dir + "/lock"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/deletedTopics.json", []byte(`{"Old":500,"Older":7}`), 0o600); err != nil {
		t.Fatal(err)
	}
	states(t, dir+"/transactions")
	before := contents(t, dir)
	for name, args := range map[string][]string{
		"log":          {"dump", "log", "--limit", "3", "--body"},
		"keys":         {"dump", "log", "--topic", "KPlain", "--key", "user-3", "--queue", "0"},
		"committed":    {"dump", "log", "--topic", "KTx"},
		"delayed":      {"dump", "log", "--topic", "SCHEDULE_TOPIC_XXXX", "--limit", "2"},
		"binary":       {"dump", "log", "--from", "262144", "--limit", "1", "--body"},
		"blank":        {"dump", "log", "--from", "261000", "--to", "262150"},
		"ops":          {"dump", "ops", "--limit", "3"},
		"queue":        {"dump", "queue", "--topic", "KFill", "--queue", "0", "--from", "2", "--to", "5"},
		"index":        append([]string{"dump", "index", "--from", "100000", "--limit", "4"}, shape...),
		"index-key":    append([]string{"dump", "index", "--topic", "KKeys", "--key", "mk3.7"}, shape...),
		"checkpoint":   {"dump", "checkpoint"},
		"transactions": {"dump", "transactions"},
		"deleted":      {"dump", "deleted"},
		"stat":         {"stat", "--topics"},
	} {
		for _, asJSON := range []bool{false, true} {
			file, all := "testdata/store/"+name+".txt", append([]string{"store"}, args...)
			if asJSON {
				if name == "stat" {
					continue // see TestStoreJSON
				}
				file, all = "testdata/store/"+name+".json", append(all, "--json")
			}
			out := onDisk.ReplaceAllString(strings.ReplaceAll(must(t, nil, append(all, dir)...), dir, "DIR"), "")
			if asJSON {
				for line := range strings.Lines(out) {
					if !json.Valid([]byte(line)) {
						t.Errorf("%s: not JSON: %s", name, line)
					}
				}
			}
			if *update {
				if err := os.WriteFile(file, []byte(out), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if out != string(want) {
				t.Errorf("%s: other than %s:\n%s", name, file, out)
			}
		}
	}
	if !maps.Equal(before, contents(t, dir)) {
		t.Error("the directory has changed")
	}
}

// states writes states of half messages.
func states(t *testing.T, dir string) {
	t.Helper()
	word := func(b ...byte) []byte { return append(make([]byte, 8-len(b)), b...) }
	words := bytes.Join([][]byte{
		{0x20, 0, 0, 0, 0, 0, 2, 0x10}, // committed, op record at 528
		word(),                         // undecided, never checked
		{0, 0, 0x21, 0xa2, 0x05, 0x5c, 0x8d, 0x5e},       // checked twice
		{0x80, 0, 0, 0, 0, 0, 0, 9},                      // resumed as 9
		{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, // none
	}, nil)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/00000000000000000000", words, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestStoreJSON: what stat, verify and rebuild print for programs.
func TestStoreJSON(t *testing.T) {
	dir := goldenStore(t, "store-clean")
	var s fsck.Stat
	if err := json.Unmarshal([]byte(must(t, nil, "store", "stat", "--json", dir)), &s); err != nil {
		t.Fatal(err)
	}
	if s.Log.End != 496046 || s.Queues.Entries != 487 || s.Index.Entries != 5010 || s.Locked == nil || *s.Locked || s.Log.Allocated == nil || *s.Log.Allocated == 0 || len(s.Topics) != s.Queues.Topics {
		t.Errorf("%+v", s)
	}
	verify := append(append([]string{"store", "verify", "--json", dir}, shape...), levels...)
	var r fsck.Report
	if err := json.Unmarshal([]byte(must(t, nil, verify...)), &r); err != nil {
		t.Fatal(err)
	}
	if !r.Clean || r.Records != 487 || r.QueueEntries != 487 || len(r.Findings) != 0 {
		t.Errorf("%+v", r)
	}
	queue := dir + "/consumequeue/GPlain/0/00000000000000000000"
	f, err := os.OpenFile(queue, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte{0x40}, 5); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	got := try(t, nil, "", verify...)
	if err := json.Unmarshal([]byte(got.out), &r); err != nil || got.code != exitFailed || !strings.Contains(got.err, "store rebuild") {
		t.Fatalf("%+v, %v", got, err)
	}
	if r.Clean || len(r.Findings) != 1 || r.Findings[0].File != queue || r.Findings[0].Offset != 0 {
		t.Errorf("%+v", r)
	}
	got = try(t, nil, "", append(append([]string{"store", "verify", dir}, shape...), levels...)...)
	if got.code != exitFailed || !regexp.MustCompile(`(?m)^damage: .*/GPlain/0/00000000000000000000 at 0: entry 0 says`).MatchString(got.out) || !strings.HasSuffix(got.out, "damage=1 behind=0 notes=0\n") {
		t.Errorf("%+v", got)
	}
	var b rebuilt
	if err := json.Unmarshal([]byte(must(t, nil, append([]string{"store", "rebuild", "--json", dir}, append(shape, levels...)...)...)), &b); err != nil {
		t.Fatal(err)
	}
	if b.Records != 487 || b.End != 496046 || b.Abort || b.Dir != dir {
		t.Errorf("%+v", b)
	}
	if out := must(t, nil, append(append([]string{"store", "verify", dir}, shape...), levels...)...); !strings.HasPrefix(out, "verified log=0..496046 records=487 ") {
		t.Errorf("after rebuild: %s", out)
	}
	if out := must(t, nil, append(append([]string{"store", "rebuild", dir}, shape...), levels...)...); out != "rebuilt "+dir+" log=0..496046 records=487 queues=50\n" {
		t.Errorf("rebuild: %s", out)
	}
}

// TestStoreBesideBroker: stat and dump look on, verify and rebuild refuse; --data is
// the server's.
func TestStoreBesideBroker(t *testing.T) {
	env, s := serve(t)
	data := s.out.await(t, `data=(.+)\n`)[1]
	must(t, env, "topic", "create", "orders", "--queues", "1")
	must(t, env, "topic", "send", "orders", "a body", "--key", "k1")
	env = append(env, "TWOSTAGE_DATA="+data)
	if out := must(t, env, "store", "stat"); !strings.Contains(out, "a broker runs on it") || !strings.Contains(out, filepath.Join(data, "store")) {
		t.Errorf("stat: %s", out)
	}
	if out := must(t, nil, "store", "dump", "log", "--data", data, "--topic", "orders", "--key", "k1", "--body"); !strings.Contains(out, "a body") {
		t.Errorf("dump: %s", out)
	}
	for _, what := range []string{"verify", "rebuild"} {
		if r := try(t, env, "", "store", what); r.code != exitFailed || !strings.Contains(r.err, "locked by another broker") || !strings.Contains(r.err, "stop the broker first") {
			t.Errorf("%s: %+v", what, r)
		}
	}
	s.stop()
	must(t, env, "store", "verify")
	if out := must(t, env, "store", "stat"); !strings.Contains(out, "stopped in order") {
		t.Errorf("stat: %s", out)
	}
}

// TestStoreUsage: what is asked wrongly says so.
func TestStoreUsage(t *testing.T) {
	dir := goldenStore(t, "store-clean")
	for want, args := range map[string][]string{
		`no dump of "logs"`:    {"dump", "logs", dir},
		"0 arguments":          {"dump"},
		"2 arguments":          {"verify", dir, dir},
		"not behind --from":    {"dump", "log", "--from", "5", "--to", "5", dir},
		"not negative":         {"dump", "log", "--limit", "-1", dir},
		"--key needs --topic":  {"dump", "index", "--key", "k", dir},
		`"x" is not key=value`: {"stat", "--set", "x", dir},
		"unknown flag":         {"rebuild", "--nonsense"},
		`no command "fix"`:     {"fix"},
	} {
		if r := try(t, nil, "", append([]string{"store"}, args...)...); r.code != exitUsage || !strings.Contains(r.err, want) {
			t.Errorf("%q: %+v", args, r)
		}
	}
	for want, args := range map[string][]string{
		"holds commitlog/": {"stat", t.TempDir()},
		"no such file":     {"stat", dir + "/nowhere"},
		"maxHashSlotNum":   {"verify", dir},
		"maxIndexNum":      {"rebuild", dir},
		"no such queue":    {"dump", "queue", "--topic", "Nobody", dir},
		"from 20 to":       {"stat", "--set", "mappedFileSizeConsumeQueue=0", dir},
	} {
		if r := try(t, nil, "", append([]string{"store"}, args...)...); r.code == 0 || !strings.Contains(r.err, want) {
			t.Errorf("%q: %+v", args, r)
		}
	}
}

// TestStoreRebuildKept: a rebuild says which queues go on behind what the log has.
func TestStoreRebuildKept(t *testing.T) {
	dir := goldenStore(t, "store-clean")
	name := dir + "/commitlog/00000000000000262144"
	if err := os.WriteFile(name, make([]byte, 262144), 0o600); err != nil {
		t.Fatal(err)
	}
	out := must(t, nil, append(append([]string{"store", "rebuild", dir}, shape...), levels...)...)
	if !regexp.MustCompile(`(?m)^kept: queue 0 of GRetry goes on at \d+, the log has nothing of it from 0 on$`).MatchString(out) {
		t.Errorf("rebuild: %s", out)
	}
	s, err := store.Open(store.Config{Dir: dir, FS: vfs.OS(), CommitLogFileSize: 262144, ConsumeQueueFileSize: 600, IndexSlots: 1000, IndexEntries: 4000})
	if err != nil {
		t.Fatal(err)
	}
	if q := s.LookupQueue("GRetry", 0); q == nil || q.Max() == 0 || q.Min() != q.Max() {
		t.Errorf("%+v", q)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// Names in a hostile directory do not reach the terminal as they are.
func TestStorePathsArePrintable(t *testing.T) {
	var b strings.Builder
	_ = printQueueEntry(&b, &fsck.QueueEntry{What: "entry", Topic: "a\x1b[2Jb", File: "/d/consumequeue/a\x1b[2Jb/0/00000000000000000000"})
	if strings.Contains(b.String(), "\x1b") {
		t.Errorf("%q", b.String())
	}
}

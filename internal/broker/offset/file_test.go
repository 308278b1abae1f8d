// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package offset

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire/body"
)

const file = "/store/config/consumerOffset.json"

func golden(t testing.TB, store string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("../../../testdata/golden", store, "config/consumerOffset.json"))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func withFiles(t testing.TB, main, backup string) *vfs.Mem {
	t.Helper()
	m := vfs.NewMem()
	err := m.MkdirAll("/store/config")
	if main != "" {
		err = errors.Join(err, vfs.WriteFile(m, file, []byte(main)))
	}
	if backup != "" {
		err = errors.Join(err, vfs.WriteFile(m, file+".bak", []byte(backup)))
	}
	if err = errors.Join(err, m.SyncDir("/store/config"), m.SyncDir("/store"), m.SyncDir("/")); err != nil {
		t.Fatal(err)
	}
	return m
}

// lines is the lines of a config file in sorted order, without commas at their
// ends: the order of properties is free.
func lines(data []byte) []string {
	list := strings.Split(strings.ReplaceAll(string(data), ",\n", "\n"), "\n")
	slices.Sort(list)
	return list
}

func TestGoldenIsWrittenAsRead(t *testing.T) {
	for _, store := range []string{"store-clean", "store-killed"} {
		data := golden(t, store)
		m := withFiles(t, string(data), "")
		tb := open(t, m)
		if store == "store-killed" {
			want(t, tb, "K_tagA", "KPlain", 1, 11)
			want(t, tb, "K_retry", "%RETRY%K_retry", 0, 5)
			want(t, tb, "CID_RMQ_SYS_TRANS", "RMQ_SYS_TRANS_HALF_TOPIC", 0, 12)
		}
		tb.Commit("new", "T", 0, 1)
		tb.DeleteGroup("new")
		if err := tb.Flush(); err != nil {
			t.Fatal(err)
		}
		written, err := vfs.ReadFile(m, file)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(lines(written), lines(data)) {
			t.Errorf("%s: written as\n%s", store, written)
		}
		if backup, err := vfs.ReadFile(m, file+".bak"); err != nil || string(backup) != string(data) {
			t.Errorf("%s: backup %q, %v", store, backup, err)
		}
	}
}

func TestFormOfVersion5(t *testing.T) {
	m := withFiles(t, `{"dataVersion":{"counter":3,"stateVersion":0,"timestamp":5},"offsetTable":{"T@g":{"0":4,"10":9},"T@h":{}}}`, "")
	tb := open(t, m)
	want(t, tb, "g", "T", 0, 4)
	want(t, tb, "g", "T", 10, 9)
}

func TestEntriesThatCannotBeOffsetsAreLeftOut(t *testing.T) {
	tb := open(t, withFiles(t, `{"offsetTable":{"T@g":{0:4,1:-1,-2:3,70000:1},"nogroup":{0:1},"@g":{0:1},"T@":{0:1}}}`, ""))
	if tb.Len() != 1 || len(tb.Queues("g", "T")) != 1 {
		t.Errorf("%v", tb.All())
	}
	want(t, tb, "g", "T", 0, 4)
}

func TestFlushOnlyWhenChanged(t *testing.T) {
	m := vfs.NewMem()
	tb := open(t, m)
	writes := 0
	m.Fail(func(op vfs.Op, _ string) error {
		if op.Changes() {
			writes++
		}
		return nil
	})
	flush := func(want bool, why string) {
		t.Helper()
		writes = 0
		if err := tb.Flush(); err != nil {
			t.Fatal(err)
		}
		if got := writes > 0; got != want {
			t.Errorf("%s: written %v, want %v", why, got, want)
		}
	}
	flush(false, "new")
	tb.Commit("g", "T", 0, 1)
	flush(true, "commit")
	flush(false, "nothing since")
	tb.Commit("g", "T", 0, 1)
	flush(false, "the same offset again")
	tb.DeleteGroup("x")
	flush(false, "nothing deleted")
	tb.DeleteGroup("g")
	flush(true, "deleted")
}

func TestFlushTriesAgainAfterAnError(t *testing.T) {
	m := vfs.NewMem()
	tb := open(t, m)
	tb.Commit("g", "T", 0, 1)
	errDisk := errors.New("disk")
	m.Fail(func(op vfs.Op, _ string) error {
		if op == vfs.OpSync {
			return errDisk
		}
		return nil
	})
	if err := tb.Flush(); !errors.Is(err, errDisk) {
		t.Fatalf("error %v", err)
	}
	m.Fail(nil)
	if err := tb.Flush(); err != nil {
		t.Fatal(err)
	}
	want(t, open(t, m.Crash(vfs.CrashOptions{})), "g", "T", 0, 1)
}

func TestBrokenFileFallsBackToItsBackup(t *testing.T) {
	const good = `{"offsetTable":{"T@g":{0:7}}}`
	for what, main := range map[string]string{"missing": "", "zeros": "\x00\x00\x00", "torn": `{"offsetTable":{"T@g":{0:`, "no object": "[]", "noise": "\x01\x02"} {
		m := withFiles(t, main, good)
		tb, err := Open(config(m))
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		want(t, tb, "g", "T", 0, 7)
		_, _, err = m.Stat(file + ".broken")
		if kept := err == nil; kept != (what == "torn" || what == "no object" || what == "noise") {
			t.Errorf("%s: put aside: %v", what, kept)
		}
		tb.Commit("g", "T", 0, 8)
		if err := tb.Flush(); err != nil {
			t.Fatal(err)
		}
		want(t, open(t, m.Crash(vfs.CrashOptions{})), "g", "T", 0, 8)
	}
	for _, c := range [][2]string{{"{", ""}, {"{", "{"}} {
		if _, err := Open(config(withFiles(t, c[0], c[1]))); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("%q with backup %q: error %v", c[0], c[1], err)
		}
	}
}

// A cut at any operation, from opening with a broken file to the end of the next
// Flush, leaves a table that can be opened, with the old offset or the new one.
func TestPowerCutAtEachOperation(t *testing.T) {
	for what, main := range map[string]string{"good": `{"offsetTable":{"T@g":{0:7}}}`, "torn": `{"offsetTable":{"T@g`} {
		before, after := 0, 0
		for cut, done := 0, false; !done; cut++ {
			for seed := range uint64(12) {
				o := vfs.CrashOptions{Data: vfs.KeepSome, Names: vfs.KeepSome, Rand: rand.New(rand.NewPCG(seed, 1))}
				if seed == 0 {
					o = vfs.CrashOptions{}
				}
				m := withFiles(t, main, `{"offsetTable":{"T@g":{0:7}}}`)
				var left *vfs.Mem
				n := 0
				m.Fail(func(op vfs.Op, _ string) error {
					if op.Changes() && left == nil {
						if n == cut {
							left = m.Crash(o)
						}
						n++
					}
					return nil
				})
				tb, err := Open(config(m))
				if err == nil {
					tb.Commit("g", "T", 0, 8)
					err = tb.Flush()
				}
				if done = left == nil; done {
					if err != nil || cut < 6 {
						t.Fatalf("%s: %v after %d operations", what, err, cut)
					}
					break
				}
				if err == nil {
					t.Fatalf("%s, cut %d: Flush returned nil after the power was gone", what, cut)
				}
				again, err := Open(config(left))
				if err != nil {
					t.Fatalf("%s, cut %d, seed %d: %v", what, cut, seed, err)
				}
				switch got, _ := again.Query("g", "T", 0); got {
				case 7:
					before++
				case 8:
					after++
				default:
					t.Fatalf("%s, cut %d: offset %d", what, cut, got)
				}
			}
		}
		if before == 0 || after == 0 {
			t.Errorf("%s: %d cuts left the old table, %d the new one", what, before, after)
		}
	}
}

// FuzzFile: no file content makes load panic, and what is loaded is written and
// read again as it is.
func FuzzFile(f *testing.F) {
	f.Add(golden(f, "store-clean"))
	f.Add(golden(f, "store-killed"))
	f.Add([]byte(`{"dataVersion":{"counter":3},"offsetTable":{"T@g@h":{"0":4},"x":{},"@":{1:-1}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var w body.ConsumerOffsetSerializeWrapper
		if body.Unmarshal(data, &w) != nil {
			return
		}
		tb := newTable(config(nil))
		tb.load(&w)
		first := tb.All()
		text := body.MarshalConfig(&first)
		var again body.ConsumerOffsetSerializeWrapper
		if err := body.Unmarshal(text, &again); err != nil {
			t.Fatalf("%v in %q", err, text)
		}
		tb = newTable(config(nil))
		if skipped := tb.load(&again); skipped != 0 {
			t.Fatalf("%d entries of %q left out", skipped, text)
		}
		second := tb.All()
		if got := body.MarshalConfig(&second); string(got) != string(text) {
			t.Fatalf("%q became %q", text, got)
		}
	})
}

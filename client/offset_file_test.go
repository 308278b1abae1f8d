// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestOffsetFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "g", "offsets.json")
	q := Queue{Topic: "T", Broker: "a", ID: 3}
	open := func() *offsetFile {
		t.Helper()
		f, err := openOffsetFile(dir, "g")
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	check := func(f *offsetFile, want int64, there bool) {
		t.Helper()
		if next, ok, err := f.stored(t.Context(), q); err != nil || ok != there || next != want {
			t.Errorf("stored %d, %v, %v, want %d, %v", next, ok, err, want, there)
		}
	}
	f := open()
	check(f, 0, false)
	if err := f.flush(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("a file without offsets was written: %v", err)
	}
	if err := f.commit(t.Context(), q, 17, true); err != nil {
		t.Fatal(err)
	}
	check(open(), 17, true)
	if err := f.commit(t.Context(), q, 18, false); err != nil {
		t.Fatal(err)
	}
	check(open(), 17, true) // not yet written
	if err := f.flush(); err != nil {
		t.Fatal(err)
	}
	check(open(), 18, true)

	if err := os.WriteFile(path, []byte(`{"offsetTable":{`), 0o644); err != nil {
		t.Fatal(err)
	}
	check(open(), 17, true) // what it was before
	if err := os.Remove(path + ".bak"); err != nil {
		t.Fatal(err)
	}
	if _, err := openOffsetFile(dir, "g"); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("a damaged file: %v", err)
	}
	java := `{
	"offsetTable":{{
			"brokerName":"a",
			"queueId":3,
			"topic":"T"
		}:99
	}
}`
	if err := os.WriteFile(path, []byte(java), 0o644); err != nil {
		t.Fatal(err)
	}
	check(open(), 99, true)
}

// While the file is replaced there is always one, and a damaged one does not take the
// place of the one before it.
func TestOffsetFileIsReplacedWhole(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "g", "offsets.json")
	q := Queue{Topic: "T", Broker: "a"}
	f, err := openOffsetFile(dir, "g")
	if err != nil {
		t.Fatal(err)
	}
	commit := func(next int64) {
		t.Helper()
		if err := f.commit(t.Context(), q, next, true); err != nil {
			t.Fatal(err)
		}
	}
	commit(1)
	end, ended := make(chan bool), make(chan error)
	go func() {
		for {
			if _, err := os.ReadFile(path); err != nil {
				ended <- err
				return
			}
			select {
			case <-end:
				ended <- nil
				return
			default:
			}
		}
	}()
	for next := range int64(100) {
		commit(next)
	}
	select {
	case end <- true:
		err = <-ended
	case err = <-ended:
	}
	if err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(path, []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if f, err = openOffsetFile(dir, "g"); err != nil {
		t.Fatal(err)
	}
	commit(200)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if f, err = openOffsetFile(dir, "g"); err != nil {
		t.Fatal(err)
	}
	if next, _, _ := f.stored(t.Context(), q); next != 98 {
		t.Errorf("the file before has %d, want 98", next)
	}
}

func TestNoOffsetFile(t *testing.T) {
	f, err := openOffsetFile("", "g")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.commit(t.Context(), Queue{Topic: "T"}, 5, true); err != nil {
		t.Fatal(err)
	}
	if next, ok, _ := f.stored(t.Context(), Queue{Topic: "T"}); !ok || next != 5 {
		t.Errorf("stored %d, %v", next, ok)
	}
}

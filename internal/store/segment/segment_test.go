// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package segment

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/twostage/twostage/internal/vfs"
)

func TestName(t *testing.T) {
	for _, c := range []struct {
		offset int64
		name   string
	}{
		{0, "00000000000000000000"},
		{262144, "00000000000000262144"},
		{1 << 30, "00000000001073741824"},
		{1<<63 - 1, "09223372036854775807"},
	} {
		if got := Name(c.offset); got != c.name {
			t.Errorf("Name(%d) = %q, want %q", c.offset, got, c.name)
		}
		if got, ok := Parse(c.name); !ok || got != c.offset {
			t.Errorf("Parse(%q) = %d, %v", c.name, got, ok)
		}
	}
	for _, name := range []string{"", "0", "0000000000000000000x", "000000000000000000000", "09223372036854775808", "99999999999999999999", "-0000000000000000001"} {
		if off, ok := Parse(name); ok {
			t.Errorf("Parse(%q) accepted as %d", name, off)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("00000000000000262144")
	f.Add("09223372036854775807")
	f.Fuzz(func(t *testing.T, name string) {
		if off, ok := Parse(name); ok && Name(off) != name {
			t.Fatalf("Parse(%q) = %d, whose name is %q", name, off, Name(off))
		}
	})
}

func TestList(t *testing.T) {
	dir := t.TempDir()
	touch := func(name string) {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	l, err := List(vfs.OS(), dir+"/none", 600)
	if err != nil || len(l.Starts) != 0 {
		t.Fatalf("missing directory: %+v, %v", l, err)
	}
	touch(Name(1200))
	touch(Name(600))
	touch("00000000000000000600.bak")
	l, err = List(vfs.OS(), dir, 600)
	if err != nil || !slices.Equal(l.Starts, []int64{600, 1200}) || !slices.Equal(l.Other, []string{"00000000000000000600.bak"}) {
		t.Fatalf("List = %+v, %v", l, err)
	}
	if _, err = List(vfs.OS(), dir, 1000); !errors.Is(err, ErrLayout) || !strings.Contains(err.Error(), "1000") {
		t.Fatalf("other file size: %v", err)
	}
	touch(Name(2400))
	if _, err = List(vfs.OS(), dir, 600); !errors.Is(err, ErrLayout) || !strings.Contains(err.Error(), Name(1800)) {
		t.Fatalf("gap: %v", err)
	}
	if _, err = List(vfs.OS(), dir, 0); err == nil {
		t.Fatal("file size 0 accepted")
	}
}

func TestStart(t *testing.T) {
	if Start(599, 600) != 0 || Start(600, 600) != 600 || Join("d", 600) != "d/00000000000000000600" {
		t.Fatal("Start or Join")
	}
}

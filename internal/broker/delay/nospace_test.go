// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package delay

import (
	"errors"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/vfs"
)

// noNotes has no space for notes.
func noNotes(m *vfs.Mem) {
	m.Fail(func(op vfs.Op, name string) error {
		if op == vfs.OpWrite && strings.HasPrefix(name, offsetPath) {
			return syscall.ENOSPC
		}
		return nil
	})
}

// TestNoSpaceForNotes: without space for a note the older one does, over starts
// and stops of any kind, and nothing is delivered twice.
func TestNoSpaceForNotes(t *testing.T) {
	for _, kill := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			m := vfs.NewMem()
			r := start(t, m)
			r.mustSend("A", 0, sent("1", "a"), sent("3", "late")) // no keys
			after(3 * time.Second)
			r.want("A", 0, "a")
			want := "a"
			for _, name := range []string{"b", "c", "d"} {
				noNotes(m)
				r.mustSend("A", 0, sent("1", name))
				after(5 * time.Second) // at which notes are tried
				want += " " + name
				r.want("A", 0, want)
				if err := r.svc.Persist(); !errors.Is(err, syscall.ENOSPC) {
					t.Fatalf("Persist: %v", err)
				}
				if kill {
					m = m.Kill()
				} else if err := r.svc.Close(); !errors.Is(err, syscall.ENOSPC) {
					t.Fatalf("Close: %v", err)
				}
				r.stop()
				noNotes(m)
				r = start(t, m)
				after(5 * time.Second)
				r.want("A", 0, want)
			}
			m.Fail(nil)
			after(3 * time.Second)
			r.svc.noting.Lock()
			if f := r.svc.file; f.LogOffset == nil || f.OffsetTable[1] != 4 {
				t.Errorf("with space again the note is %+v", f)
			}
			r.svc.noting.Unlock()
			after(2 * time.Hour)
			r.want("A", 0, want+" late")
			r.close()
		})
	}
}

// TestNoSpaceForTheFirstNote: without any note it could not be told later what was
// delivered, so the service does not start.
func TestNoSpaceForTheFirstNote(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := vfs.NewMem()
		noNotes(m)
		if _, err := tryStart(t, m); !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), offsetPath) {
			t.Fatalf("a start: %v", err)
		}
		m.Fail(nil)
		start(t, m).close()
	})
}

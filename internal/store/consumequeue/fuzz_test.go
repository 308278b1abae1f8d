// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package consumequeue_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/twostage/twostage/internal/store/consumequeue"
	"github.com/twostage/twostage/internal/vfs"
)

// Whatever the files hold, opening and using them ends, and what is appended
// afterwards is there, also after another start.
func FuzzOpenDamaged(f *testing.F) {
	for _, name := range []string{"store-clean/consumequeue/GFill/0/00000000000000000000", "store-clean/consumequeue/GFill/0/00000000000000000600"} {
		data, err := os.ReadFile(goldenDir + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, data[:300], int64(5000), false)
		f.Add(data, []byte{}, int64(0), true)
		f.Add(data[20:500], data[:600], int64(1<<40), false)
	}
	f.Fuzz(func(t *testing.T, first, second []byte, end int64, clean bool) {
		m := vfs.NewMem()
		const queue = dir + "/T/0/"
		must(t, m.MkdirAll(queue))
		must(t, vfs.WriteFile(m, queue+fmt.Sprintf("%020d", 0), first))
		if len(second) > 0 {
			must(t, vfs.WriteFile(m, queue+fmt.Sprintf("%020d", 600), second))
		}
		o := consumequeue.Options{FS: m, Dir: dir, FileSize: 600, Clean: clean}
		s, err := consumequeue.Open(o)
		if err != nil {
			return
		}
		q := s.Queue("T", 0)
		if q.Min() < 0 || q.Max() < q.Min() || q.Max() > 60 {
			t.Fatalf("holds [%d,%d)", q.Min(), q.Max())
		}
		must(t, q.TruncatePhysical(end))
		must(t, q.SetMin(end/2))
		from := q.Max()
		appendRecords(t, q, from, from+40)
		wantRecords(t, q, from, from+40)
		must(t, s.Close())
		o.Clean = true
		if s, err = consumequeue.Open(o); err != nil {
			if clean {
				return // a file that was not looked at before has another size
			}
			t.Fatal(err)
		}
		if !clean && s.Queue("T", 0).Max() != from+40 {
			t.Fatalf("ends at %d, want %d", s.Queue("T", 0).Max(), from+40)
		}
		wantRecords(t, s.Queue("T", 0), from, from+40)
		must(t, s.Close())
	})
}

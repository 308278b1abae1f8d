// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package timerfile

import (
	"errors"
	"os"
	"testing"

	"github.com/twostage/twostage/internal/vfs"
)

// Units gives all units before the end that it is told, over several files, or says
// that something else stands there: zeros too, but not behind the end.
func TestUnitsAreAllThere(t *testing.T) {
	const n, size = 200, 60*UnitSize + blankSize + 10
	for _, c := range []struct {
		name string
		at   int64
		with []byte
	}{
		{"zeros at the begin", 0, make([]byte, 2*UnitSize)},
		{"zeros in the second file", size + 5*UnitSize, make([]byte, UnitSize)},
		{"another size", 3 * UnitSize, []byte{1}},
		{"nothing", 3 * UnitSize, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newFS(t)
			l := openLog(t, m, size, 0)
			var half, end int64
			for i := range n {
				pos, err := l.Append(&Unit{Prev: -1, Kind: KindMessage, Put: int64(i), Offset: int64(i), Size: 1})
				must(t, err)
				if i == 2 {
					half = pos + UnitSize
				}
			}
			must(t, l.Write())
			end = l.End()
			damage(t, m, c.at, c.with, size)
			units := func(end int64) (seen int64, err error) {
				err = Units(m, "/d", size, end, func(u *Unit) bool {
					if u.Offset == seen {
						seen++
					}
					return true
				})
				return seen, err
			}
			if seen, err := units(end); c.with == nil && (seen != n || err != nil) || c.with != nil && !errors.Is(err, ErrDamaged) {
				t.Errorf("%d of %d units, %v", seen, n, err)
			}
			if seen, err := units(half); c.at > 0 && (seen != 3 || err != nil) {
				t.Errorf("%d of 3 units, %v", seen, err)
			}
			must(t, l.Close())
		})
	}
}

// damage overwrites bytes at a position of the timerlog.
func damage(t *testing.T, m vfs.FS, at int64, with []byte, size int64) {
	t.Helper()
	names := map[int64]string{0: "/d/timerlog/00000000000000000000", size: "/d/timerlog/00000000000000003146"}
	f, err := m.OpenFile(names[at/size*size], os.O_RDWR)
	must(t, err)
	_, err = f.WriteAt(with, at%size)
	must(t, err)
	must(t, f.Close())
}

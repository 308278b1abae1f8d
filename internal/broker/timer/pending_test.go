// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package timer

import (
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/store/timerfile"
	"github.com/twostage/twostage/internal/vfs"
)

// overwrite puts bytes at the begin of the timerlog.
func overwrite(t *testing.T, m vfs.FS, with []byte) {
	t.Helper()
	f, err := m.OpenFile("/data/timerlog/00000000000000000000", os.O_RDWR)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(with, 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// Where a unit is damaged nobody says that less waits than does; the wheel is built
// again.
func TestDamagedUnitHidesNoneThatWait(t *testing.T) {
	for what, with := range map[string][]byte{"another size": {1}, "zeros": make([]byte, timerfile.UnitSize)} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := vfs.NewMem()
				r := start(t, m)
				for i := range 20 {
					r.in(fmt.Sprint("m", i), 600_000+int64(i)*5000)
				}
				after(5 * time.Second)
				overwrite(t, m, with)
				if n, err := r.svc.WaitingBelow(math.MaxInt64, 100); !errors.Is(err, timerfile.ErrDamaged) {
					t.Errorf("%d wait, %v", n, err)
				}
				after(5 * time.Second)
				if n, err := r.svc.WaitingBelow(math.MaxInt64, 100); n != 20 || err != nil {
					t.Errorf("afterwards %d wait, %v", n, err)
				}
				after(20 * time.Minute)
				if n := len(r.bodies()); n != 20 {
					t.Errorf("%d of 20 delivered", n)
				}
				r.close()
			})
		})
	}
}

// While a wheel can't be made, and while it is being built, all that waits counts.
func TestAllWaitWhileTheWheelIsBuilt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := vfs.NewMem()
		r := start(t, m)
		for i := range 20 {
			r.in(fmt.Sprint("m", i), 600_000)
		}
		after(5 * time.Second)
		var none atomic.Bool
		m.Fail(func(op vfs.Op, name string) error {
			if none.Load() && op == vfs.OpOpen && strings.HasSuffix(name, "/timerwheel") {
				return syscall.ENOSPC
			}
			return nil
		})
		none.Store(true)
		overwrite(t, m, []byte{1})
		for i := range 5 {
			if n, err := r.svc.WaitingBelow(math.MaxInt64, 100); n+r.svc.Behind() < 20 && err == nil {
				t.Errorf("after %d s %d wait, %d are behind", i, n, r.svc.Behind())
			}
			after(time.Second)
		}
		if r.svc.Behind() != 20 {
			t.Errorf("%d are behind: the wheel is not being built", r.svc.Behind())
		}
		none.Store(false)
		after(20 * time.Minute)
		if n := len(r.bodies()); n != 20 {
			t.Errorf("%d of 20 delivered", n)
		}
		r.close()
	})
}

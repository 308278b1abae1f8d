// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package state

import "testing"

func TestWordLayout(t *testing.T) {
	const most = 1<<61 - 1
	for _, c := range []struct {
		w Word
		v uint64
	}{
		{Word{}, 0},
		{Word{Checks: 1, CheckedAt: 2}, 1<<44 | 2},
		{Word{Checks: 65535, CheckedAt: 1<<44 - 1}, 1<<60 - 1},
		{Word{Kind: Committed}, 0x2000000000000000},
		{Word{Kind: RolledBack, Op: 5}, 0x4000000000000005},
		{Word{Kind: Discarded, Op: most}, 0x7fffffffffffffff},
		{Word{Kind: Resumed, Next: 9}, 0x8000000000000009},
		{Word{Kind: Decided, Op: most}, 0xbfffffffffffffff},
	} {
		v, fits := c.w.encode()
		if v != c.v || !fits {
			t.Errorf("%+v is %#x, %v, want %#x", c.w, v, fits, c.v)
		}
		if w, ok := decode(c.v); w != c.w || !ok {
			t.Errorf("%#x is %+v, %v, want %+v", c.v, w, ok, c.w)
		}
	}
	for _, v := range []uint64{1 << 60, 1<<61 - 1, 6 << 61, 7<<61 | 1, ^uint64(0)} {
		if w, ok := decode(v); ok {
			t.Errorf("%#x is %+v", v, w)
		}
	}
}

func TestWordDoesNotFit(t *testing.T) {
	const most = 1<<61 - 1
	for _, c := range []struct {
		in, out Word
		fits    bool
	}{
		{Word{Checks: 70000, CheckedAt: 7}, Word{Checks: 65535, CheckedAt: 7}, true},
		{Word{Checks: -1, CheckedAt: 7}, Word{CheckedAt: 7}, false},
		{Word{Checks: 1, CheckedAt: -7}, Word{Checks: 1}, false},
		{Word{Checks: 1, CheckedAt: 1 << 50}, Word{Checks: 1, CheckedAt: 1<<44 - 1}, false},
		{Word{Kind: Committed, Op: -1}, Word{Kind: Committed, Op: most}, false},
		{Word{Kind: Decided, Op: 1 << 61}, Word{Kind: Decided, Op: most}, false},
		{Word{Kind: Resumed, Next: -1}, Word{Kind: Resumed, Next: most}, false},
		{Word{Kind: 6, Op: 1}, Word{}, false},
		{Word{Kind: 255}, Word{}, false},
	} {
		v, fits := c.in.encode()
		if got, ok := decode(v); got != c.out || fits != c.fits || !ok {
			t.Errorf("%+v becomes %+v, fits %v; want %+v, %v", c.in, got, fits, c.out, c.fits)
		}
	}
}

func TestKindString(t *testing.T) {
	for k, want := range map[Kind]string{Undecided: "undecided", RolledBack: "rolled back", Decided: "decided", 6: "Kind(6)"} {
		if got := k.String(); got != want {
			t.Errorf("Kind %d is %q", k, got)
		}
	}
}

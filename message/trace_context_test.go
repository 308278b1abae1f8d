// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package message

import (
	"strings"
	"testing"
)

// The examples of the standard, and what it says of others.
func TestTraceparent(t *testing.T) {
	const good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	c, ok := ParseTraceparent([]byte(good))
	if !ok || !c.Sampled || c.TraceID[0] != 0x4b || c.SpanID[7] != 0xb7 || c.String() != good {
		t.Errorf("%+v, %v", c, ok)
	}
	for text, sampled := range map[string]bool{
		strings.TrimSuffix(good, "01") + "00":                false,
		strings.TrimSuffix(good, "01") + "ff":                true,
		"cc" + good[2:] + "-what-a-later-version-may-append": true,
	} {
		if c, ok := ParseTraceparent([]byte(text)); !ok || c.Sampled != sampled {
			t.Errorf("%s: %+v, %v", text, c, ok)
		}
	}
	for _, bad := range []string{
		"", "00", good[:54], good + "0", good + "-00", "ff" + good[2:], "cc" + good[2:] + "x", strings.ToUpper(good),
		strings.Replace(good, "4bf9", "4bfg", 1), strings.Replace(good, "-", "_", 1), strings.Replace(good, "-00f0", "_00f0", 1), strings.Replace(good, "-01", "_01", 1),
		"00-00000000000000000000000000000000-00f067aa0ba902b7-01", "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
	} {
		if c, ok := ParseTraceparent([]byte(bad)); ok || c != (TraceContext{}) {
			t.Errorf("%q: %+v, %v", bad, c, ok)
		}
	}
	if n := testing.AllocsPerRun(100, func() { ParseTraceparent([]byte(good)) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzTraceparent: what is read is what the text says.
func FuzzTraceparent(f *testing.F) {
	f.Add([]byte("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"))
	f.Add([]byte("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03-more"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, ok := ParseTraceparent(b)
		if !ok {
			return
		}
		again, ok := ParseTraceparent(c.Append(nil))
		if !ok || again != c || string(c.Append(nil)[2:52]) != string(b[2:52]) {
			t.Errorf("%q is read as %s", b, c)
		}
	})
}

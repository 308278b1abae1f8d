// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package wire

import "testing"

func TestVersionName(t *testing.T) {
	for ordinal, want := range map[int32]string{
		-1: "V3", 0: "V3", VersionV349: "V3", 211: "V3", 212: "V4_0_0_SNAPSHOT",
		VersionV493: "V4_9_3", 409: "V4_9_8", VersionV500: "V5_0_0", 479: "V5_3_3", 611: "V5_9_9", 612: "HIGHER_VERSION", 9999: "HIGHER_VERSION",
	} {
		if got := VersionName(ordinal); got != want {
			t.Errorf("%d: %s, want %s", ordinal, got, want)
		}
	}
}

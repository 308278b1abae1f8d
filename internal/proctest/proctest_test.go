// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package proctest

import (
	"strings"
	"testing"
)

func TestBinaryIsAnAbsolutePath(t *testing.T) {
	if path, err := given("/opt/twostage"); path != "/opt/twostage" || err != nil {
		t.Errorf("%q, %v", path, err)
	}
	for _, path := range []string{"bin/twostage", "./twostage", "twostage"} {
		if _, err := given(path); err == nil || !strings.Contains(err.Error(), "TWOSTAGE_BIN="+path) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

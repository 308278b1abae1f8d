// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"strings"
	"testing"
)

// TestNoErrorShowsAPlantedSecret, wherever in a file it stands, behind whatever sign.
func TestNoErrorShowsAPlantedSecret(t *testing.T) {
	const secret = "Pl4ntedSecret"
	failed := 0
	for at := range len(example) + 1 {
		for _, before := range []string{"", " ", "@", "\"a\"", "{", "[", "\\", "\n", ": ", "\n  secretKey  "} {
			text := example[:at] + before + secret + example[at:]
			for what, parse := range map[string]func() error{
				"access file": func() error { _, err := ParsePlain([]byte(text)); return err },
				"credentials": func() error { _, err := ParseCredentials([]byte(text)); return err },
			} {
				err := parse()
				if err == nil {
					continue
				}
				if failed++; strings.Contains(err.Error(), secret) {
					t.Fatalf("%s: %v\n%s", what, err, text)
				}
			}
		}
	}
	if failed < 1000 {
		t.Errorf("only %d of the files could not be read", failed)
	}
	if _, err := ParseWhite(secret); err == nil || strings.Contains(err.Error(), secret) {
		t.Errorf("a white list: %v", err)
	}
}

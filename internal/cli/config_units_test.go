// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/twostage/twostage/internal/cli/output"
)

// Keys with a unit are set in forms for people, are shown in one that can be set again,
// and docs/configuration.md has them.
func TestConfigUnits(t *testing.T) {
	for _, c := range []struct{ key, text, plain, shown string }{
		{"fileReservedTime", "7d", "168", "168 (7d)"}, {"fileReservedTime", "36h", "36", "36 (1d12h)"}, {"fileReservedTime", "48", "48", "48 (2d)"},
		{"fileReservedTime", "0", "0", "0"}, {"maxMessageSize", "8MiB", "8388608", "8388608 (8MiB)"}, {"transactionTimeOut", "1m", "60000", "60000 (1m)"},
		{"syncFlushTimeout", "250ms", "250", "250 (250ms)"}, {"timerMaxDelaySec", "3d", "259200", "259200 (3d)"}, {"transactionMaxAge", "1h", "3600000", "3600000 (1h)"},
		{"transactionMaxAge", "9223372036854775807", "9223372036854775807", "9223372036854775807"}, // more than a span can be
		{"deleteWhen", "04", "04", "04"}, {"brokerPermission", "6", "6", "6"}, {"brokerName", "7d", "7d", "7d"},
	} {
		keys := map[string]string{c.key: c.text}
		if err := plainKeys(keys); err != nil || keys[c.key] != c.plain || keyText(c.key, c.plain) != c.shown {
			t.Errorf("%s=%s: %v, %v, shown as %s", c.key, c.text, keys, err, keyText(c.key, c.plain))
		}
	}
	for _, wrong := range [][2]string{{"fileReservedTime", "90m"}, {"fileReservedTime", "long"}, {"maxMessageSize", "7d"}, {"transactionTimeOut", "1us"}} {
		if err := plainKeys(map[string]string{wrong[0]: wrong[1]}); !errors.Is(err, errUsage) || !strings.Contains(err.Error(), wrong[0]) {
			t.Errorf("%s: %v", wrong, err)
		}
	}
	docs, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	for key, unit := range spanKeys {
		if d, err := output.ParseSpan(spanText(unit * 90061)); err != nil || d != unit*90061 {
			t.Errorf("%v is shown as %s, which reads as %v, %v", unit*90061, spanText(unit*90061), d, err)
		}
		if !strings.Contains(string(docs), "`"+key+"`") {
			t.Errorf("docs/configuration.md has no %s", key)
		}
	}
	for _, key := range byteKeys {
		if !strings.Contains(string(docs), "`"+key+"`") {
			t.Errorf("docs/configuration.md has no %s", key)
		}
	}
}

// What has brokers delete sooner asks first.
func TestConfigShortens(t *testing.T) {
	for _, c := range []struct {
		key, from, to string
		want          bool
	}{
		{"fileReservedTime", "72", "48", true}, {"fileReservedTime", "72", "72", false}, {"fileReservedTime", "72", "100", false},
		{"diskMaxUsedSpaceRatio", "75", "10", true}, {"diskSpaceCleanForciblyRatio", "85", "84", true}, {"diskSpaceCleanForciblyRatio", "85", "86", false},
		{"cleanFileForciblyEnable", "false", "true", true}, {"cleanFileForciblyEnable", "true", "false", false},
		{"transactionMaxAge", "0", "5", true}, {"transactionMaxAge", "5", "0", false}, {"transactionMaxAge", "5", "4", true}, {"brokerPermission", "6", "2", false},
	} {
		if got := shortens(c.key, c.from, c.to); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

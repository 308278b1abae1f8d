// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package retention

import (
	"math"
	"strings"
	"testing"
	"time"
)

// now is at half past two.
var now = time.Date(2026, 3, 4, 2, 30, 0, 0, time.UTC)

// policy is RocketMQ's, but for a batch of 3.
func policy() Policy {
	return Policy{Reserved: 72 * time.Hour, Hours: []int{4, 16}, MaxUsed: 75, CleanForcibly: 85, Warning: 90, Forcibly: true, Batch: 3}
}

// aged are files whose newest records are so many hours old; -1 is not known.
func aged(hours ...int) []File {
	files := make([]File, len(hours))
	for i, h := range hours {
		files[i] = File{Start: int64(i) << 30, Newest: now.Add(-time.Duration(h) * time.Hour).UnixMilli()}
		if h < 0 {
			files[i].Newest = math.MaxInt64
		}
	}
	return files
}

func TestDecide(t *testing.T) {
	four, strict := time.Date(2026, 3, 4, 4, 0, 0, 0, time.UTC), policy()
	strict.Forcibly = false
	old := aged(100, 90, 80, 10, 1)
	for _, c := range []struct {
		name      string
		p         Policy
		v         View
		delete    int
		unexpired int
		why       string
		full      string // part of WhyFull; "" when writes are taken
	}{
		{"wrong hour", policy(), View{Now: now, Used: 0.5, Files: old}, 0, 0, "", ""},
		{"right hour", policy(), View{Now: four, Used: 0.5, Files: old}, 3, 0, "deleteWhen", ""},
		{"last second of the hour", policy(), View{Now: four.Add(time.Hour - time.Second), Used: 0.5, Files: old}, 3, 0, "04:00", ""},
		{"first second after", policy(), View{Now: four.Add(time.Hour), Used: 0.5, Files: old}, 0, 0, "", ""},
		{"second hour", policy(), View{Now: four.Add(12 * time.Hour), Used: 0.5, Files: old}, 3, 0, "16:00", ""},
		{"asked", policy(), View{Now: now, Used: 0.5, Files: old, Asked: true}, 3, 0, "asked for", ""},
		{"asked, none expired", policy(), View{Now: now, Used: 0.5, Files: aged(71, 2), Asked: true}, 0, 0, "", ""},
		{"asked above 85, none expired", policy(), View{Now: now, Used: 0.88, Files: aged(3, 2), Asked: true}, 0, 0, "", ""},
		{"asked above 90, expired first", policy(), View{Now: now, Used: 0.95, Files: aged(80, 2), Asked: true}, 1, 0, "asked for", "diskSpaceWarningLevelRatio"},
		{"exactly reserved", policy(), View{Now: now, Files: aged(72), Asked: true}, 0, 0, "", ""},
		{"batch", policy(), View{Now: now, Files: aged(104, 103, 102, 101, 100), Asked: true}, 3, 0, "asked", ""},
		{"not known behind", policy(), View{Now: now, Files: aged(104, -1, 102), Asked: true}, 1, 0, "asked", ""},
		{"at 75", policy(), View{Now: now, Used: 0.75, Files: old}, 0, 0, "", ""},
		{"above 75", policy(), View{Now: now, Used: 0.7501, Files: old}, 3, 0, "diskMaxUsedSpaceRatio 75", ""},
		{"above 75, none expired", policy(), View{Now: now, Used: 0.84, Files: aged(3, 2)}, 0, 0, "", ""},
		{"at 85", policy(), View{Now: now, Used: 0.85, Files: aged(3, 2)}, 0, 0, "", ""},
		{"above 85, none expired", policy(), View{Now: now, Used: 0.851, Files: aged(3, 2)}, 1, 1, "nothing expired is left", ""},
		{"above 85, expired first", policy(), View{Now: now, Used: 0.851, Files: aged(80, 2)}, 1, 0, "diskSpaceCleanForciblyRatio 85", ""},
		{"above 85, not known", policy(), View{Now: now, Used: 0.851, Files: aged(-1)}, 1, 1, "85.1% full", ""},
		{"above 85, no file", policy(), View{Now: now, Used: 0.89}, 0, 0, "", ""},
		{"above 85, not forcibly", strict, View{Now: now, Used: 0.851, Files: aged(3, 2)}, 0, 0, "", "cleanFileForciblyEnable is false"},
		{"above 85, not forcibly, expired", strict, View{Now: now, Used: 0.851, Files: old}, 3, 0, "diskMaxUsedSpaceRatio", "cleanFileForciblyEnable"},
		{"at 90", policy(), View{Now: now, Used: 0.90, Files: aged(3)}, 1, 1, "85", ""},
		{"above 90", policy(), View{Now: now, Used: 0.901, Files: aged(3)}, 1, 1, "85", "diskSpaceWarningLevelRatio 90"},
		{"above 90, not forcibly", strict, View{Now: now, Used: 0.901, Files: aged(3)}, 0, 0, "", "diskSpaceWarningLevelRatio 90"},
		{"full stays above 85", policy(), View{Now: now, Used: 0.86, Full: true}, 0, 0, "", "taken again"},
		{"full ends at 85", policy(), View{Now: now, Used: 0.85, Full: true}, 0, 0, "", ""},
		{"full, not known", policy(), View{Now: now, Used: -1, Full: true, Files: aged(3)}, 0, 0, "", "not known"},
		{"not known", policy(), View{Now: now, Used: -1, Files: old}, 3, 0, "not known", ""},
		{"hours of the view's zone", policy(), View{Now: now.In(time.FixedZone("", 2*3600)), Files: old}, 3, 0, "04:00", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := c.p.Decide(c.v)
			if d.Delete != c.delete || d.Unexpired != c.unexpired || d.Full != (c.full != "") {
				t.Fatalf("%+v", d)
			}
			if !strings.Contains(d.Why, c.why) || (d.Why == "") != (c.delete == 0) {
				t.Errorf("why %q, want %q in it", d.Why, c.why)
			}
			if !strings.Contains(d.WhyFull, c.full) || (d.WhyFull == "") != (c.full == "") {
				t.Errorf("why full %q, want %q in it", d.WhyFull, c.full)
			}
		})
	}
}

func TestNoHours(t *testing.T) {
	p := policy()
	p.Hours = nil
	for h := range 24 {
		if d := p.Decide(View{Now: now.Add(time.Duration(h) * time.Hour), Used: 0.5, Files: aged(200)}); d.Delete != 0 {
			t.Fatalf("hour %d: %+v", h, d)
		}
	}
}

func TestCheck(t *testing.T) {
	if err := policy().Check(); err != nil {
		t.Fatal(err)
	}
	for key, spoil := range map[string]func(*Policy){
		"fileReservedTime":            func(p *Policy) { p.Reserved = -1 },
		"deleteWhen":                  func(p *Policy) { p.Hours = []int{4, 24} },
		"diskMaxUsedSpaceRatio":       func(p *Policy) { p.MaxUsed = 101 },
		"diskSpaceCleanForciblyRatio": func(p *Policy) { p.CleanForcibly = 0 },
		"diskSpaceWarningLevelRatio":  func(p *Policy) { p.Warning = -1 },
		"deleteFileBatchMax":          func(p *Policy) { p.Batch = 0 },
	} {
		p := policy()
		spoil(&p)
		if err := p.Check(); err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%s: %v", key, err)
		}
	}
}

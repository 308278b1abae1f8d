// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package retention

import (
	"fmt"
	"time"
)

// Policy says how long log files are kept. The key of RocketMQ's that each field
// stands for is given with its default there.
type Policy struct {
	Reserved      time.Duration // files whose records are all older are expired, 0 for all (fileReservedTime, 72 h)
	Hours         []int         // hours of the day, 0 to 23, at which expired files go (deleteWhen, 04)
	MaxUsed       int           // percent of the disk above which they go at any hour (diskMaxUsedSpaceRatio, 75)
	CleanForcibly int           // percent above which others go too (diskSpaceCleanForciblyRatio, 85)
	Warning       int           // percent above which writes are refused (diskSpaceWarningLevelRatio, 90)
	Forcibly      bool          // whether unexpired files may go (cleanFileForciblyEnable, true)
	Batch         int           // files that go in one round, at most (deleteFileBatchMax, 10)
}

// Check names the key whose value is impossible.
func (p Policy) Check() error {
	if p.Reserved < 0 {
		return fmt.Errorf("fileReservedTime is %v, must not be negative", p.Reserved)
	}
	for _, h := range p.Hours {
		if h < 0 || h > 23 {
			return fmt.Errorf("deleteWhen names the hour %d, must be 0 to 23", h)
		}
	}
	for _, r := range []struct {
		key   string
		value int
	}{{"diskMaxUsedSpaceRatio", p.MaxUsed}, {"diskSpaceCleanForciblyRatio", p.CleanForcibly}, {"diskSpaceWarningLevelRatio", p.Warning}} {
		if r.value < 1 || r.value > 100 {
			return fmt.Errorf("%s is %d, must be 1 to 100 percent", r.key, r.value)
		}
	}
	if p.Batch < 1 {
		return fmt.Errorf("deleteFileBatchMax is %d, must be positive", p.Batch)
	}
	return nil
}

// File is a file of the log.
type File struct {
	Start  int64 // log offset of its first byte
	Newest int64 // no record in it has a greater store timestamp (ms since 1970); math.MaxInt64 when not known
}

// View is what is known at one moment.
type View struct {
	Now   time.Time // in the time zone that Policy.Hours means
	Used  float64   // how full the disk is, 0 to 1; of several the fullest; negative when not known
	Full  bool      // writes are refused now
	Files []File    // oldest first, without the one that is written; as many as a round may take are enough
	Asked bool      // an operator asks: expired files go at any hour, others stay however full the disk is
}

// Decision is what to do now.
type Decision struct {
	Delete    int    // files that go, from the oldest on
	Unexpired int    // how many of those, the last ones, are not expired
	Why       string // they go; "" when none does
	Full      bool   // writes are to be refused
	WhyFull   string // they are; "" when they are not
}

// Decide applies the rules of the package comment to v.
func (p Policy) Decide(v View) Decision {
	var d Decision
	d.WhyFull = p.full(v)
	d.Full = d.WhyFull != ""
	forced := p.Forcibly && v.over(p.CleanForcibly) && !v.Asked
	why := p.due(v)
	if forced {
		why = v.above("diskSpaceCleanForciblyRatio", p.CleanForcibly)
	}
	if why == "" || len(v.Files) == 0 {
		return d
	}
	if n := p.expired(v); n > 0 {
		d.Delete, d.Why = n, "expired; "+why
	} else if forced {
		d.Delete, d.Unexpired, d.Why = 1, 1, why+", and nothing expired is left"
	}
	return d
}

// expired is how many files, from the oldest on, are expired; at most a batch.
func (p Policy) expired(v View) int {
	limit := v.Now.UnixMilli() - p.Reserved.Milliseconds()
	n := 0
	for n < min(len(v.Files), p.Batch) && v.Files[n].Newest < limit {
		n++
	}
	return n
}

// due says why expired files go now; "" when they do not.
func (p Policy) due(v View) string {
	if v.Asked {
		return "asked for"
	}
	for _, h := range p.Hours {
		if v.Now.Hour() == h {
			return fmt.Sprintf("it is %02d:00 to %02d:59 (deleteWhen)", h, h)
		}
	}
	switch {
	case v.Used < 0:
		return "how full the disk is, is not known"
	case v.over(p.MaxUsed):
		return v.above("diskMaxUsedSpaceRatio", p.MaxUsed)
	}
	return ""
}

// full says why writes are refused; "" when they are not.
func (p Policy) full(v View) string {
	switch {
	case v.over(p.Warning):
		return v.above("diskSpaceWarningLevelRatio", p.Warning)
	case v.over(p.CleanForcibly) && !p.Forcibly:
		return v.above("diskSpaceCleanForciblyRatio", p.CleanForcibly) + ", and cleanFileForciblyEnable is false"
	case v.Full && v.over(p.CleanForcibly):
		return v.above("diskSpaceCleanForciblyRatio", p.CleanForcibly) + ", where writes are taken again"
	case v.Full && v.Used < 0:
		return "the disk was full, and how full it is now, is not known"
	}
	return ""
}

func (v View) over(percent int) bool { return v.Used > float64(percent)/100 }

func (v View) above(key string, percent int) string {
	return fmt.Sprintf("the disk is %.1f%% full, above %s %d", v.Used*100, key, percent)
}

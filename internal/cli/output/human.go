// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package output

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// timeLayout is a time for people: of the zone it is in, to the millisecond.
const timeLayout = "2006-01-02T15:04:05.000Z07:00"

// timeLayouts are those that ParseTime reads; without a zone in the one of now.
var timeLayouts = []string{
	time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02",
}

// Time is a time for people; the zero time is "-".
func Time(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Format(timeLayout)
}

// Millis is a time of milliseconds since 1970 for people, in local time; 0 and
// below are "-".
func Millis(ms int64) string {
	if ms <= 0 {
		return "-"
	}
	return Time(time.UnixMilli(ms))
}

// Digits of a number that is a time: from leastMillis on, which is 1973, it is
// milliseconds; from leastSeconds on it may be seconds as well, and is refused.
const (
	leastSeconds = 10
	leastMillis  = 12
)

// TimeHelp says what ParseTime reads.
const TimeHelp = "2026-01-02T15:04:05Z, without a zone as local time, shorter as 2026-01-02; 2h ago, -30m, now; or milliseconds since 1970, of 12 digits or more"

// ParseTime reads a time as people write it, see [TimeHelp].
func ParseTime(text string, now time.Time) (time.Time, error) {
	text = strings.TrimSpace(text)
	if text == "now" {
		return now, nil
	}
	span, past := strings.CutSuffix(text, " ago")
	if !past {
		span, past = strings.CutPrefix(text, "-")
	}
	if past {
		if d, err := ParseSpan(strings.TrimSpace(span)); err == nil {
			return now.Add(-d), nil
		}
	}
	if ms, err := strconv.ParseInt(text, 10, 64); err == nil && ms >= 0 && len(text) >= leastSeconds {
		if len(text) < leastMillis {
			return time.Time{}, fmt.Errorf("%q may be seconds or milliseconds since 1970: for seconds say %s000, for milliseconds %s", text, text, strings.Repeat("0", leastMillis-len(text))+text)
		}
		return time.UnixMilli(ms), nil
	}
	for _, layout := range timeLayouts {
		if t, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no time: accepted is %s", text, TimeHelp)
}

// ParseSpan reads a span of time, not negative: as package time writes it, and
// with days (d) and weeks (w) before the rest.
func ParseSpan(text string) (time.Duration, error) {
	rest := text
	var sum time.Duration
	for _, unit := range []struct {
		letter string
		is     time.Duration
	}{{"w", 7 * 24 * time.Hour}, {"d", 24 * time.Hour}} {
		number, after, ok := strings.Cut(rest, unit.letter)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(number, 10, 32)
		if err != nil || n < 0 || n > int64((math.MaxInt64-sum)/unit.is) {
			return 0, fmt.Errorf("%q is no span of time, such as 30s, 2h30m or 7d", text)
		}
		sum += time.Duration(n) * unit.is
		if rest = after; rest == "" {
			return sum, nil
		}
	}
	d, err := time.ParseDuration(rest)
	if err != nil || d < 0 || d > math.MaxInt64-sum {
		return 0, fmt.Errorf("%q is no span of time, such as 30s, 2h30m or 7d", text)
	}
	return sum + d, nil
}

// Span is a span of time for people, in its two largest units.
func Span(d time.Duration) string {
	if d < 0 {
		return "-" + Span(-max(d, -1<<63+1))
	}
	s := int64(d / time.Second)
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%d.%ds", s, d/(100*time.Millisecond)%10)
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 3600:
		return fmt.Sprintf("%dm%02ds", s/60, s%60)
	case s < 86400:
		return fmt.Sprintf("%dh%02dm", s/3600, s/60%60)
	}
	return fmt.Sprintf("%dd%02dh", s/86400, s/3600%24)
}

// Ago is how long before now a time was, "-" for the zero time.
func Ago(t, now time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return Span(now.Sub(t))
}

const sizeUnits = "KMGTPE"

// Size is a number of bytes for people: 512B, 4MiB, 1.5GiB.
func Size(n int64) string {
	if n < 0 {
		if n == math.MinInt64 {
			n++
		}
		return "-" + Size(-n)
	}
	if n < 1024 {
		return fmt.Sprintf("%dB", n)
	}
	unit, value := 0, float64(n)/1024
	for value >= 1023.95 && unit < len(sizeUnits)-1 {
		unit, value = unit+1, value/1024
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", value), ".0") + sizeUnits[unit:unit+1] + "iB"
}

// ParseSize reads a number of bytes, not negative: 4194304, 4MiB, 4M or 4m all
// are the same; 4MB is four million, as the standard says.
func ParseSize(text string) (int64, error) {
	wrong := fmt.Errorf("%q is no size, such as 4194304, 512KiB, 4MiB or 1.5GiB", text)
	number := strings.TrimRight(text, "bBiIkKmMgGtTpPeE")
	unit := strings.ToLower(strings.TrimSpace(text[len(number):]))
	value, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil || !(value >= 0) || strings.ContainsAny(number, "xXpPeE_nN") {
		return 0, wrong
	}
	if unit != "" && unit != "b" {
		power := strings.Index(strings.ToLower(sizeUnits), unit[:1]) + 1
		if power == 0 {
			return 0, wrong
		}
		switch unit[1:] {
		case "", "ib":
			value *= math.Pow(1024, float64(power))
		case "b":
			value *= math.Pow(1000, float64(power))
		default:
			return 0, wrong
		}
	}
	if value >= math.MaxInt64 {
		return 0, wrong
	}
	if n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64); err == nil && (unit == "" || unit == "b") {
		return n, nil // floats lose the last digits
	}
	return int64(math.Round(value)), nil
}

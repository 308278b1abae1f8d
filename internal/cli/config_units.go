// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twostage/twostage/internal/admin"
	"github.com/twostage/twostage/internal/cli/output"
)

// Keys of servers that are numbers of a unit; see docs/configuration.md.
var (
	byteKeys = []string{"maxMessageSize", "mappedFileSizeCommitLog", "mappedFileSizeConsumeQueue", "mappedFileSizeTimerLog", "maxTransferBytesOnMessageInMemory"}

	spanKeys = map[string]time.Duration{
		"fileReservedTime": time.Hour, "timerMaxDelaySec": time.Second,
		"transactionTimeOut": time.Millisecond, "transactionCheckInterval": time.Millisecond, "transactionMaxAge": time.Millisecond,
		"waitTimeMillsInSendQueue": time.Millisecond, "syncFlushTimeout": time.Millisecond, "shortPollingTimeMills": time.Millisecond,
		"flushIntervalCommitLog": time.Millisecond, "flushCommitLogThoroughInterval": time.Millisecond, "flushIntervalConsumeQueue": time.Millisecond,
		"flushConsumerOffsetInterval": time.Millisecond, "flushDelayOffsetInterval": time.Millisecond, "cleanResourceInterval": time.Millisecond,
		"channelExpiredTimeout": time.Millisecond, "registerBrokerTimeoutMills": time.Millisecond, "registerNameServerPeriod": time.Millisecond,
		"timerFlushIntervalMs": time.Millisecond, "timerPrecisionMs": time.Millisecond,
	}
)

// plainKeys has the values of keys with a unit be numbers, as servers take them.
func plainKeys(keys map[string]string) error {
	for key, text := range keys {
		if _, err := strconv.ParseInt(text, 10, 64); err == nil {
			continue
		}
		if slices.Contains(byteKeys, key) {
			n, err := output.ParseSize(text)
			if err != nil {
				return usagef("%s: %w", key, err)
			}
			keys[key] = strconv.FormatInt(n, 10)
		}
		if unit := spanKeys[key]; unit > 0 {
			d, err := output.ParseSpan(text)
			if err == nil && d%unit != 0 {
				err = fmt.Errorf("%s is no multiple of %s, which it counts", text, spanText(unit))
			}
			if err != nil {
				return usagef("%s: %w", key, err)
			}
			keys[key] = strconv.FormatInt(int64(d/unit), 10)
		}
	}
	return nil
}

// keyText is a value of a key for people: with a unit where it has one.
func keyText(key, value string) string {
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n <= 0 {
		return value
	}
	if unit := spanKeys[key]; unit > 0 && n <= int64(1<<63-1)/int64(unit) {
		return fmt.Sprintf("%s (%s)", value, spanText(time.Duration(n)*unit))
	}
	if slices.Contains(byteKeys, key) {
		return fmt.Sprintf("%s (%s)", value, output.Size(n))
	}
	return value
}

// spanText is a span as output.ParseSpan reads it, to the last digit.
func spanText(d time.Duration) string {
	days, rest := d/(24*time.Hour), d%(24*time.Hour)
	text := ""
	if days > 0 {
		text = fmt.Sprintf("%dd", days)
	}
	if rest > 0 || days == 0 {
		short := rest.String()
		for _, none := range []string{"m0s", "h0m"} {
			if strings.HasSuffix(short, none) {
				short = short[:len(short)-2]
			}
		}
		text += short
	}
	return text
}

// shortens tells whether a change of a key has a broker delete sooner what it keeps.
func shortens(key, from, to string) bool {
	was, err1 := strconv.ParseInt(from, 10, 64)
	will, err2 := strconv.ParseInt(to, 10, 64)
	numbers := err1 == nil && err2 == nil
	switch key {
	case "fileReservedTime", "diskMaxUsedSpaceRatio", "diskSpaceCleanForciblyRatio":
		return numbers && will < was
	case "transactionMaxAge": // 0 is fileReservedTime
		return numbers && will > 0 && (was == 0 || will < was)
	case "cleanFileForciblyEnable":
		return from == "false" && strings.EqualFold(strings.TrimSpace(to), "true")
	}
	return false
}

// losses are the changes that have brokers delete sooner, each as "BROKER: KEY from ... to ...".
func losses(ctx context.Context, a *admin.Admin, nodes []admin.Node, keys map[string]string) ([]string, error) {
	if !slices.ContainsFunc([]string{"fileReservedTime", "diskMaxUsedSpaceRatio", "diskSpaceCleanForciblyRatio", "transactionMaxAge", "cleanFileForciblyEnable"},
		func(key string) bool { _, ok := keys[key]; return ok }) {
		return nil, nil
	}
	now, err := a.BrokerConfigs(ctx, nodes)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, c := range now {
		for key, to := range keys {
			if shortens(key, c.Keys[key], to) {
				all = append(all, fmt.Sprintf("%s: %s from %s to %s", c.Of, key, keyText(key, c.Keys[key]), keyText(key, to)))
			}
		}
	}
	slices.Sort(all)
	return all, nil
}

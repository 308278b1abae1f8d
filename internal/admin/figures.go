// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// Figures are the figures of a broker that people look at first. What a broker
// does not say, or not as a number, is 0.
type Figures struct {
	Version string    `json:"version"`
	Started time.Time `json:"started,omitzero"`

	// Messages a second, over the last 10 seconds, minute and 10 minutes.
	In  [3]float64 `json:"inPerSecond"`
	Out [3]float64 `json:"outPerSecond"`

	InToday      int64 `json:"inToday"` // messages since midnight at the broker
	OutToday     int64 `json:"outToday"`
	InYesterday  int64 `json:"inYesterday"`
	OutYesterday int64 `json:"outYesterday"`

	Disk     float64   `json:"diskUsed"`          // of the file system of the log, 1 is full
	Earliest time.Time `json:"earliest,omitzero"` // when the oldest message was stored
	Behind   int64     `json:"dispatchBehind"`    // bytes of the log that are in no queue yet
	Puts     string    `json:"putLatency"`        // how many sends took how long, as the broker says it
}

// NewFigures reads what a broker says of itself (request 28).
func NewFigures(table map[string]string) *Figures {
	whole := func(key string) int64 {
		n, err := strconv.ParseInt(table[key], 10, 64)
		if err != nil {
			return 0
		}
		return n
	}
	rates := func(key string) (three [3]float64) {
		for i, text := range strings.Fields(table[key]) {
			if i < len(three) {
				three[i] = decimal(text)
			}
		}
		return three
	}
	moment := func(key string) time.Time {
		if ms := whole(key); ms > 0 {
			return time.UnixMilli(ms)
		}
		return time.Time{}
	}
	return &Figures{
		Version: table["brokerVersionDesc"], Started: moment("bootTimestamp"), In: rates("putTps"), Out: rates("getTransferredTps"),
		InToday:      whole("msgPutTotalTodayNow") - whole("msgPutTotalTodayMorning"),
		OutToday:     whole("msgGetTotalTodayNow") - whole("msgGetTotalTodayMorning"),
		InYesterday:  whole("msgPutTotalTodayMorning") - whole("msgPutTotalYesterdayMorning"),
		OutYesterday: whole("msgGetTotalTodayMorning") - whole("msgGetTotalYesterdayMorning"),
		Disk:         decimal(table["commitLogDiskRatio"]), Earliest: moment("earliestMessageTimeStamp"), Behind: whole("dispatchBehindBytes"), Puts: table["putMessageDistributeTime"],
	}
}

// decimal reads a number; what is none, or not finite, is 0.
func decimal(text string) float64 {
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		return 0
	}
	return v
}

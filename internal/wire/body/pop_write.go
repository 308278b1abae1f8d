// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package body

import (
	"strconv"

	"github.com/twostage/twostage/internal/wire/fastjson"
)

func (c *PopCheckPoint) write(dst []byte) []byte {
	dst = appendNumber(dst, `{"bm":`, c.BitMap)
	dst = appendOptional(dst, `,"bn":`, c.BrokerName)
	dst = appendText(dst, `,"c":`, c.Group)
	dst = appendNumbers(dst, `,"d":[`, c.QueueOffsetDiff)
	dst = appendNumber(dst, `,"it":`, c.InvisibleTime)
	dst = appendNumber(dst, `,"n":`, c.Num)
	dst = appendNumber(dst, `,"pt":`, c.PopTime)
	dst = appendNumber(dst, `,"q":`, c.QueueID)
	dst = appendNumber(dst, `,"ro":`, c.ReviveOffset)
	dst = appendOptional(dst, `,"rp":`, c.RePutTimes)
	dst = appendNumber(dst, `,"so":`, c.StartOffset)
	return append(appendText(dst, `,"t":`, c.Topic), '}')
}

func (a *AckMsg) write(dst []byte) []byte {
	dst = appendNumber(dst, `{"ao":`, a.AckOffset)
	if len(a.AckOffsetList) > 0 {
		dst = appendNumbers(dst, `,"aol":[`, a.AckOffsetList)
	}
	dst = appendOptional(dst, `,"bn":`, a.BrokerName)
	dst = appendText(dst, `,"c":`, a.Group)
	dst = appendNumber(dst, `,"pt":`, a.PopTime)
	dst = appendNumber(dst, `,"q":`, a.QueueID)
	dst = appendNumber(dst, `,"so":`, a.StartOffset)
	return append(appendText(dst, `,"t":`, a.Topic), '}')
}

func appendNumber[N int32 | int64](dst []byte, name string, n N) []byte {
	return strconv.AppendInt(append(dst, name...), int64(n), 10)
}

func appendNumbers[N int32 | int64](dst []byte, name string, list []N) []byte {
	dst = append(dst, name...)
	for i, n := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = strconv.AppendInt(dst, int64(n), 10)
	}
	return append(dst, ']')
}

func appendText(dst []byte, name, s string) []byte {
	return fastjson.AppendString(append(dst, name...), s)
}

// appendOptional leaves out what is empty.
func appendOptional(dst []byte, name, s string) []byte {
	if s == "" {
		return dst
	}
	return appendText(dst, name, s)
}

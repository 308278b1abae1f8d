// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package message

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
)

// RecallHandle is what a timed message is taken back by, which the answer to its
// send gives. Its text is, in URL base64 with padding,
//
//	v1 TOPIC BROKER TIME UNIQKEY
//
// Source: RecallMessageHandle of Apache RocketMQ 5.3.3.
type RecallHandle struct {
	Topic, Broker string
	Time          int64 // ms, in the second in which the message is delivered; -1: the text had no number there
	UniqueKey     string
}

// String is the text of the handle.
func (h RecallHandle) String() string {
	return base64.URLEncoding.EncodeToString([]byte("v1 " + h.Topic + " " + h.Broker + " " + strconv.FormatInt(h.Time, 10) + " " + h.UniqueKey))
}

// ParseRecallHandle reads the text of a handle, whose padding clients may have
// dropped. Errors match ErrID.
func ParseRecallHandle(text string) (RecallHandle, error) {
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(text, "="))
	if err != nil {
		return RecallHandle{}, fmt.Errorf("%w: a recall handle that is not base64: %w", ErrID, err)
	}
	items := strings.Split(string(raw), " ")
	if len(items) < 5 || items[0] != "v1" {
		return RecallHandle{}, fmt.Errorf("%w: a recall handle with %d items, it must be: v1 TOPIC BROKER TIME UNIQKEY", ErrID, len(items))
	}
	ms, err := strconv.ParseInt(items[3], 10, 64)
	if err != nil {
		ms = -1
	}
	return RecallHandle{Topic: items[1], Broker: items[2], Time: ms, UniqueKey: items[4]}, nil
}

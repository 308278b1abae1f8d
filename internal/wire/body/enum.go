// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package body

import (
	"encoding/json"
	"reflect"
)

// A ConsumeType is how a consumer gets its messages. Unknown names are kept as
// they are.
type ConsumeType string

// The consume types.
const (
	ConsumeActively  ConsumeType = "CONSUME_ACTIVELY"  // the application pulls
	ConsumePassively ConsumeType = "CONSUME_PASSIVELY" // the client pulls and pushes to the application
	ConsumePop       ConsumeType = "CONSUME_POP"       // 5.x
)

// A MessageModel says whether a group's clients share its messages. Unknown names
// are kept as they are.
type MessageModel string

// The message models.
const (
	Broadcasting MessageModel = "BROADCASTING"
	Clustering   MessageModel = "CLUSTERING"
)

// A ConsumeFromWhere is where a group without offsets begins. Unknown names are
// kept as they are.
type ConsumeFromWhere string

// The starting points; the deprecated ones in between mean ConsumeFromLastOffset.
const (
	ConsumeFromLastOffset        ConsumeFromWhere = "CONSUME_FROM_LAST_OFFSET"
	ConsumeFromLastOrMinWhenBoot ConsumeFromWhere = "CONSUME_FROM_LAST_OFFSET_AND_FROM_MIN_WHEN_BOOT_FIRST" // deprecated
	ConsumeFromMinOffset         ConsumeFromWhere = "CONSUME_FROM_MIN_OFFSET"                               // deprecated
	ConsumeFromMaxOffset         ConsumeFromWhere = "CONSUME_FROM_MAX_OFFSET"                               // deprecated
	ConsumeFromFirstOffset       ConsumeFromWhere = "CONSUME_FROM_FIRST_OFFSET"
	ConsumeFromTimestamp         ConsumeFromWhere = "CONSUME_FROM_TIMESTAMP"
)

// UnmarshalJSON takes the name or the ordinal in Java's enum.
func (t *ConsumeType) UnmarshalJSON(text []byte) error {
	return unmarshalEnum(t, text, ConsumeActively, ConsumePassively, ConsumePop)
}

// UnmarshalJSON takes the name or the ordinal in Java's enum.
func (m *MessageModel) UnmarshalJSON(text []byte) error {
	return unmarshalEnum(m, text, Broadcasting, Clustering)
}

// UnmarshalJSON takes the name or the ordinal in Java's enum.
func (w *ConsumeFromWhere) UnmarshalJSON(text []byte) error {
	return unmarshalEnum(w, text, ConsumeFromLastOffset, ConsumeFromLastOrMinWhenBoot, ConsumeFromMinOffset,
		ConsumeFromMaxOffset, ConsumeFromFirstOffset, ConsumeFromTimestamp)
}

func unmarshalEnum[T ~string](dst *T, text []byte, ordinals ...T) error {
	if len(text) > 0 && (text[0] == '-' || '0' <= text[0] && text[0] <= '9') {
		var n int
		if err := json.Unmarshal(text, &n); err != nil || n < 0 || n >= len(ordinals) {
			return &json.UnmarshalTypeError{Value: "number " + string(text), Type: reflect.TypeFor[T]()}
		}
		*dst = ordinals[n]
		return nil
	}
	name := string(*dst) // null leaves it as it is
	if err := json.Unmarshal(text, &name); err != nil {
		return err
	}
	*dst = T(name)
	return nil
}

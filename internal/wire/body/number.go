// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package body

import (
	"encoding/json"
	"reflect"
	"strconv"
)

// int64OrText and int32OrText are integers that may come as strings of digits.
type (
	int64OrText int64
	int32OrText int32
)

func (n *int64OrText) UnmarshalJSON(text []byte) error { return unmarshalDigits(n, text) }
func (n *int32OrText) UnmarshalJSON(text []byte) error { return unmarshalDigits(n, text) }

func unmarshalDigits[T ~int32 | ~int64](n *T, text []byte) error {
	if string(text) == "null" {
		return nil
	}
	have, digits := "number "+string(text), string(text)
	if text[0] == '"' {
		have, digits = "string "+string(text), string(text[1:len(text)-1])
	}
	t := reflect.TypeFor[T]()
	x, err := strconv.ParseInt(digits, 10, t.Bits())
	if err != nil {
		// encoding/json adds the field to an error of this type.
		want := reflect.TypeFor[int64]()
		if t.Bits() == 32 {
			want = reflect.TypeFor[int32]()
		}
		return &json.UnmarshalTypeError{Value: have, Type: want}
	}
	*n = T(x)
	return nil
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package fastjson

import (
	"encoding/json"
	"errors"
)

// Unmarshal reads a text of the dialect into v as encoding/json does: unknown
// fields are skipped, null leaves a field as it is, names are matched without
// regard to case. Errors are a [*SyntaxError], a [*TypeError] that names the
// field, one that wraps [ErrLimit], or one of v's own UnmarshalJSON methods. After
// an error v may be partly filled.
func Unmarshal(text []byte, v any) error { return Limits{}.Unmarshal(text, v) }

// Unmarshal is [Unmarshal] within these limits.
func (l Limits) Unmarshal(text []byte, v any) error {
	standard, err := l.ToStandard(text)
	if err != nil {
		return err
	}
	err = json.Unmarshal(standard, v)
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return &TypeError{Field: wrong.Field, Have: wrong.Value, Want: wrong.Type.String()}
	}
	return err
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package commitlog

import "github.com/twostage/twostage/message"

// Torn tells whether a part of a record that can be decoded, body and all, was
// never written: a power cut leaves zeros in the place of whole sectors, and
// topic and properties have nothing that covers them. at is where the record
// stands in its file, in bytes.
func Torn(r *message.Record, at int64) bool { return torn(r, at) }

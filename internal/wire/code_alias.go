// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package wire

// CanonicalCode gives the request code that a 16-bit code stands for. The binary
// header has 16 bits for the code, so the codes from 200050 on arrive without
// their upper bits: 200050 as 3442. A code that no longer one is cut down to
// comes back as it is.
func CanonicalCode(code int32) int32 {
	const upper = 200050 &^ 0xFFFF // the same for all long codes
	if long := code | upper; code >= 0 && code <= 0xFFFF && isLongCode(long) {
		return long
	}
	return code
}

func isLongCode(code int32) bool {
	return code >= ReqPopMessage && code <= ReqPopRollback ||
		code >= ReqPopLiteMessage && code <= ReqTriggerLiteDispatch ||
		code == ReqBatchAckMessage
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package wire

import "fmt"

// Ordinals of RocketMQ's versions: from V4_0_0_SNAPSHOT on each of the three digits
// goes from 0 to 9, and each version comes after its snapshot.
const (
	firstRegular  = 212 // V4_0_0_SNAPSHOT
	higherVersion = 612 // what comes after V5_9_9
)

// VersionName gives RocketMQ's name of a client's version, such as V4_9_8. Of those
// below 4.0.0 it only says that.
//
// Source: MQVersion of Apache RocketMQ 5.3.3.
func VersionName(ordinal int32) string {
	switch {
	case ordinal < firstRegular:
		return "V3"
	case ordinal >= higherVersion:
		return "HIGHER_VERSION"
	}
	n := (ordinal + 588) / 2
	name := fmt.Sprintf("V%d_%d_%d", n/100, n/10%10, n%10)
	if ordinal%2 == 0 {
		name += "_SNAPSHOT"
	}
	return name
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package auth

import (
	. "time"
)

var _ Duration

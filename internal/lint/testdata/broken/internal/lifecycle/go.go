// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package lifecycle

import (
	"time"
)

var _ = time.Now

func run() { go run() }

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package segment

import (
	_ "example.com/broken/internal/store/commitlog"
)

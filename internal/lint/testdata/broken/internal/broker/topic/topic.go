// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package topic

import (
	_ "example.com/broken/internal/broker"
	_ "example.com/broken/internal/broker/handler"
	_ "example.com/broken/internal/broker/offset"
	_ "example.com/broken/internal/store"
)

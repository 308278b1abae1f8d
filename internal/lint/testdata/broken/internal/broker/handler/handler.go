// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package handler

import (
	_ "example.com/broken/internal/broker"
	_ "example.com/broken/internal/broker/topic"
)

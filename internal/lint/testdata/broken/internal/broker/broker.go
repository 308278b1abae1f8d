// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	_ "example.com/broken/internal/broker/handler"
	_ "example.com/broken/internal/broker/topic"
	_ "example.com/broken/internal/lifecycle"
	_ "example.com/broken/internal/proctest"
)

func start(g interface{ Go(func()) }) { g.Go(nil) }

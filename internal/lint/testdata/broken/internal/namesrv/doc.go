// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package namesrv has names that say nothing.
package namesrv

type (
	RouteManager struct{}
	Route        struct{}
)

type routeImpl struct{}

type BaseTable []Route

// DefaultAddr is no type.
const DefaultAddr = ""

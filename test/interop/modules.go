// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

//go:build modules

package interop

// Kept in go.mod for its source: TestMigrationNames reads what it exports.
import _ "github.com/apache/rocketmq-clients/golang/v5"

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package securetest makes certificates for tests: authorities, and files that
// they issue. Nothing else imports it.
package securetest

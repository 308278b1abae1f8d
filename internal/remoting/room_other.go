// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package remoting

import "syscall"

// awaitSocketRoom: not known here.
func awaitSocketRoom(syscall.Conn) error { return nil }

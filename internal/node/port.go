// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"errors"
	"fmt"
	"syscall"
)

// taken reports whether a listener failed because of its port.
func taken(err error) bool {
	return errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, syscall.EACCES)
}

// portError says which key has the port that a server could not have.
func portError(err error, server string, port int, change string) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%w\nlistenPort=%d of the %s is taken by another process: stop that one, or choose another port with %s (0 picks a free one)", err, port, server, change)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%w\nbindAddress of the %s is no address of this machine", err, server)
	case errors.Is(err, syscall.EACCES) && port > 0 && port < 1024:
		return fmt.Errorf("%w\nlistenPort=%d of the %s needs privileges: choose another port with %s", err, port, server, change)
	}
	return err
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package remoting

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// awaitSocketRoom waits until the kernel calls the socket writable, which for TCP
// is when a third of its buffer is free, or until its write deadline. A broken
// socket counts as writable: the write will tell.
func awaitSocketRoom(nc syscall.Conn) error {
	raw, err := nc.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Write(func(fd uintptr) (done bool) {
		for {
			set := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
			n, err := unix.Poll(set[:], 0)
			if err != unix.EINTR {
				return n > 0 || err != nil
			}
		}
	})
}

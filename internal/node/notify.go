// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"net"
	"time"
)

// notifyPatience is how long a service manager may take to read what it is told.
const notifyPatience = time.Second

// tellManager sends lines of systemd's sd_notify(3), such as READY=1, to the
// service manager that started the process, if one did. That it does not listen
// is logged: the server serves all the same.
func (n *node) tellManager(lines string) {
	if n.NotifySocket == "" {
		return
	}
	if err := sendNotice(n.NotifySocket, lines); err != nil {
		n.Logger.Warn("the service manager of NOTIFY_SOCKET was not told", "what", lines, "err", err)
	}
}

// sendNotice sends one datagram. A socket's name that begins with @ is abstract.
func sendNotice(socket, lines string) error {
	conn, err := net.DialTimeout("unixgram", socket, notifyPatience)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetWriteDeadline(time.Now().Add(notifyPatience)); err != nil {
		return err
	}
	_, err = conn.Write([]byte(lines))
	return err
}

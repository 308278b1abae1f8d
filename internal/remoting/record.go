// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package remoting

import (
	"encoding/binary"
	"net"
	"os"
	"time"
)

const (
	recordHeader  = 5        // type, version (2), length (2) of what follows
	maxRecordRead = 64 << 10 // read from the socket at once
)

// recordConn is a socket as crypto/tls sees it. A Read ends where a record ends,
// so that what has arrived beyond it stays here, where it can be seen. A Write
// goes on for as long as the peer takes something: one that a deadline ends would
// break the stream.
//
//	buf: | given |  rest of a record  | records that have arrived |  free  |
//	             ^ r                                               ^ w
//	             `------- left ------´
type recordConn struct {
	net.Conn
	buf  []byte
	r, w int
	left int   // bytes of the record that is being read; 0 between records
	dry  bool  // don't wait for the socket
	turn *turn // of a server's handshake while that is under way

	patience patience // crypto/tls holds a lock of its own around Write
}

// Read gives bytes of one record.
func (rc *recordConn) Read(p []byte) (int, error) {
	if rc.left == 0 {
		for rc.w-rc.r < recordHeader {
			if err := rc.fill(); err != nil {
				return 0, err
			}
		}
		rc.left = rc.next()
	}
	if rc.r == rc.w {
		if err := rc.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p[:min(len(p), rc.left)], rc.buf[rc.r:rc.w])
	rc.r += n
	rc.left -= n
	return n, nil
}

// next is the size of the record that begins at r, whose header is there.
func (rc *recordConn) next() int {
	return recordHeader + int(binary.BigEndian.Uint16(rc.buf[rc.r+3:]))
}

// whole says whether the next record has arrived.
func (rc *recordConn) whole() bool {
	return rc.left == 0 && rc.w-rc.r >= recordHeader && rc.w-rc.r >= rc.next()
}

// fill reads from the socket. What is in buf, less than a header, moves to its
// front. The buffer grows when a read fills it, and shrinks when nothing comes. A
// handshake waits without its turn.
func (rc *recordConn) fill() error {
	if rc.dry {
		return os.ErrDeadlineExceeded
	}
	full := rc.w == len(rc.buf)
	rc.w = copy(rc.buf, rc.buf[rc.r:rc.w])
	rc.r = 0
	if size := min(4*len(rc.buf), maxRecordRead); full && size > len(rc.buf) {
		rc.resize(size)
	}
	if rc.turn != nil {
		rc.turn.end()
	}
	n, err := rc.Conn.Read(rc.buf[rc.w:])
	rc.w += n
	if n > 0 { // an error comes again
		if rc.turn != nil {
			return rc.turn.take()
		}
		return nil
	}
	if err != nil && rc.w == 0 && len(rc.buf) > minReadBuffer {
		rc.resize(minReadBuffer)
	}
	return err
}

func (rc *recordConn) resize(size int) {
	buf := make([]byte, size)
	copy(buf, rc.buf[:rc.w])
	rc.buf = buf
}

// Write writes all of p, or gives ErrStalled.
func (rc *recordConn) Write(p []byte) (n int, err error) {
	err = rc.patience.untilTaken(time.Now(), func() (int64, error) {
		m, err := rc.Conn.Write(p[n:])
		n += m
		return int64(m), err
	})
	return n, err
}

// SetDeadline and SetWriteDeadline do nothing: the connection sets deadlines on
// its socket, and crypto/tls none that it needs.
func (rc *recordConn) SetDeadline(time.Time) error      { return nil }
func (rc *recordConn) SetWriteDeadline(time.Time) error { return nil }

// CloseWrite ends the write side of the socket.
func (rc *recordConn) CloseWrite() error {
	if half, ok := rc.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

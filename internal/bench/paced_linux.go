// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// pacedSender is a connection of an open loop. It waits in ppoll for answers and
// for the time of the next message at once, on a thread of its own: timers of the
// runtime may be a millisecond late, many times what is measured.
type pacedSender struct {
	*sender
	interval, phase float64 // ns; the first message is due after phase
	free            []int   // places without a request
	raw             syscall.RawConn
	poll            [1]unix.PollFd
	wait            time.Duration
	in              *frames
	n               int
	err             error
}

// longestWait bounds a wait, so that a stop is seen and a connection can be closed.
const longestWait = 20 * time.Millisecond

// moreProcs lets the threads of n connections wait in ppoll without one another's
// processors; what it returns undoes that.
func moreProcs(n int) (undo func()) {
	before := runtime.GOMAXPROCS(0)
	runtime.GOMAXPROCS(before + n)
	return func() { runtime.GOMAXPROCS(before) }
}

// exactThread gives the goroutine a thread of its own, whose timers are exact. It
// is never unlocked: the thread ends with the goroutine, and its timer slack with it.
func exactThread() error {
	runtime.LockOSThread()
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("bench: exact timers (PR_SET_TIMERSLACK): %w", err)
	}
	return nil
}

// exactly makes the goroutine's thread its own, and gives what waits there until a
// time or the end of ctx, which it may notice longestWait later. See [moreProcs].
func exactly() (until func(ctx context.Context, t time.Time), err error) {
	if err := exactThread(); err != nil {
		return nil, err
	}
	return func(ctx context.Context, t time.Time) {
		for ctx.Err() == nil {
			d := min(time.Until(t), longestWait)
			if d <= 0 {
				return
			}
			ts := unix.NsecToTimespec(int64(d))
			_, _ = unix.Ppoll(nil, &ts, nil) // it times out, or is interrupted and waits again
		}
	}, nil
}

func (s *pacedSender) run(conn net.Conn, stop *atomic.Bool) (err error) {
	if err := exactThread(); err != nil {
		return err
	}
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return errNotTCP
	}
	if s.raw, err = tcp.SyscallConn(); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	s.key = s.keys.Add(1 << 32)
	s.in = newFrames(conn)
	for i := range s.sent {
		s.free = append(s.free, i)
	}
	start, made := time.Now(), 0.0
	read := s.read
	for {
		now := time.Now()
		stopping := stop.Load()
		due := start.Add(time.Duration(s.phase + made*s.interval))
		for !stopping && len(s.free) > 0 && !due.After(now) {
			place := s.free[len(s.free)-1]
			s.free = s.free[:len(s.free)-1]
			s.ask(place, due)
			made++
			due = start.Add(time.Duration(s.phase + made*s.interval))
		}
		if err := s.out.flush(conn); err != nil {
			return err
		}
		if stopping && len(s.free) == len(s.sent) {
			return nil
		}
		s.wait = longestWait
		if !stopping && len(s.free) > 0 {
			s.wait = min(max(time.Until(due), 0), longestWait)
		}
		if err := s.raw.Read(read); err != nil {
			s.err = err
		}
		if s.err != nil {
			if stop.Load() {
				return nil
			}
			return fmt.Errorf("bench: reading answers: %w", s.err)
		}
		if err := s.take(); err != nil {
			return err
		}
	}
}

// read waits for an answer, or as long as there is nothing to send, and reads
// what has come.
func (s *pacedSender) read(fd uintptr) bool {
	s.n, s.err = 0, nil
	s.poll[0] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
	ts := unix.NsecToTimespec(int64(s.wait))
	ready, err := unix.Ppoll(s.poll[:], &ts, nil)
	if err != nil && !errors.Is(err, unix.EINTR) {
		s.err = err
	}
	if ready <= 0 {
		return true
	}
	n, err := unix.Read(int(fd), s.in.room())
	switch {
	case n > 0:
		s.n = n
	case err == nil:
		s.err = io.EOF
	case !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR):
		s.err = err
	}
	return true
}

// take counts the answers that have arrived.
func (s *pacedSender) take() error {
	s.in.have += s.n
	now := time.Now()
	for s.n > 0 {
		place, err := s.answered(s.in)
		if err != nil {
			return err
		}
		if place < 0 {
			return nil
		}
		s.own.record(1, s.size, now.Sub(s.sent[place]))
		s.free = append(s.free, place)
	}
	return nil
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	// inputPoll is how long an interruption may wait while somebody is asked, in
	// milliseconds.
	inputPoll = 100
	// maxAnswer bounds an answer, in bytes.
	maxAnswer = 1 << 10
)

// isTerminal tells whether there is somebody to ask.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	return err == nil
}

// terminalWidth is how many characters a line of a terminal has, 0 for what is
// none.
func terminalWidth(stream any) int {
	f, ok := stream.(*os.File)
	if !ok {
		return 0
	}
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0
	}
	return int(size.Col)
}

// confirm asks on standard error, and fails unless the next line on standard
// input is yes. otherwise says what is not done then.
func confirm(ctx context.Context, p Process, question, otherwise string) error {
	if _, err := io.WriteString(p.Stderr, question); err != nil {
		return err
	}
	if f, ok := p.Stdin.(*os.File); ok {
		if err := awaitInput(ctx, f); err != nil {
			return err
		}
	}
	line, err := bufio.NewReader(io.LimitReader(p.Stdin, maxAnswer)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("reading the answer: %w", err)
	}
	if len(line) == maxAnswer || strings.TrimSpace(line) != "yes" {
		return fmt.Errorf("%s: the answer was not yes", otherwise)
	}
	return nil
}

// awaitInput waits for input, or for the end of ctx.
func awaitInput(ctx context.Context, f *os.File) error {
	for {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(f.Fd()), Events: unix.POLLIN}}, inputPoll)
		if n > 0 {
			return nil
		}
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("waiting for the answer: %w", err)
		}
	}
}

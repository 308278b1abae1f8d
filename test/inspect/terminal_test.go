// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// terminal runs twostage on a terminal of its own, types a line when it is asked
// something, and gives what the terminal shows. It must end with the code.
func terminal(t *testing.T, code int, line string, args ...string) string {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer screen.Close()
	if err := unix.IoctlSetPointerInt(int(screen.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(screen.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	cmd := command(t, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = keys, keys, keys
	err = cmd.Start()
	_ = keys.Close()
	if err != nil {
		t.Fatal(err)
	}
	// The screen ends with an error when the command has.
	var shown bytes.Buffer
	buf := make([]byte, 4096)
	for typed := false; ; {
		n, err := screen.Read(buf)
		shown.Write(buf[:n])
		if !typed && strings.Contains(shown.String(), "Type yes") {
			typed = true
			if _, err := screen.WriteString(line + "\n"); err != nil {
				t.Fatal(err)
			}
		}
		if err != nil {
			break
		}
	}
	err = cmd.Wait()
	if have := cmd.ProcessState.ExitCode(); have != code {
		t.Errorf("%q ended with %d (%v), want %d:\n%s", args, have, err, code, shown.String())
	}
	return shown.String()
}

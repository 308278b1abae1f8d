// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package proctest

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestBinaryIsAnAbsolutePath(t *testing.T) {
	if path, err := given("/opt/twostage"); path != "/opt/twostage" || err != nil {
		t.Errorf("%q, %v", path, err)
	}
	for _, path := range []string{"bin/twostage", "./twostage", "twostage"} {
		if _, err := given(path); err == nil || !strings.Contains(err.Error(), "TWOSTAGE_BIN="+path) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// This binary is also a server, with the argument "server", and a test process that
// starts it, tells its id and waits, with "test".
func TestMain(m *testing.M) {
	if len(os.Args) != 2 || os.Args[1] != "server" && os.Args[1] != "test" {
		os.Exit(m.Run())
	}
	if os.Args[1] == "server" {
		fmt.Println("ready broker=127.0.0.1:1")
	} else {
		s := &Server{args: []string{"server"}}
		if err := s.start(os.Args[0]); err != nil {
			panic(err)
		}
		fmt.Println(s.PID())
	}
	for {
		_ = unix.Pause() // a signal ends it
	}
}

func TestServerDiesWithItsTestProcess(t *testing.T) {
	cmd := exec.Command(os.Args[0], "test")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	// A handle on the process, which another with its number cannot be taken for.
	server, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(server)
	if err := cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait() // it says that it was killed
	n, err := 0, error(unix.EINTR)
	for err == unix.EINTR {
		n, err = unix.Poll([]unix.PollFd{{Fd: int32(server), Events: unix.POLLIN}}, int(startTimeout.Milliseconds()))
	}
	if n != 1 || err != nil {
		t.Errorf("the server runs on: %v", err)
		_ = unix.Kill(pid, unix.SIGKILL)
	}
}

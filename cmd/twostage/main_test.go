// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"errors"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/proctest"
)

// flags are those of a server on free ports.
func flags(dir string) []string {
	return []string{
		"server", "--data", dir, "--set", "listenPort=0", "--set", "httpListenPort=0", "--set", "bindAddress=127.0.0.1",
		"--set", "mappedFileSizeCommitLog=1048576", "--namesrv-set", "listenPort=0", "--namesrv-set", "bindAddress=127.0.0.1",
	}
}

func TestSignalsEndTheServer(t *testing.T) {
	s := proctest.Start(t, flags(filepath.Join(t.TempDir(), "data"))...)
	for _, addr := range []string{s.Namesrv, s.Broker, s.HTTP} {
		c, err := net.DialTimeout("tcp", addr, 10*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
	}
	if stderr, ready := proctest.TryStart(t, flags(s.Data)...); ready || !strings.Contains(stderr, s.Data) || !strings.Contains(stderr, "in use") {
		t.Errorf("a second server on the same data: %s", stderr)
	}
	if err := s.Stop(); err != nil {
		t.Fatalf("SIGTERM: %v\n%s", err, s.Log())
	}
	s.Restart(t)
	if n := strings.Count(s.Log(), "clean=true"); n != 2 {
		t.Errorf("%d of 2 starts found a clean store:\n%s", n, s.Log())
	}
}

// A second signal ends the process at once, whatever it waits for.
func TestSecondSignal(t *testing.T) {
	cmd := exec.Command(proctest.Binary(t), flags(filepath.Join(t.TempDir(), "data"))...)
	var log bytes.Buffer
	cmd.Stderr = &log
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		_ = cmd.Wait()
		t.Fatalf("%v\n%s", err, &log)
	}
	_, rest, _ := strings.Cut(line, " http=")
	c, err := net.Dial("tcp", strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("GET /healthz HTTP/1.1\r\n")); err != nil { // half a request, which a stop waits for
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	deadline := time.After(time.Minute)
	for {
		select {
		case err := <-ended:
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGTERM {
				t.Errorf("it ended with %v, not by the signal\n%s", err, &log)
			}
			return
		case <-again.C:
			_ = cmd.Process.Signal(syscall.SIGTERM) // fails once it has ended
		case <-deadline:
			_ = cmd.Process.Kill()
			<-ended
			t.Fatal("it did not end")
		}
	}
}

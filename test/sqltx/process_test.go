// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package sqltx

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// process is a running child.
type process struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	log   bytes.Buffer // what it wrote to standard error; read it after its end

	mu    sync.Mutex
	lines []string
	ended bool
	err   error
}

// starting lets few children start at a time: what a Run may take counts from
// its beginning.
var starting = make(chan struct{}, 2)

// start runs a child. It is ended with the test, whatever it does then.
func start(t *testing.T, p plan) *process {
	t.Helper()
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	c := &process{cmd: exec.Command(os.Args[0])}
	c.cmd.Env = append(os.Environ(), childVariable+"="+string(text))
	c.cmd.Stderr = &c.log
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // it may be stopped, and deaf
	if c.stdin, err = c.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	starting <- struct{}{}
	release := sync.OnceFunc(func() { <-starting })
	if err := c.cmd.Start(); err != nil {
		release()
		t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		defer release()
		for lines := bufio.NewScanner(out); lines.Scan(); {
			c.add(strings.TrimSpace(lines.Text()))
			release()
		}
		err := c.cmd.Wait()
		c.mu.Lock()
		defer c.mu.Unlock()
		c.ended, c.err = true, err
	}()
	t.Cleanup(func() {
		if err := c.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Error(err)
		}
		<-read
		if t.Failed() {
			t.Logf("the child said %q\n%s", c.lines, c.log.String())
		}
	})
	return c
}

func (c *process) add(line string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lines = append(c.lines, line)
}

// said counts lines that begin with a word and the words behind it.
func (c *process) said(words ...string) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	want := strings.TrimSpace(strings.Join(words, " "))
	for _, line := range c.lines {
		if line == want || strings.HasPrefix(line, want+" ") {
			n++
		}
	}
	return n
}

// last is the last line.
func (c *process) last() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.lines) == 0 {
		return ""
	}
	return c.lines[len(c.lines)-1]
}

// end says whether it has ended, and how.
func (c *process) end() (ended bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ended, c.err
}

// goOn lets it leave the point at which it waits.
func (c *process) goOn(t *testing.T) {
	t.Helper()
	if _, err := io.WriteString(c.stdin, "go on\n"); err != nil {
		t.Fatal(err)
	}
}

// killed says whether an end is that of SIGKILL.
func killed(err error) bool {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

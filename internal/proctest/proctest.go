// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package proctest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// startTimeout is how long a server may take to be ready: far more than it
// needs, for a machine that is busy with other tests.
const startTimeout = 60 * time.Second

// Binary gives the path of the twostage binary.
func Binary(t testing.TB) string {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var binary = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("TWOSTAGE_BIN"); path != "" {
		return given(path)
	}
	dir, err := os.MkdirTemp("", "twostage-bin")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "twostage")
	out, err := exec.Command("go", "build", "-o", path, "github.com/twostage/twostage/cmd/twostage").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

// given checks the value of TWOSTAGE_BIN.
func given(path string) (string, error) {
	if !filepath.IsAbs(path) {
		return "", fmt.Errorf("TWOSTAGE_BIN=%s: accepted is an absolute path; tests run in the directories of their packages", path)
	}
	return path, nil
}

// Server is a running twostage process.
type Server struct {
	// Addresses of the ready line; empty where the role has none.
	Namesrv, Broker, HTTP, Data string

	cmd  *exec.Cmd
	args []string
	env  []string
	log  *logBuffer
	done chan struct{}
	err  error // of Wait, once done is closed
}

// Start runs the binary with these arguments and waits until it is ready. It is
// stopped when the test ends.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	return StartIn(t, nil, args...)
}

// StartIn is Start with variables, NAME=VALUE, beside those of the test.
func StartIn(t testing.TB, env []string, args ...string) *Server {
	t.Helper()
	s := &Server{args: args, env: env}
	if err := s.start(Binary(t)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Errorf("stopping: %v", err)
		}
		if t.Failed() {
			t.Logf("log of twostage %s:\n%s", strings.Join(args, " "), s.Log())
		}
	})
	return s
}

// TryStart runs the binary, for a start that is expected to fail: it gives what
// the process wrote to standard error. Where it does become ready, it is
// stopped and ready is true.
func TryStart(t testing.TB, args ...string) (stderr string, ready bool) {
	t.Helper()
	s := &Server{args: args}
	err := s.start(Binary(t))
	if err == nil {
		_ = s.Stop()
	}
	return s.Log(), err == nil
}

func (s *Server) start(bin string) error {
	if s.log == nil {
		s.log = &logBuffer{}
	}
	s.cmd = exec.Command(bin, s.args...)
	s.cmd.Env = append(Environment(), s.env...)
	s.cmd.Stderr = s.log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // also when the test process is killed
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := s.cmd.Start(); err != nil {
		return err
	}
	s.done = make(chan struct{})
	lines := make(chan string, 1)
	go func() {
		r := bufio.NewReader(out)
		for {
			line, err := r.ReadString('\n')
			if strings.HasPrefix(line, "ready ") {
				select {
				case lines <- strings.TrimSpace(line):
				default:
				}
			}
			if err != nil {
				break
			}
		}
		_, _ = io.Copy(io.Discard, r)
		s.err = s.cmd.Wait()
		close(s.done)
	}()
	select {
	case line := <-lines:
		return s.parse(line)
	case <-s.done:
		return fmt.Errorf("twostage %s ended before it was ready: %v\n%s", strings.Join(s.args, " "), s.err, s.Log())
	case <-time.After(startTimeout):
		_ = s.Kill()
		return fmt.Errorf("twostage %s was not ready after %v\n%s", strings.Join(s.args, " "), startTimeout, s.Log())
	}
}

// Environment is that of the test without what the server would take for a
// configuration key, and with what keeps it from depending on the machine it is on.
func Environment() []string {
	env := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "TWOSTAGE_") })
	// Nothing is to depend on the hour, or on how full this machine's disk is. Flags go before.
	return append(env, "TWOSTAGE_DELETE_WHEN=;", "TWOSTAGE_DISK_MAX_USED_SPACE_RATIO=100", "TWOSTAGE_DISK_SPACE_CLEAN_FORCIBLY_RATIO=100", "TWOSTAGE_DISK_SPACE_WARNING_LEVEL_RATIO=100")
}

func (s *Server) parse(line string) error {
	for _, f := range strings.Fields(line)[1:] {
		name, v, ok := strings.Cut(f, "=")
		if !ok {
			return fmt.Errorf("bad ready line %q", line)
		}
		switch name {
		case "namesrv":
			s.Namesrv = v
		case "broker":
			s.Broker = v
		case "http":
			s.HTTP = v
		case "data":
			s.Data = v
		}
	}
	return nil
}

// PID is the process id.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Stop sends SIGTERM and waits for a clean end. It does nothing when the
// process has ended.
func (s *Server) Stop() error { return s.end(syscall.SIGTERM) }

// Kill sends SIGKILL and waits.
func (s *Server) Kill() error {
	err := s.end(syscall.SIGKILL)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil
	}
	return err
}

func (s *Server) end(sig syscall.Signal) error {
	select {
	case <-s.done:
		return nil
	default:
	}
	if err := s.cmd.Process.Signal(sig); err != nil {
		return err
	}
	select {
	case <-s.done:
		return s.err
	case <-time.After(startTimeout):
		_ = s.cmd.Process.Kill()
		<-s.done
		return fmt.Errorf("it did not end %v after %v", startTimeout, sig)
	}
}

// Restart starts the process again, with further arguments if given, after Stop
// or Kill.
func (s *Server) Restart(t testing.TB, more ...string) {
	t.Helper()
	s.args = append(s.args, more...)
	if err := s.start(Binary(t)); err != nil {
		t.Fatal(err)
	}
}

// Signal sends a signal.
func (s *Server) Signal(sig syscall.Signal) error { return s.cmd.Process.Signal(sig) }

// Log is what the process wrote to standard error so far.
func (s *Server) Log() string { return s.log.String() }

type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

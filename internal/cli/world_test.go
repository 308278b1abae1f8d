// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// asProgram has the test binary be the program: commands start it again.
const asProgram = "CLI_TEST_IS_TWOSTAGE"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
		defer stop()
		os.Exit(Run(ctx, Process{Args: os.Args[1:], Environment: os.Environ(), Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}))
	}
	goleak.VerifyTestMain(m)
}

// patience is for a machine that is busy with other tests.
const patience = time.Minute

// screen is what a command writes to.
type screen struct {
	mu    sync.Mutex
	b     bytes.Buffer
	lines chan struct{} // gets an element when something was written
}

func newScreen() *screen { return &screen{lines: make(chan struct{}, 1)} }

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case s.lines <- struct{}{}:
	default:
	}
	return s.b.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// await waits until the screen matches, and gives the submatches.
func (s *screen) await(t *testing.T, pattern string) []string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	deadline := time.After(patience)
	for {
		if m := re.FindStringSubmatch(s.String()); m != nil {
			return m
		}
		select {
		case <-s.lines:
		case <-deadline:
			t.Fatalf("no %s in:\n%s", pattern, s)
		}
	}
}

// running is a command that was started.
type running struct {
	out, err *screen
	stop     func() int // interrupts it and gives its exit code
	ended    chan int
}

func begin(t *testing.T, environment []string, args ...string) *running {
	t.Helper()
	r := &running{out: newScreen(), err: newScreen(), ended: make(chan int, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		r.ended <- Run(ctx, Process{Args: args, Environment: environment, Stdin: strings.NewReader(""), Stdout: r.out, Stderr: r.err})
	}()
	r.stop = sync.OnceValue(func() int {
		cancel()
		select {
		case code := <-r.ended:
			return code
		case <-time.After(patience):
			t.Errorf("%q does not end", args)
			return -1
		}
	})
	t.Cleanup(func() {
		r.stop()
		if t.Failed() {
			t.Logf("%q wrote:\n%s%s", args, r.out, r.err)
		}
	})
	return r
}

// result is what a command that ended left.
type result struct {
	code     int
	out, err string
}

// try runs a command to its end.
func try(t *testing.T, environment []string, stdin string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var out, errs bytes.Buffer
	code := Run(ctx, Process{Args: args, Environment: environment, Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &errs})
	return result{code, out.String(), errs.String()}
}

// must runs a command that is to succeed, and gives what it printed.
func must(t *testing.T, environment []string, args ...string) string {
	t.Helper()
	r := try(t, environment, "", args...)
	if r.code != 0 {
		t.Fatalf("%q: exit code %d\n%s%s", args, r.code, r.out, r.err)
	}
	return r.out
}

// serve runs a server on free ports and gives the environment of its clients.
func serve(t *testing.T, more ...string) (environment []string, s *running) {
	t.Helper()
	args := append([]string{
		"server", "--data", filepath.Join(t.TempDir(), "data"), "--set", "listenPort=0", "--set", "httpListenPort=0", "--set", "bindAddress=127.0.0.1",
		// Nothing is to depend on how full this machine's disk is.
		"--set", "diskMaxUsedSpaceRatio=100", "--set", "diskSpaceCleanForciblyRatio=100", "--set", "diskSpaceWarningLevelRatio=100",
		"--set", "brokerName=broker-a", "--set", "mappedFileSizeCommitLog=16777216", "--namesrv-set", "listenPort=0", "--namesrv-set", "bindAddress=127.0.0.1",
	}, more...)
	s = begin(t, nil, args...)
	m := s.out.await(t, `^ready namesrv=(\S+) broker=(\S+) http=(\S+) admin=\S+ data=(.+)\n$`)
	return []string{"TWOSTAGE_NAMESRV=" + m[1], "BROKER=" + m[2]}, s
}

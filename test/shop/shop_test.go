// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package shop

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/dbtest"
)

var (
	duration = flag.Duration("duration", 5*time.Second, "how long buyers buy under chaos")
	seed     = flag.Uint64("seed", 0, "of buyers and chaos; 0: by the clock")
)

var binary string

func TestMain(m *testing.M) {
	flag.Parse()
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	os.Exit(build(m))
}

func build(m *testing.M) int {
	dir, err := os.MkdirTemp("", "shop-bin")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "shop")
	out, err := exec.Command("go", "build", "-o", binary, "github.com/twostage/twostage/examples/shop").CombinedOutput()
	if err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// shop runs the shop and gives its exit code and what it printed.
func shop(t *testing.T, args ...string) (code int, printed string) {
	t.Helper()
	args = append([]string{"--chaos", "--seed", fmt.Sprint(*seed), "--dir", t.ArtifactDir()}, args...)
	ctx, cancel := context.WithTimeout(t.Context(), *duration+4*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String()
}

// TestBooksBalanceUnderChaos on each database, with a seed that is printed.
func TestBooksBalanceUnderChaos(t *testing.T) {
	for name, database := range map[string]func(testing.TB) (*dbtest.Database, bool){
		"SQLite": nil, "MariaDB": dbtest.MariaDB, "PostgreSQL": dbtest.PostgreSQL,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := []string{"--duration", duration.String()}
			if database != nil {
				d, ok := database(t)
				if !ok {
					return
				}
				args = append(args, "--db", d.URL)
			}
			code, printed := shop(t, args...)
			if code != 0 || !strings.Contains(printed, "they balance\n") {
				t.Errorf("exit code %d, seed %d\n%s", code, *seed, printed)
			}
			if strings.Contains(printed, " 0 shipped") || !strings.Contains(printed, " shipped\n") {
				t.Errorf("nothing was sold\n%s", printed)
			}
			t.Log(printed)
		})
	}
}

// TestProcessEnds without an error when its standard input does.
func TestProcessEnds(t *testing.T) {
	t.Parallel()
	broker := exec.Command(binary, "broker", "--data", t.TempDir(), "--set", "mappedFileSizeCommitLog=1048576", "--set", "httpListenPort=0",
		"--namesrv-set", "bindAddress=127.0.0.1", "--namesrv-set", "listenPort=0", "--set", "bindAddress=127.0.0.1", "--set", "listenPort=0")
	var said bytes.Buffer
	broker.Stderr = &said
	stdin, err := broker.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := broker.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := broker.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	_ = stdin.Close()
	if err := errors.Join(err, broker.Wait()); err != nil || !strings.HasPrefix(line, "ready ") {
		t.Errorf("%q, %v\n%s", line, err, &said)
	}
}

// TestBooksNotice that services do without what they are built on.
func TestBooksNotice(t *testing.T) {
	for broken, rules := range map[string][]string{
		"once":        {"money"},
		"transaction": {"agreement", "money"},
		"check":       {"agreement", "money", "prices"},
	} {
		t.Run(broken, func(t *testing.T) {
			t.Parallel()
			code, printed := shop(t, "--break", broken, "--duration", "8s", "--patience", "10s")
			_, problems, found := strings.Cut(printed, "they do not balance:\n")
			if code != 1 || !found || !slices.ContainsFunc(rules, func(rule string) bool { return strings.Contains(problems, "  "+rule+": ") }) {
				t.Errorf("exit code %d, and nothing of the rules %v (seed %d)\n%s", code, rules, *seed, printed)
			}
		})
	}
}

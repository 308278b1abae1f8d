// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/twostage/twostage/internal/proctest"
	"github.com/twostage/twostage/test/rig"
)

// root is the repository.
const root = "../../"

// twostage runs the binary to its end, with nothing in its environment but env.
func twostage(t *testing.T, env []string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	return runIn(t, env, proctest.Binary(t), args...)
}

func runIn(t *testing.T, env []string, name string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), rig.Patience)
	defer cancel()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}, env...), &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s %q: %v", name, args, err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// must is twostage for a command that has to succeed.
func must(t *testing.T, args ...string) string {
	t.Helper()
	out, errs, code := twostage(t, nil, args...)
	if code != 0 {
		t.Fatalf("twostage %q: exit code %d\n%s%s", args, code, out, errs)
	}
	return out
}

// didNotRun says that a check needs a tool that is not there.
func didNotRun(t *testing.T, tool string) (path string, missing bool) {
	t.Helper()
	path, err := exec.LookPath(tool)
	if err != nil {
		t.Logf("DID NOT RUN: %v", err)
	}
	return path, err != nil
}

// acceptable has the server check a command line with its environment, as it
// would at a start. Command lines hold no other command.
func acceptable(t *testing.T, what string, env, args []string) {
	t.Helper()
	if len(args) == 0 || args[0] != "server" {
		t.Errorf("%s: runs %q, not the server", what, args)
		return
	}
	out, errs, code := twostage(t, env, append(slices.Clone(args), "--print-config")...)
	if code != 0 || !strings.Contains(out, "listenPort=") {
		t.Errorf("%s: %q with %q: exit code %d\n%s%s", what, args, env, code, out, errs)
	}
}

// text reads a file of the repository.
func text(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"flag"
	"fmt"
	"os"
	"syscall"
	"testing"

	"github.com/apache/rocketmq-client-go/v2/rlog"
)

// offsetsVariable names the directory where the client keeps the offsets of
// broadcast consumers. It reads the variable when its package is initialised.
const offsetsVariable = "rocketmq.client.localOffsetStoreDir"

// roleVariable makes a process of this test binary play another part than
// running the tests.
const roleVariable = "INTEROP_ROLE"

func TestMain(m *testing.M) {
	rlog.SetLogLevel("fatal")
	switch role := os.Getenv(roleVariable); role {
	case "":
	case roleChecker:
		os.Exit(checker())
	case roleOrdered, roleRefusing:
		os.Exit(consume(role))
	default:
		fmt.Fprintf(os.Stderr, "interop: %s=%s: no such role\n", roleVariable, role)
		os.Exit(1)
	}
	dir := os.Getenv(offsetsVariable)
	if dir == "" {
		again()
	}
	// The cases wait more than they work: all of them side by side.
	flag.Parse()
	if err := flag.Set("test.parallel", "64"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// again replaces the process by itself with a place for offsets that is not the
// user's home directory.
func again() {
	dir, err := os.MkdirTemp("", "interop-offsets")
	if err == nil {
		var self string
		if self, err = os.Executable(); err == nil {
			err = syscall.Exec(self, os.Args, append(os.Environ(), offsetsVariable+"="+dir))
		}
	}
	fmt.Fprintln(os.Stderr, "interop: starting again with a directory for offsets:", err)
	os.Exit(1)
}

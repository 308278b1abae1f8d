// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package vfs_test

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/twostage/twostage/internal/vfs"
)

// lockHolder is the environment variable that makes this test binary a second
// process, which locks the file that it names as Java's FileChannel.tryLock
// does and holds the lock until its input ends.
const lockHolder = "TWOSTAGE_TEST_LOCK"

func TestMain(m *testing.M) {
	if name := os.Getenv(lockHolder); name != "" {
		os.Exit(holdLock(name))
	}
	os.Exit(m.Run())
}

func holdLock(name string) int {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	if err == nil {
		err = unix.FcntlFlock(f.Fd(), unix.F_SETLK, &unix.Flock_t{Type: unix.F_WRLCK, Len: 1})
	}
	if err != nil {
		_, _ = os.Stdout.WriteString(err.Error() + "\n")
		return 1
	}
	_, _ = os.Stdout.WriteString("locked\n")
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}

// holder starts the second process and returns its first line.
func holder(t *testing.T, name string) (line string, end func()) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), lockHolder+"="+name)
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	line, err = bufio.NewReader(out).ReadString('\n')
	must(t, err)
	return line, func() {
		must(t, in.Close())
		_ = cmd.Wait() // its exit status is in the line
	}
}

// A broker on the Java virtual machine and ours never open one store together.
func TestLockExcludesJava(t *testing.T) {
	name := filepath.Join(t.TempDir(), "lock")
	line, end := holder(t, name)
	if line != "locked\n" {
		t.Fatalf("the other process: %s", line)
	}
	if _, err := vfs.OS().Lock(name); !errors.Is(err, vfs.ErrLocked) {
		t.Fatalf("got %v while the other process holds the lock", err)
	}
	end()
	lock, err := vfs.OS().Lock(name)
	must(t, err)
	line, end = holder(t, name)
	end()
	if line == "locked\n" {
		t.Fatal("the other process took our lock")
	}
	must(t, lock.Close())
}

// On ext4, which says so, the blocks are there and not only the size.
func TestPreallocateReserves(t *testing.T) {
	f := create(t, vfs.OS(), filepath.Join(t.TempDir(), "f"))
	defer f.Close()
	const size = 8 << 20
	must(t, f.Preallocate(size))
	osFile, ok := f.(interface{ Fd() uintptr })
	if !ok {
		t.Fatal("no descriptor")
	}
	var st unix.Stat_t
	must(t, unix.Fstat(int(osFile.Fd()), &st))
	var fsInfo unix.Statfs_t
	must(t, unix.Fstatfs(int(osFile.Fd()), &fsInfo))
	if st.Size != size {
		t.Errorf("size %d", st.Size)
	}
	if fsInfo.Type == unix.EXT4_SUPER_MAGIC && st.Blocks*512 < size {
		t.Errorf("%d bytes reserved", st.Blocks*512)
	}
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package crash

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// shell is a process with a mount namespace of its own, where it is root: what it
// mounts nobody else sees, and all of it goes with the process, whatever becomes
// of the test. Others reach it below /proc/<pid>/root.
type shell struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
	how string // in words
}

// newShell starts one. It needs root, or a machine that lets users make
// namespaces; else it returns why not.
func newShell(t *testing.T) (*shell, error) {
	t.Helper()
	var errs []error
	for _, user := range []bool{false, true} {
		attr := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
		s := &shell{cmd: exec.Command("sh"), how: "as root"}
		if user {
			s.how = "in a user namespace"
			attr.Cloneflags |= syscall.CLONE_NEWUSER
			attr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
			attr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
		}
		s.cmd.SysProcAttr = attr
		in, inErr := s.cmd.StdinPipe()
		out, outErr := s.cmd.StdoutPipe()
		if err := errors.Join(inErr, outErr, s.cmd.Start()); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", s.how, err))
			continue
		}
		s.in, s.out = in, bufio.NewReader(out)
		if err := s.run("mount --make-rprivate /"); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", s.how, err))
			s.end()
			continue
		}
		t.Cleanup(s.end)
		return s, nil
	}
	return nil, errors.Join(errs...)
}

func (s *shell) end() {
	_ = s.in.Close()
	_ = s.cmd.Wait()
}

// run runs a command, whose output is the error's text if it fails.
func (s *shell) run(format string, args ...any) error {
	command := fmt.Sprintf(format, args...)
	if _, err := fmt.Fprintf(s.in, "said=$( { %s ; } 2>&1 ); echo $? $said\n", command); err != nil {
		return err
	}
	line, err := s.out.ReadString('\n')
	if err != nil {
		return fmt.Errorf("%s: %w", command, err)
	}
	if status, said, _ := strings.Cut(strings.TrimSpace(line), " "); status != "0" {
		return fmt.Errorf("%s: status %s: %s", command, status, said)
	}
	return nil
}

// atEnd has the shell run a command when it ends, whatever becomes of the test.
func (s *shell) atEnd(command string) error {
	_, err := fmt.Fprintf(s.in, "trap '%s' EXIT\n", command)
	return err
}

// disk is a small file system for one broker.
type disk struct {
	*shell
	point string // where it is mounted, for the shell
	path  string // the same, for everybody
	image string // the file that an ext4 is in
}

// newTmpfs mounts a tmpfs.
func newTmpfs(t *testing.T, megabytes int) (*disk, error) {
	t.Helper()
	d, err := newDisk(t)
	if err == nil {
		err = d.run("mount -t tmpfs -o size=%dm none %s", megabytes, d.point)
	}
	return d, err
}

// newExt4 mounts an ext4 in a file, one that becomes read-only at an error.
func newExt4(t *testing.T, megabytes int) (*disk, error) {
	t.Helper()
	d, err := newDisk(t)
	if err == nil {
		d.image = filepath.Join(t.TempDir(), "image")
		err = d.run("truncate -s %dM %s && mkfs.ext4 -q -F %s", megabytes, d.image, d.image)
	}
	if err == nil {
		err = d.mountExt4()
	}
	return d, err
}

func newDisk(t *testing.T) (*disk, error) {
	t.Helper()
	s, err := newShell(t)
	if err != nil {
		return nil, err
	}
	point := t.TempDir()
	return &disk{shell: s, point: point, path: fmt.Sprintf("/proc/%d/root%s", s.cmd.Process.Pid, point)}, nil
}

func (d *disk) mountExt4() error {
	return d.run("mount -t ext4 -o loop,errors=remount-ro %s %s", d.image, d.point)
}

// fault makes the kernel find an error in the ext4, which it then mounts
// read-only although files are open for writing.
func (d *disk) fault() error {
	return d.run(`dev=$(awk '$2 == "%s" {print $1}' /proc/mounts) && case $dev in /dev/loop*) echo 1 > /sys/fs/ext4/${dev#/dev/}/trigger_fs_error;; *) false;; esac`, d.point)
}

// repair does what an operator does after that: unmount, check, mount.
func (d *disk) repair() error {
	if err := d.run("umount %s", d.point); err != nil {
		return err
	}
	if err := d.run("e2fsck -fy %s || test $? = 1", d.image); err != nil { // 1: errors were corrected
		return err
	}
	return d.mountExt4()
}

// freeze makes whoever writes to the ext4 wait until it is thawed, as a disk does
// that has stopped answering. Reads of what is in memory go on.
func (d *disk) freeze() error {
	if err := d.atEnd("fsfreeze -u " + d.point); err != nil {
		return err
	}
	return d.run("fsfreeze -f %s", d.point)
}

func (d *disk) thaw() error { return d.run("fsfreeze -u %s", d.point) }

func (d *disk) ballast() string { return filepath.Join(d.path, "ballast") }

// fill takes all space that is left.
func (d *disk) fill() error {
	f, err := os.OpenFile(d.ballast(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	for n := 1 << 20; n > 0; {
		switch written, err := f.Write(make([]byte, n)); {
		case errors.Is(err, syscall.ENOSPC) && written == 0:
			n /= 2
		case err != nil && !errors.Is(err, syscall.ENOSPC):
			return err
		}
	}
	return nil
}

// free gives the space back.
func (d *disk) free() error { return os.Remove(d.ballast()) }

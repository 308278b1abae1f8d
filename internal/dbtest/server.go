// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package dbtest

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/twostage/twostage/internal/proctest"
)

const (
	startLimit = 60 * time.Second      // far more than a start needs, for a machine that is busy
	pollPause  = 10 * time.Millisecond // between two looks whether a server is ready
)

// running is a server that answers.
type running struct {
	port  int
	dir   string
	admin *sql.DB
	life  *os.File  // what the shell beside the server reads; closed at the end of the process
	claim io.Closer // of the port; so is this
}

// keeper is the shell beside a server. Its standard input ends with the test
// process; what it writes tells why the server ended by itself. A command in the
// background would ignore QUIT until it says otherwise, so the signal is sent
// until there is nobody to take it.
const keeper = `cd %[1]s && exec 3<&0
{ %[2]s && : >prepared; } >log 2>&1 </dev/null 3<&-
if [ -e prepared ]; then
	%[3]s >log 2>&1 </dev/null 3<&- &
	server=$!
	{ cat; while kill -s %[4]s $server; do sleep 0.1; done; } <&3 >/dev/null 2>&1 &
	wait $server
fi
tail -n 30 log
cd / && rm -rf %[1]s
`

// run starts a server and waits until it answers.
func (k *kind) run(program string) (*running, error) {
	var err error
	for range 3 { // somebody may take the port that was free
		var r *running
		if r, err = k.try(program); err == nil {
			return r, nil
		}
		if !strings.Contains(err.Error(), "ddress already in use") {
			break
		}
	}
	return nil, err
}

func (k *kind) try(program string) (r *running, err error) {
	port, claim, err := proctest.ClaimPort()
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = claim.Close()
		}
	}()
	r = &running{port: port, claim: claim}
	if r.dir, err = os.MkdirTemp("", "twostage-"+k.driver); err != nil {
		return nil, err
	}
	attr := &syscall.SysProcAttr{Setsid: true} // what a terminal sends to the tests is not for it
	if os.Geteuid() == 0 {
		if attr.Credential, err = nobody(); err == nil {
			err = os.Chown(r.dir, int(attr.Credential.Uid), int(attr.Credential.Gid))
		}
		if err != nil {
			return nil, errors.Join(err, os.RemoveAll(r.dir))
		}
	}
	stdin, life, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(r.dir))
	}
	defer stdin.Close()
	last, stdout, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, life.Close(), os.RemoveAll(r.dir))
	}
	defer last.Close()
	prepare, serve := k.commands(program, r.dir, port)
	cmd := exec.Command("/bin/sh", "-c", fmt.Sprintf(keeper, quoted(r.dir), quoted(prepare...), quoted(serve...), k.signal))
	cmd.Dir, cmd.SysProcAttr = "/", attr
	cmd.Env = []string{"PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin", "LC_ALL=C"}
	cmd.Stdin, cmd.Stdout = stdin, stdout
	err = cmd.Start()
	if err := errors.Join(err, stdout.Close()); err != nil {
		return nil, errors.Join(err, life.Close(), os.RemoveAll(r.dir))
	}
	r.life = life
	if r.admin, err = sql.Open(k.driver, k.dsn(port, k.admin)); err == nil {
		err = k.ready(r, last)
	}
	if err != nil {
		err = errors.Join(err, life.Close(), cmd.Wait())
		if r.admin != nil {
			err = errors.Join(err, r.admin.Close())
		}
		return nil, fmt.Errorf("%s, started by %s: %w", k.name, program, err)
	}
	return r, nil
}

// ready waits until the server answers, or its keeper has written why not.
func (k *kind) ready(r *running, last *os.File) error {
	var log bytes.Buffer
	for end := time.Now().Add(startLimit); ; {
		err := r.admin.Ping()
		if err == nil {
			return nil
		}
		now := time.Now()
		if now.After(end) {
			return fmt.Errorf("not ready after %v: %w", startLimit, err)
		}
		if err := last.SetReadDeadline(now.Add(pollPause)); err != nil {
			return err
		}
		if _, err := log.ReadFrom(last); !errors.Is(err, os.ErrDeadlineExceeded) {
			return fmt.Errorf("it ended before it was ready: %s", log.String())
		}
	}
}

// nobody is the user that servers run as where the tests run as root.
func nobody() (*syscall.Credential, error) {
	u, err := user.Lookup("nobody")
	if err != nil {
		return nil, fmt.Errorf("database servers do not run as root: %w", err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

// quoted are words as a shell reads them.
func quoted(words ...string) string {
	var b strings.Builder
	for _, w := range words {
		b.WriteString("'" + strings.ReplaceAll(w, "'", `'\''`) + "' ")
	}
	return b.String()
}

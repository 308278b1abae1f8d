// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twostage/twostage/examples/shop/service"
)

// startTime is how long a process may take to be ready, all attempts together.
const startTime = time.Minute

// process is a child: this binary in another role. It is killed and started again,
// with the addresses that it had first.
type process struct {
	name string
	args func(known map[string]string) []string // with the addresses that it had before
	env  []string                               // beside ours
	log  *os.File

	mu    sync.Mutex
	cmd   *exec.Cmd // nil when it does not run
	stdin io.Closer // the child stops when this is closed, so also when we die
	ended chan struct{}
	known map[string]string // addresses by name, once it was ready
	died  atomic.Int64      // how often chaos in it has ended it
	lost  error             // it ended by itself
}

func newProcess(dir, name string, args func(known map[string]string) []string, env ...string) (*process, error) {
	log, err := os.OpenFile(filepath.Join(dir, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	return &process{name: name, args: args, env: env, log: log}, nil
}

// start has it run, if it does not, and waits until it is ready. It tries again: what
// it needs may be starting as well.
func (p *process) start(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	for {
		if p.cmd != nil {
			return nil
		}
		err := p.once(ctx)
		if err == nil || ctx.Err() != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (p *process) once(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self, p.args(p.known)...)
	cmd.Env = append(os.Environ(), p.env...)
	cmd.Stderr = p.log
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	ended, lines := make(chan struct{}), make(chan string, 1)
	go p.watch(cmd, out, lines, ended)
	var line string
	select {
	case line = <-lines:
	case <-ctx.Done():
	case <-ended:
	}
	words := strings.Fields(line)
	if len(words) == 0 || words[0] != "ready" {
		_ = stdin.Close()
		_ = cmd.Process.Kill()
		<-ended
		return fmt.Errorf("%s did not start: see %s", p.name, p.log.Name())
	}
	known := map[string]string{}
	for _, word := range words[1:] {
		key, value, _ := strings.Cut(word, "=")
		known[key] = value
	}
	p.known = known
	p.cmd, p.stdin, p.ended = cmd, stdin, ended
	return nil
}

// watch reads the first line and waits for the end.
func (p *process) watch(cmd *exec.Cmd, out io.Reader, lines chan<- string, ended chan<- struct{}) {
	r := bufio.NewReader(out)
	if line, err := r.ReadString('\n'); err == nil {
		lines <- line
	}
	_, _ = io.Copy(io.Discard, r)
	err := cmd.Wait()
	close(ended)
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.cmd != cmd: // somebody has asked for it
	case cmd.ProcessState.ExitCode() == service.ExitChaos:
		p.cmd = nil
		p.died.Add(1)
	default:
		p.lost = fmt.Errorf("%s ended by itself: %v, see %s", p.name, err, p.log.Name())
	}
}

// kill ends it as a crash would. It does nothing to what does not run.
func (p *process) kill() {
	if cmd, _, ended := p.take(); cmd != nil {
		_ = cmd.Process.Kill()
		<-ended
	}
}

// stop lets it finish what is under way.
func (p *process) stop() error {
	cmd, stdin, ended := p.take()
	if cmd != nil {
		_ = stdin.Close()
		select {
		case <-ended:
		case <-time.After(startTime):
			_ = cmd.Process.Kill()
			<-ended
			return fmt.Errorf("%s did not stop within %v: see %s", p.name, startTime, p.log.Name())
		}
	}
	return errors.Join(p.failed(), p.log.Close())
}

// failed tells whether it ended by itself.
func (p *process) failed() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lost
}

// giveUp has failed tell err.
func (p *process) giveUp(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lost = err
}

// take gives what runs to whoever is to end it.
func (p *process) take() (*exec.Cmd, io.Closer, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	cmd := p.cmd
	p.cmd = nil
	return cmd, p.stdin, p.ended
}

// addr is an address that it has said it listens on.
func (p *process) addr(name string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.known[name]
}

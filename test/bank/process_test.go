// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package bank

import (
	"bufio"
	"bytes"
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

	"github.com/twostage/twostage/internal/proctest"
	"github.com/twostage/twostage/test/rig"
)

// programs are built once, into a directory that TestMain removes.
var programs string

// build builds a program.
func build(name, dir string, args ...string) (string, error) {
	path := filepath.Join(programs, name)
	cmd := exec.Command("go", append([]string{"build", "-o", path}, args...)...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build %v in %s: %w\n%s", args, dir, err, out)
	}
	return path, nil
}

var (
	rawProducer      = sync.OnceValues(func() (string, error) { return build("producer", ".", "./producer") })
	officialProducer = sync.OnceValues(func() (string, error) {
		return build("bankproducer", filepath.Join("..", "interop"), "./bankproducer")
	})
	brokenBinary = sync.OnceValues(func() (string, error) {
		path := os.Getenv("TWOSTAGE_BROKEN_BIN")
		switch {
		case path == "":
			return build("twostage-broken", filepath.Join("..", ".."), "-tags", "brokentxn", "./cmd/twostage")
		case !filepath.IsAbs(path):
			return "", fmt.Errorf("TWOSTAGE_BROKEN_BIN=%s: accepted is an absolute path", path)
		}
		return path, nil
	})
)

// process is a program that is started, killed and started again.
type process struct {
	bin  string
	args []string
	env  []string // added to proctest.Environment

	cmd  *exec.Cmd
	in   io.WriteCloser
	log  tail
	done chan struct{} // closed when it ended
	err  error         // of Wait, once done is closed
}

// start starts it. Each line of its standard output goes to line, if that is
// not nil.
func (p *process) start(line func(string)) error {
	p.cmd = exec.Command(p.bin, p.args...)
	p.cmd.Env = append(proctest.Environment(), p.env...)
	p.cmd.Stderr = &p.log
	in, err := p.cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := p.cmd.Start(); err != nil {
		return err
	}
	p.in, p.err = in, nil
	cmd, done := p.cmd, make(chan struct{})
	p.done = done
	go func() {
		defer close(done)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if line != nil {
				line(lines.Text())
			}
		}
		_, _ = io.Copy(io.Discard, out)
		p.err = cmd.Wait()
	}()
	return nil
}

// ended says whether it has.
func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// signal sends a signal; a process that has ended is no error.
func (p *process) signal(s syscall.Signal) {
	if !p.ended() {
		_ = p.cmd.Process.Signal(s)
	}
}

// kill kills it and waits.
func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	<-p.done
}

// quit ends its input, and waits for a clean end.
func (p *process) quit() error {
	_ = p.in.Close()
	limit := time.NewTimer(rig.Patience)
	defer limit.Stop()
	select {
	case <-p.done:
		if p.err != nil {
			return fmt.Errorf("%s: %w\n%s", filepath.Base(p.bin), p.err, p.log.String())
		}
		return nil
	case <-limit.C:
		p.kill()
		return fmt.Errorf("%s did not end %v after its input did", filepath.Base(p.bin), rig.Patience)
	}
}

// tail keeps the end of what is written to it.
type tail struct {
	mu sync.Mutex
	b  bytes.Buffer
}

const maxTail = 64 << 10

func (w *tail) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.b.Write(p)
	if n := w.b.Len(); n > 2*maxTail {
		w.b.Next(n - maxTail)
	}
	return len(p), nil
}

func (w *tail) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.String()
}

// broker is the server under test.
type broker struct {
	process
	addr, http, namesrv string
}

// run starts it on the same ports and directory as before, and waits
// until it is ready.
func (b *broker) run() error {
	ready := make(chan struct{})
	once := sync.OnceFunc(func() { close(ready) })
	err := b.start(func(line string) {
		if strings.HasPrefix(line, "ready ") {
			once()
		}
	})
	if err != nil {
		return err
	}
	limit := time.NewTimer(rig.Patience)
	defer limit.Stop()
	select {
	case <-ready:
		return nil
	case <-b.done:
		return fmt.Errorf("the broker ended before it was ready: %v\n%s", b.err, b.log.String())
	case <-limit.C:
		b.kill()
		return fmt.Errorf("the broker was not ready after %v\n%s", rig.Patience, b.log.String())
	}
}

// watcher reads a ledger as it grows, for its counts only.
type watcher struct {
	path  string
	off   int64
	rest  []byte
	begun int
	idle  int // lines that say so
}

func (w *watcher) look() error {
	f, err := os.Open(w.path)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	data, err := io.ReadAll(io.NewSectionReader(f, w.off, 1<<40))
	if err != nil {
		return err
	}
	w.off += int64(len(data))
	w.rest = append(w.rest, data...)
	for {
		line, rest, ok := bytes.Cut(w.rest, []byte("\n"))
		if !ok {
			w.rest = slices.Clone(w.rest)
			return nil
		}
		w.rest = rest
		if len(line) == 0 {
			return fmt.Errorf("%s: an empty line", w.path)
		}
		switch line[0] {
		case 'B':
			w.begun++
		case 'I':
			w.idle++
		}
	}
}

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "twostage-bank")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	programs = dir
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

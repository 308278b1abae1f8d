// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"github.com/spf13/cobra"

	"github.com/twostage/twostage/internal/bench"
	"github.com/twostage/twostage/internal/lifecycle"
)

// floorReady begins the ready line of `bench floor`; its address follows.
const floorReady = "ready floor="

func benchFloor(p Process) *cobra.Command {
	addr, child := "", false
	cmd := &cobra.Command{
		Use: "floor", Short: "Serve the bare server that other figures are compared with", Args: args(0, 0),
		Long: `Serve a bare server until interrupted: one goroutine a connection, one read and one write for what has arrived,
no allocation; it answers every frame as if a message had been stored, and does nothing else. What it reaches
is the limit of this socket path on this machine. One line says where it is: ` + floorReady + `HOST:PORT.
` + "`bench send --floor`" + ` starts and stops one by itself.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return serveFloor(cmd.Context(), p, addr, child) },
	}
	cmd.Flags().StringVar(&addr, "addr", "127.0.0.1:0", "`HOST:PORT` to listen on; port 0 picks one")
	cmd.Flags().BoolVar(&child, "child", false, "end when standard input does")
	if err := cmd.Flags().MarkHidden("child"); err != nil {
		panic(err) // the flag is defined above
	}
	return cmd
}

// serveFloor serves until ctx ends; as a child, until standard input does, which
// its parent cannot fail to end.
func serveFloor(ctx context.Context, p Process, addr string, child bool) error {
	f, err := bench.ListenFloor(addr)
	if err != nil {
		return fmt.Errorf("%w: choose another address with --addr", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	g := lifecycle.NewGroup(ctx, p.logger())
	g.Go("floor", func(context.Context) error { return f.Serve() })
	g.Defer("floor", f.Close)
	if _, err := fmt.Fprintf(p.Stdout, "%s%s\n", floorReady, f.Addr()); err != nil {
		return err
	}
	if child {
		_, _ = io.Copy(io.Discard, p.Stdin)
		cancel()
	}
	return g.Wait()
}

// floorChild is a floor in a process of its own, so that its CPU time and memory
// are its own.
type floorChild struct {
	cmd   *exec.Cmd
	stdin io.Closer
	addr  string
}

func startFloor(p Process) (*floorChild, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("floor: which program is this: %w", err)
	}
	c := &floorChild{cmd: exec.Command(program, "bench", "floor", "--child")}
	c.cmd.Env, c.cmd.Stderr = p.Environment, p.Stderr
	if c.stdin, err = c.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("floor: %w", err)
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("floor: %w", err)
	}
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("floor: %w", err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	addr, ok := strings.CutPrefix(strings.TrimSpace(line), floorReady)
	if !ok {
		c.stop()
		return nil, fmt.Errorf("floor: it did not come up: %q %w", line, err)
	}
	c.addr = addr
	return c, nil
}

func (c *floorChild) pid() int { return c.cmd.Process.Pid }

// stop ends the child; that it was interrupted with its parent is no error.
func (c *floorChild) stop() {
	_ = c.stdin.Close()
	_ = c.cmd.Wait()
}

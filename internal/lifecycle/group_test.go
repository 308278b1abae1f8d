// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package lifecycle_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/twostage/twostage/internal/lifecycle"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// story is an ordered list of what happened.
type story struct {
	mu    sync.Mutex
	lines []string
}

func (s *story) tell(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, line)
}

func (s *story) want(t *testing.T, lines ...string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Equal(s.lines, lines) {
		t.Errorf("got %q, want %q", s.lines, lines)
	}
}

// slow is a goroutine that takes a second to end once it was told to.
func (s *story) slow(name string) func(context.Context) error {
	return func(ctx context.Context) error {
		<-ctx.Done()
		s.tell(name + " told")
		<-time.After(time.Second)
		s.tell(name + " ended")
		return ctx.Err()
	}
}

func (s *story) closer(name string) func() error {
	return func() error { s.tell(name); return nil }
}

func register(g *lifecycle.Group, s *story) {
	g.Defer("store", s.closer("store closed"))
	g.Go("flush", s.slow("flush"))
	g.Defer("socket", s.closer("socket closed"))
	g.Go("serve", s.slow("serve"))
}

var inOrder = []string{"serve told", "serve ended", "socket closed", "flush told", "flush ended", "store closed"}

func TestStopInReverseWaitingForEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s story
		g := lifecycle.NewGroup(t.Context(), quiet())
		register(g, &s)
		synctest.Wait()
		s.want(t)
		if err := g.Stop(); err != nil {
			t.Fatal(err)
		}
		s.want(t, inOrder...)
		if err := errors.Join(g.Stop(), g.Wait()); err != nil {
			t.Fatal(err)
		}
		s.want(t, inOrder...)
	})
}

func TestContextEndStopsInReverseToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		var s story
		ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "v"))
		g := lifecycle.NewGroup(ctx, quiet())
		register(g, &s)
		g.Go("values", func(ctx context.Context) error {
			if ctx.Value(key{}) != "v" {
				return errors.New("the value of the context is lost")
			}
			return nil
		})
		cancel()
		if err := g.Wait(); err != nil {
			t.Fatal(err)
		}
		s.want(t, inOrder...)
	})
}

func TestContextThatHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		g := lifecycle.NewGroup(ctx, quiet())
		if err := g.Wait(); err != nil {
			t.Fatal(err)
		}
		g.Go("late", func(context.Context) error { t.Error("started in a stopped group"); return nil })
		var s story
		g.Defer("late", s.closer("closed at once"))
		s.want(t, "closed at once")
	})
}

func TestFailureStopsTheGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s story
		g := lifecycle.NewGroup(t.Context(), quiet())
		register(g, &s)
		disk := errors.New("disk on fire")
		g.Go("watch", func(ctx context.Context) error {
			<-time.After(time.Minute)
			return disk
		})
		start := time.Now()
		err := g.Wait()
		if !errors.Is(err, disk) || err.Error() != "watch: disk on fire" {
			t.Fatalf("got %v", err)
		}
		if took := time.Since(start); took != time.Minute+2*time.Second {
			t.Errorf("stopped after %v", took)
		}
		s.want(t, inOrder...)
		if !errors.Is(g.Stop(), disk) {
			t.Error("Stop forgot the failure")
		}
	})
}

func TestEndWithoutErrorLeavesTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s story
		g := lifecycle.NewGroup(t.Context(), quiet())
		g.Go("serve", s.slow("serve"))
		g.Go("once", func(context.Context) error { s.tell("once done"); return nil })
		synctest.Wait()
		s.want(t, "once done")
		if err := g.Stop(); err != nil {
			t.Fatal(err)
		}
		s.want(t, "once done", "serve told", "serve ended")
	})
}

func TestCancelledWithoutBeingAskedIsAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := lifecycle.NewGroup(t.Context(), quiet())
		g.Go("call", func(context.Context) error { return context.Canceled })
		if err := g.Wait(); !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v", err)
		}
	})
}

func TestErrorsWhileStoppingAreReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := lifecycle.NewGroup(t.Context(), quiet())
		g.Defer("first", func() error { return errors.New("cannot close") })
		g.Go("flush", func(ctx context.Context) error { <-ctx.Done(); return errors.New("cannot flush") })
		err := g.Stop()
		if err == nil || err.Error() != "flush: cannot flush\nfirst: cannot close" {
			t.Fatalf("got %v", err)
		}
	})
}

func TestManyStopsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s story
		g := lifecycle.NewGroup(t.Context(), quiet())
		register(g, &s)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if err := g.Stop(); err != nil {
					t.Error(err)
				}
				s.mu.Lock()
				defer s.mu.Unlock()
				if len(s.lines) != len(inOrder) {
					t.Errorf("Stop returned early, after %q", s.lines)
				}
			})
		}
		wg.Wait()
		s.want(t, inOrder...)
	})
}

func TestSlowStopIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		g := lifecycle.NewGroup(t.Context(), slog.New(slog.NewTextHandler(&log, nil)))
		g.Defer("stubborn", func() error { <-time.After(11 * time.Second); return nil })
		g.Defer("prompt", func() error { <-time.After(9 * time.Second); return nil })
		if err := g.Stop(); err != nil {
			t.Fatal(err)
		}
		if got := log.String(); !strings.Contains(got, "part=stubborn") || strings.Contains(got, "prompt") {
			t.Errorf("log: %q", got)
		}
	})
}

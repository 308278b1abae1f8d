// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// requestTime is how long a request may take, and so the time limit of the
// transaction in it.
const requestTime = 3 * time.Second

// Undecided is how long the message of a transaction may stand without an outcome when
// its process has died: the limit, and two rounds of check-backs each second.
const Undecided = requestTime + 2*time.Second

// Refusal is an error that a caller gets with an HTTP status, and that is no
// failure of the service.
type Refusal struct {
	Status int
	Reason string
}

func (r *Refusal) Error() string { return r.Reason }

// Refuse gives a Refusal.
func Refuse(status int, format string, args ...any) error {
	return &Refusal{status, fmt.Sprintf(format, args...)}
}

// Handle answers requests of a pattern of http.ServeMux: fn gets the body, which is
// JSON, and gives what is answered as JSON.
func Handle[In any](s *Service, pattern string, fn func(ctx context.Context, r *http.Request, in In) (any, error)) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), requestTime)
		defer cancel()
		var in In
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil && !errors.Is(err, io.EOF) {
			s.answer(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
			return
		}
		out, err := fn(ctx, r, in)
		var refused *Refusal
		switch {
		case errors.As(err, &refused):
			s.answer(w, refused.Status, map[string]string{"error": refused.Reason})
		case err != nil:
			s.Log.Warn("a request failed", "path", r.URL.Path, "err", err)
			s.answer(w, http.StatusServiceUnavailable, map[string]string{"error": err.Error()})
		default:
			s.answer(w, http.StatusOK, out)
		}
	})
}

func (s *Service) answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(v); err != nil {
		s.Log.Info("an answer did not get through", "err", err)
	}
}

// Serve runs the service until ctx ends: it forwards the outbox, consumes, listens,
// then writes "ready http=HOST:PORT" to ready. It stops in reverse, after what is
// under way.
func (s *Service) Serve(ctx context.Context, topics []string, ready io.Writer) error {
	defer s.close()
	ln, err := net.Listen("tcp", s.Listen)
	if err != nil {
		return err
	}
	ctx, fail := context.WithCancelCause(ctx)
	// What runs beside the requests goes on until they have ended.
	beside, stop := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	run := func(name string, fn func(context.Context) error) {
		running.Go(func() {
			if err := fn(beside); err != nil && beside.Err() == nil {
				fail(fmt.Errorf("%s: %s: %w", s.Name, name, err))
			}
		})
	}
	end, err := s.start(ctx, ln, topics, run)
	if err == nil {
		_, err = fmt.Fprintf(ready, "ready http=%s\n", ln.Addr())
	}
	if err == nil {
		<-ctx.Done()
		if why := context.Cause(ctx); !errors.Is(why, context.Canceled) {
			err = why
		}
	}
	err = errors.Join(err, end())
	stop()
	running.Wait()
	return err
}

// start gives what ends requests and consumers, also when it fails.
func (s *Service) start(ctx context.Context, ln net.Listener, topics []string, run func(name string, fn func(context.Context) error)) (end func() error, err error) {
	// Known to the broker before anything is sent: it may ask about transactions of
	// an instance that is no more.
	if err := s.producer.Start(ctx, topics...); err != nil {
		return ln.Close, err
	}
	run("outbox", s.outbox.Run)
	run("clean", s.clean)
	stop, err := s.consumers(ctx)
	if err != nil {
		return func() error { return errors.Join(ln.Close(), stop()) }, err
	}
	server := &http.Server{Handler: s.mux, ReadHeaderTimeout: requestTime}
	run("http", func(context.Context) error {
		if err := server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	return func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 2*requestTime)
		defer cancel()
		return errors.Join(server.Shutdown(ctx), stop())
	}, nil
}

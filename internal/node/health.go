// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"

	"github.com/twostage/twostage/internal/broker"
)

// health answers /healthz and /readyz.
type health struct {
	started atomic.Bool
	broker  atomic.Pointer[broker.Broker] // once it is open
}

// errNotStarted: not everything that this process is to run serves yet.
var errNotStarted = errors.New("starting")

// ready says what is missing, nil when nothing is.
func (h *health) ready() error {
	for _, c := range h.checks() {
		switch {
		case c.Err == nil:
		case c.Name == "process":
			return c.Err
		default:
			return fmt.Errorf("broker: %w", c.Err)
		}
	}
	return nil
}

// checks are all that ready looks at, the broker's first.
func (h *health) checks() []broker.Check {
	var list []broker.Check
	if b := h.broker.Load(); b != nil {
		list = b.Checks()
	}
	own := broker.Check{Name: "process"}
	if !h.started.Load() {
		own.Err = errNotStarted
	}
	return append(list, own)
}

// mount serves the two paths. With ?verbose the answer of /readyz has a line for
// each check, whether it passes or not.
func (h *health) mount(mux *http.ServeMux) {
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		text, status := "ready\n", http.StatusOK
		if err := h.ready(); err != nil {
			text, status = "not ready: "+err.Error()+"\n", http.StatusServiceUnavailable
		}
		if r.URL.Query().Has("verbose") {
			text = h.verbose() + text
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text)
	})
}

// verbose is a line for each check.
func (h *health) verbose() string {
	var b bytes.Buffer
	for _, c := range h.checks() {
		if c.Err != nil {
			fmt.Fprintf(&b, "[-] %s: %v\n", c.Name, c.Err)
		} else {
			fmt.Fprintf(&b, "[+] %s\n", c.Name)
		}
	}
	return b.String()
}

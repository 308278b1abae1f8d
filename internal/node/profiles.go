// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"errors"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
)

// mountProfiles serves Go's profiles under /debug/pprof, to programs of this machine
// that come over the loopback. They show names and contents of memory, and take CPU
// time.
func mountProfiles(mux *http.ServeMux) {
	for path, h := range map[string]http.HandlerFunc{
		"/debug/pprof/": pprof.Index, "/debug/pprof/cmdline": noCommandLine, "/debug/pprof/profile": pprof.Profile,
		"/debug/pprof/symbol": pprof.Symbol, "/debug/pprof/trace": pprof.Trace,
	} {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
			if err := loopback(r); err != nil {
				http.Error(w, err.Error(), http.StatusForbidden)
				return
			}
			h(w, r)
		})
	}
}

// noCommandLine takes the place of the command line, which may have passwords in it.
func noCommandLine(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "the command line is not shown: it may have secrets in it", http.StatusNotFound)
}

// loopback is local for a connection of which both ends are on the loopback.
func loopback(r *http.Request) error {
	if err := local(r); err != nil {
		return err
	}
	at, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if at == nil {
		return errors.New("only the loopback is answered, and this connection has no address")
	}
	addr, err := netip.ParseAddrPort(at.String())
	if err != nil || !addr.Addr().Unmap().IsLoopback() {
		return errors.New("only the loopback is answered: connect to 127.0.0.1 or [::1]")
	}
	return nil
}

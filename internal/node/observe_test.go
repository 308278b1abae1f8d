// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"compress/gzip"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/twostage/twostage/internal/config"
	"github.com/twostage/twostage/internal/vfs"
)

// TestReadyzTellsWhy: with ?verbose each check has a line, and what is missing is said.
func TestReadyzTellsWhy(t *testing.T) {
	r := start(t, load(t, config.RoleAll), config.RoleAll, vfs.NewMem())
	status, text := get(t, r.fields["http"], "/readyz?verbose")
	for _, name := range []string{"start", "store", "space", "disk", "registration", "process"} {
		if !strings.Contains(text, "[+] "+name+"\n") {
			t.Errorf("no line for %s", name)
		}
	}
	if status != 200 || !strings.HasSuffix(text, "\nready\n") {
		t.Errorf("%d %q", status, text)
	}
	lost := start(t, load(t, config.RoleBroker, "namesrvAddr=127.0.0.1:1"), config.RoleBroker, vfs.NewMem())
	status, text = get(t, lost.fields["http"], "/readyz?verbose")
	if status != 503 || !strings.Contains(text, "[-] registration: ") || !strings.Contains(text, "[+] store\n") || !strings.Contains(text, "\nnot ready: broker: ") {
		t.Errorf("%d %q", status, text)
	}
}

// TestOwnMetricsNameTheBroker: what is of the process has the labels of its broker;
// a name server alone is none.
func TestOwnMetricsNameTheBroker(t *testing.T) {
	for role, labels := range map[config.Role]string{config.RoleAll: nodeText, config.RoleNamesrv: ""} {
		_, text := get(t, start(t, load(t, role), role, vfs.NewMem()).fields["http"], "/metrics")
		for _, want := range []string{
			"\ntwostage_connections{" + labels + `server="namesrv"} `, "\ntwostage_connections{" + labels + `server="http"} `,
			"\ntwostage_tls_connections_total{" + labels + `server="http"} `,
			"\ntwostage_refused_connections_total{because=\"limit\"," + labels + `server="http"} `,
		} {
			if !strings.Contains(text, want) {
				t.Errorf("role %v: no %q in\n%s", role, want, text)
			}
		}
	}
}

// TestMetricsNames: names= adds names, and one that is not known is refused.
func TestMetricsNames(t *testing.T) {
	addr := start(t, load(t, config.RoleAll), config.RoleAll, vfs.NewMem()).fields["http"]
	for _, tc := range []struct {
		query     string
		has, lack string
	}{
		{"", "\nrocketmq_storage_size{", "rocketmq_producer_offset"},
		{"?names=exporter", "\nrocketmq_producer_offset{", "rocketmq_storage_size_bytes"},
		{"?names=exporter,units", "\nrocketmq_storage_size_bytes{", "\nrocketmq_storage_size{"},
		{"?names=exporter&names=units", "\nrocketmq_producer_offset{", "\nrocketmq_storage_size{"},
	} {
		status, text := get(t, addr, "/metrics"+tc.query)
		if status != 200 || !strings.Contains(text, tc.has) || strings.Contains(text, tc.lack) || !strings.Contains(text, "\ngo_goroutines ") {
			t.Errorf("%q: %d, want %q and not %q in\n%.2000s", tc.query, status, tc.has, tc.lack, text)
		}
	}
	if status, text := get(t, addr, "/metrics?names=all"); status != 400 || !strings.Contains(text, `names="all": accepted are exporter`) {
		t.Errorf("%d %q", status, text)
	}
}

// TestMetricsFormat: one text, compressed for who takes that.
func TestMetricsFormat(t *testing.T) {
	addr := start(t, load(t, config.RoleAll), config.RoleAll, vfs.NewMem()).fields["http"]
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "application/openmetrics-text;version=1.0.0,application/vnd.google.protobuf,text/plain")
	req.Header.Set("Accept-Encoding", "gzip")
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	z, err := gzip.NewReader(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil || resp.Header.Get("Content-Type") != textFormat {
		t.Fatalf("%q: %v", resp.Header.Get("Content-Type"), err)
	}
	helped := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); f[0] == "#" && f[1] == "TYPE" {
			if helped[f[2]] {
				t.Errorf("%s is there twice", f[2])
			}
			helped[f[2]] = true
		}
	}
	if len(helped) < 60 {
		t.Errorf("only %d families", len(helped))
	}
	for _, h := range []string{"", "identity", "gzip;q=0", "deflate, br"} {
		if takesGzip(&http.Request{Header: http.Header{"Accept-Encoding": {h}}}) {
			t.Errorf("%q takes gzip", h)
		}
	}
}

// TestProfilesOnTheLoopbackOnly: both ends of the connection, and the name that was
// asked for.
func TestProfilesOnTheLoopbackOnly(t *testing.T) {
	mux := http.NewServeMux()
	mountProfiles(mux)
	const far, near = "192.0.2.1:5", "127.0.0.1:5"
	for _, tc := range []struct {
		path, peer, local, host string
		want                    int
	}{
		{"/debug/pprof/", near, near, "localhost:8082", 200},
		{"/debug/pprof/heap", near, near, "127.0.0.1:8082", 200},
		{"/debug/pprof/goroutine?debug=2", "[::1]:5", "[::1]:6", "[::1]:8082", 200},
		{"/debug/pprof/heap", far, near, "127.0.0.1", 403},
		{"/debug/pprof/heap", near, far, "127.0.0.1", 403},
		{"/debug/pprof/heap", near, near, "rebound.example", 403},
		{"/debug/pprof/profile", far, far, "127.0.0.1", 403},
		{"/debug/pprof/cmdline", near, near, "127.0.0.1", 404},
		{"/debug/vars", near, near, "127.0.0.1", 404},
	} {
		r := httptest.NewRequest(http.MethodGet, tc.path, nil)
		r.RemoteAddr, r.Host = tc.peer, tc.host
		local, err := net.ResolveTCPAddr("tcp", tc.local)
		if err != nil {
			t.Fatal(err)
		}
		r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, net.Addr(local)))
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		if w.Code != tc.want {
			t.Errorf("%s from %s to %s as %s: %d %.100q, want %d", tc.path, tc.peer, tc.local, tc.host, w.Code, w.Body, tc.want)
		}
	}
}

// TestProfilesAreServed by a real listener.
func TestProfilesAreServed(t *testing.T) {
	addr := start(t, load(t, config.RoleNamesrv), config.RoleNamesrv, vfs.NewMem()).fields["http"]
	if status, text := get(t, addr, "/debug/pprof/goroutine?debug=1"); status != 200 || !strings.Contains(text, "goroutine profile:") {
		t.Errorf("%d %.200q", status, text)
	}
}

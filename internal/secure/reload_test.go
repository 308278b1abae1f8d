// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package secure

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A configuration is made once of what the files hold: keys may be slow to decrypt.
// While one caller waits for it, or for the files, others get the one before.
func TestReloadingIsInNobodysWay(t *testing.T) {
	cert := filepath.Join(t.TempDir(), "cert")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(cert, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("first")
	now, builds := time.Unix(1e9, 0), 0
	building, built := make(chan struct{}), make(chan struct{})
	r, err := newReloader(Files{Cert: cert}, func() time.Time { return now }, nil, func(c contents) (*tls.Config, error) {
		if builds++; builds > 1 {
			building <- struct{}{}
			<-built
		}
		return &tls.Config{ServerName: string(c.cert)}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		now = now.Add(time.Second)
		if got := r.current().ServerName; got != "first" || builds != 1 {
			t.Errorf("unchanged: %q, made %d times", got, builds)
		}
	}
	write("second")
	now = now.Add(time.Second)
	changed := make(chan *tls.Config)
	go func() { changed <- r.current() }()
	<-building
	now = now.Add(time.Hour)
	if got := r.current().ServerName; got != "first" {
		t.Errorf("meanwhile: %q", got)
	}
	built <- struct{}{}
	if got := (<-changed).ServerName; got != "second" {
		t.Errorf("who looked got %q", got)
	}
	now = now.Add(-time.Hour) // no look
	if got := r.current().ServerName; got != "second" || builds != 2 {
		t.Errorf("then: %q, made %d times", got, builds)
	}
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package secure_test

import (
	"bytes"
	"crypto/tls"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/twostage/twostage/internal/secure"
	"github.com/twostage/twostage/internal/secure/securetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clock is set by the test.
type clock struct{ now time.Time }

func newClock() *clock                   { return &clock{time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)} }
func (c *clock) Now() time.Time          { return c.now }
func (c *clock) forward(d time.Duration) { c.now = c.now.Add(d) }

// shake shakes hands and gives what each side says of it.
func shake(t *testing.T, server, client *tls.Config) (state tls.ConnectionState, atServer, atClient error) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0") // buffers, which net.Pipe does not
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	b, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	a, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		defer a.Close()
		s := tls.Server(a, server)
		err := s.Handshake()
		if err == nil {
			_, err = s.Write([]byte("x")) // in TLS 1.3 a client hears here of a certificate that is refused
		}
		done <- err
	}()
	c := tls.Client(b, client)
	if atClient = c.Handshake(); atClient == nil {
		_, atClient = c.Read(make([]byte, 1))
	}
	state = c.ConnectionState()
	b.Close()
	return state, <-done, atClient
}

func serverOf(t *testing.T, o secure.ServerOptions) *secure.Server {
	t.Helper()
	s, err := secure.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func configOf(t *testing.T, s *secure.Server) *tls.Config {
	t.Helper()
	c, err := s.Config()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func clientOf(t *testing.T, o secure.ClientOptions, addr string) *tls.Config {
	t.Helper()
	c, err := secure.NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	conf, err := c.Config(addr)
	if err != nil {
		t.Fatal(err)
	}
	return conf
}

// name is the common name of the certificate that a server shows.
func name(t *testing.T, s *secure.Server) string {
	t.Helper()
	state, _, err := shake(t, configOf(t, s), clientOf(t, secure.ClientOptions{SkipVerify: true}, "h:1"))
	if err != nil {
		t.Fatal(err)
	}
	return state.PeerCertificates[0].Subject.CommonName
}

func TestReload(t *testing.T) {
	dir, ca, clk := t.TempDir(), securetest.NewCA(t, "ca"), newClock()
	var log bytes.Buffer
	files := ca.Files(t, dir, "server", "127.0.0.1")
	s := serverOf(t, secure.ServerOptions{Files: files, Clock: clk.Now, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	want := func(when, cn string, lines int) {
		t.Helper()
		if got := name(t, s); got != cn {
			t.Errorf("%s: the certificate is that of %q, want %q", when, got, cn)
		}
		if n := strings.Count(log.String(), "\n"); n != lines {
			t.Errorf("%s: %d lines logged, want %d:\n%s", when, n, lines, log.String())
		}
	}
	want("at first", "server", 0)
	cert, key := ca.Issue(t, "next", "127.0.0.1")
	securetest.Write(t, files.Cert, cert)
	want("before it is looked at", "server", 0)
	clk.forward(time.Second)
	want("with the old key", "server", 1)
	clk.forward(time.Second)
	want("with the old key, again", "server", 1)
	securetest.Write(t, files.Key, key)
	clk.forward(time.Second)
	want("with both", "next", 2)
	if err := os.Remove(files.Key); err != nil {
		t.Fatal(err)
	}
	clk.forward(time.Second)
	want("without the key", "next", 3)
	securetest.Write(t, files.Key, key)
	clk.forward(time.Second)
	want("with the key of before", "next", 4)
	if !strings.Contains(log.String(), files.Key) || strings.Contains(log.String(), "PRIVATE") {
		t.Errorf("log:\n%s", log.String())
	}
}

func TestMutual(t *testing.T) {
	ca, otherCA := securetest.NewCA(t, "ca"), securetest.NewCA(t, "other")
	files := ca.Files(t, t.TempDir(), "server", "127.0.0.1")
	mine := ca.Files(t, t.TempDir(), "client")
	alien := otherCA.Files(t, t.TempDir(), "alien")
	alien.Trust = files.Trust
	for _, tc := range []struct {
		auth                secure.ClientAuth
		verify              bool
		without, own, other bool // which clients get in
	}{
		{secure.AuthNone, false, true, true, true},
		{secure.AuthOptional, false, true, true, true},
		{secure.AuthRequire, false, false, true, true},
		{secure.AuthOptional, true, true, true, false},
		{secure.AuthRequire, true, false, true, false},
	} {
		conf := configOf(t, serverOf(t, secure.ServerOptions{Files: files, Auth: tc.auth, VerifyClients: tc.verify}))
		for who, c := range map[string]struct {
			files secure.Files
			in    bool
		}{
			"a client without certificate": {secure.Files{Trust: files.Trust}, tc.without}, "one of the authority": {mine, tc.own}, "one of another": {alien, tc.other},
		} {
			client := clientOf(t, secure.ClientOptions{Files: c.files}, "127.0.0.1:1")
			if len(client.Certificates) > 0 { // shown to who does not know its authority as well
				client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &client.Certificates[0], nil }
			}
			_, atServer, atClient := shake(t, conf, client)
			if in := atServer == nil && atClient == nil; in != c.in {
				t.Errorf("%v, verified %v, %s: %v, %v; want it in: %v", tc.auth, tc.verify, who, atServer, atClient, c.in)
			}
		}
	}
}

func TestServersAreVerified(t *testing.T) {
	ca, other := securetest.NewCA(t, "ca"), securetest.NewCA(t, "other")
	files := ca.Files(t, t.TempDir(), "server", "127.0.0.1", "broker.example")
	alien := other.Files(t, t.TempDir(), "server", "127.0.0.1")
	conf := configOf(t, serverOf(t, secure.ServerOptions{Files: files}))
	own := configOf(t, serverOf(t, secure.ServerOptions{SelfSigned: true}))
	trust := secure.Files{Trust: files.Trust}
	for what, tc := range map[string]struct {
		server *tls.Config
		client secure.ClientOptions
		addr   string
		fails  string
	}{
		"by address":         {conf, secure.ClientOptions{Files: trust}, "127.0.0.1:1", ""},
		"by name":            {conf, secure.ClientOptions{Files: trust, ServerName: "broker.example"}, "10.0.0.1:1", ""},
		"another address":    {conf, secure.ClientOptions{Files: trust}, "10.0.0.1:1", "10.0.0.1"},
		"another authority":  {conf, secure.ClientOptions{Files: secure.Files{Trust: alien.Trust}}, "127.0.0.1:1", "unknown authority"},
		"the system's roots": {conf, secure.ClientOptions{}, "127.0.0.1:1", "unknown authority"},
		"self-signed":        {own, secure.ClientOptions{Files: trust}, "127.0.0.1:1", "certificate"},
		"not verified":       {own, secure.ClientOptions{SkipVerify: true}, "127.0.0.1:1", ""},
	} {
		_, _, err := shake(t, tc.server, clientOf(t, tc.client, tc.addr))
		if (err == nil) != (tc.fails == "") || err != nil && !strings.Contains(err.Error(), tc.fails) {
			t.Errorf("%s: error %v, want %q", what, err, tc.fails)
		}
	}
}

// A version below 1.2 is refused, whatever a client would like.
func TestOldVersions(t *testing.T) {
	conf := configOf(t, serverOf(t, secure.ServerOptions{SelfSigned: true}))
	_, err, _ := shake(t, conf, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11})
	if err == nil || !strings.Contains(err.Error(), "version") {
		t.Errorf("error %v", err)
	}
}

func TestFilesThatCannotBeUsed(t *testing.T) {
	dir, ca := t.TempDir(), securetest.NewCA(t, "ca")
	good := ca.Files(t, dir, "server")
	text := filepath.Join(dir, "text")
	securetest.Write(t, text, []byte("no certificate"))
	securetest.Write(t, filepath.Join(dir, "large"), make([]byte, 2<<20))
	aes, err := filepath.Abs("testdata/aes256.key")
	if err != nil {
		t.Fatal(err)
	}
	for fails, f := range map[string]secure.Files{
		"none.pem":                   {Cert: filepath.Join(dir, "none.pem"), Key: good.Key},
		text:                         {Cert: text, Key: good.Key},
		"large: more than":           {Cert: filepath.Join(dir, "large"), Key: good.Key},
		"give its password":          {Cert: good.Cert, Key: aes},
		"the password is wrong":      {Cert: good.Cert, Key: aes, Password: "other"},
		"does not match":             {Cert: good.Cert, Key: aes, Password: "pass-word"},
		"needs a certificate and":    {},
		"no certificate in PEM form": {Cert: good.Cert, Key: good.Key, Trust: text},
	} {
		_, err := secure.NewServer(secure.ServerOptions{Files: f, Auth: secure.AuthRequire, VerifyClients: true})
		if err == nil || !strings.Contains(err.Error(), fails) {
			t.Errorf("error %v, want %q", err, fails)
		}
	}
	if _, err := secure.NewClient(secure.ClientOptions{Files: secure.Files{Cert: good.Cert}}); err == nil {
		t.Error("a client's certificate without its key")
	}
}

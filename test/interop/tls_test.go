// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	rocketmq "github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"

	"github.com/twostage/twostage/internal/proctest"
	"github.com/twostage/twostage/internal/secure"
	"github.com/twostage/twostage/internal/secure/securetest"
)

// startTLS starts a name server and a broker that take TLS only.
func startTLS(t *testing.T, files secure.Files) *proctest.Server {
	args := []string{"server", "--data", t.TempDir(), "--set", "httpListenPort=0",
		"--set", "tls.enable=true", "--set", "tls.client.authServer=true", "--set", "tls.client.trustCertPath=" + files.Trust}
	for _, flag := range []string{"--set", "--namesrv-set"} {
		for _, kv := range []string{"listenPort=0", "bindAddress=127.0.0.1", "tls.server.mode=enforcing",
			"tls.server.certPath=" + files.Cert, "tls.server.keyPath=" + files.Key} {
			args = append(args, flag, kv)
		}
	}
	return proctest.Start(t, args...)
}

// The official client, whose version speaks no TLS, gets nothing from ports that
// take TLS only, and each of its connections is counted.
func TestPlaintextWhereTLSIsEnforced(t *testing.T) {
	t.Parallel()
	files := securetest.NewCA(t, "ca").Files(t, t.TempDir(), "server", "127.0.0.1")
	s := startTLS(t, files)
	p, err := rocketmq.NewProducer(producer.WithNsResolver(primitive.NewPassthroughResolver([]string{s.Namesrv})),
		producer.WithInstanceName(name(t, "plain")), producer.WithGroupName(name(t, "plain")), producer.WithRetry(0), producer.WithSendMsgTimeout(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err == nil {
		defer p.Shutdown()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if r, err := p.SendSync(ctx, primitive.NewMessage("TBW102", []byte("in plaintext"))); err == nil {
			t.Errorf("sent: %v", r)
		}
	}
	c := &http.Client{Timeout: soon, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: clientTLS(t, files)}}
	res, err := c.Get("https://" + s.HTTP + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`twostage_refused_connections_total\{[^}]*because="plaintext"[^}]*server="namesrv"[^}]*\} (\d+)`).FindSubmatch(text)
	if m == nil {
		t.Fatalf("no count of refusals in:\n%s", text)
	}
	if n, _ := strconv.Atoi(string(m[1])); n == 0 {
		t.Error("no refusal was counted")
	}
	if !strings.Contains(s.Log(), "plaintext where TLS is enforced") {
		t.Error("no refusal was logged")
	}
}

func clientTLS(t *testing.T, files secure.Files) *tls.Config {
	t.Helper()
	c, err := secure.NewClient(secure.ClientOptions{Files: secure.Files{Trust: files.Trust}})
	if err != nil {
		t.Fatal(err)
	}
	conf, err := c.Config("127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	return conf
}

// A running server shows a new certificate soon after its files were replaced.
func TestNewCertificateWithoutRestart(t *testing.T) {
	t.Parallel()
	ca := securetest.NewCA(t, "ca")
	files := ca.Files(t, t.TempDir(), "first", "127.0.0.1")
	s := startTLS(t, files)
	conf := clientTLS(t, files)
	shown := func(addr string) string {
		c, err := tls.DialWithDialer(&net.Dialer{Timeout: soon}, "tcp", addr, conf)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].Subject.CommonName
	}
	cert, key := ca.Issue(t, "second", "127.0.0.1")
	for _, addr := range []string{s.Namesrv, s.Broker, s.HTTP} {
		if got := shown(addr); got != "first" {
			t.Errorf("%s shows %s", addr, got)
		}
	}
	securetest.Write(t, files.Cert, cert)
	securetest.Write(t, files.Key, key)
	for _, addr := range []string{s.Namesrv, s.Broker, s.HTTP} {
		for deadline := time.Now().Add(soon); shown(addr) != "second"; {
			if time.Now().After(deadline) {
				t.Errorf("%s still shows the first certificate", addr)
				break
			}
		}
	}
}

// Another implementation of TLS than Go's, as clients of other languages use it.
func TestOpenSSL(t *testing.T) {
	t.Parallel()
	path, err := exec.LookPath("openssl")
	if err != nil {
		t.Log("DID NOT RUN: openssl is not installed")
		return
	}
	files := securetest.NewCA(t, "ca").Files(t, t.TempDir(), "server", "127.0.0.1")
	s := startTLS(t, files)
	for _, addr := range []string{s.Namesrv, s.Broker, s.HTTP} {
		for _, version := range []string{"-tls1_2", "-tls1_3"} {
			ctx, cancel := context.WithTimeout(t.Context(), soon)
			defer cancel()
			cmd := exec.CommandContext(ctx, path, "s_client", "-connect", addr, "-CAfile", files.Trust, "-verify_return_error", "-verify_ip", "127.0.0.1", version)
			cmd.Stdin = strings.NewReader("")
			if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "Verify return code: 0 (ok)") {
				t.Error(fmt.Sprint(addr, " ", version, ": ", err, "\n", string(out)))
			}
		}
	}
}

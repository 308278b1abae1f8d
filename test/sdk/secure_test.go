// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package sdk

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/twostage/twostage/client"
	"github.com/twostage/twostage/internal/proctest"
	"github.com/twostage/twostage/internal/secure/securetest"
	"github.com/twostage/twostage/message"
	"github.com/twostage/twostage/test/rig"
)

const accounts = `accounts:
- accessKey: orders-app
  secretKey: top-secret-1
  topicPerms: [orders=PUB|SUB]
  groupPerms: [readers=SUB]
- accessKey: administrator
  secretKey: top-secret-2
  admin: true
`

// A server with access control takes what is signed and allowed: messages, their
// consumption and check-backs. The rest is an error that says so.
func TestACL(t *testing.T) {
	t.Parallel()
	if foreign(t) {
		return
	}
	file := filepath.Join(t.TempDir(), "plain_acl.yml")
	if err := os.WriteFile(file, []byte(accounts), 0o600); err != nil {
		t.Fatal(err)
	}
	c := start(t, "aclEnable=true", "aclFile="+file)
	admin := client.WithCredentials(client.Credentials{AccessKey: "administrator", SecretKey: "top-secret-2"})
	app := client.WithCredentials(client.Credentials{AccessKey: "orders-app", SecretKey: "top-secret-1"})
	owner := c.producer(t, admin)
	sendAll(t, owner, "orders", "first")
	sendAll(t, owner, "secrets", "hidden")
	sendAll(t, c.producer(t, app), "orders", "second")
	in := &inbox{}
	c.consumer(t, "readers", "orders", in, app)
	in.await(t, "first", "second")
	tx := c.transactions(t, "deciders", always(client.Commit), app)
	sendTx(t, tx, message.New("orders", []byte("decided when asked")), client.Unknown)
	in.await(t, "first", "second", "decided when asked")

	for what, p := range map[string]*client.Producer{
		"a wrong secret": c.producer(t, client.WithAttempts(1), client.WithCredentials(client.Credentials{AccessKey: "orders-app", SecretKey: "wrong"})),
		"a stranger":     c.producer(t, client.WithAttempts(1), client.WithCredentials(client.Credentials{AccessKey: "stranger", SecretKey: "top-secret-1"})),
		"no credentials": c.producer(t, client.WithAttempts(1)),
	} {
		var answer *client.AnswerError
		if _, err := p.Send(rig.Context(t), message.New("orders", []byte(what))); !errors.As(err, &answer) {
			t.Errorf("%s: %v", what, err)
		}
	}
	var answer *client.AnswerError
	if _, err := c.producer(t, app, client.WithAttempts(1)).Send(rig.Context(t), message.New("secrets", []byte("x"))); !errors.As(err, &answer) {
		t.Errorf("a topic that is not allowed: %v", err)
	}
}

// Everything goes over TLS, and certificates are looked at; a client without TLS
// gets nowhere.
func TestTLS(t *testing.T) {
	t.Parallel()
	if foreign(t) {
		return
	}
	files := securetest.NewCA(t, "ca").Files(t, t.TempDir(), "server", "127.0.0.1")
	args := []string{"server", "--data", t.TempDir(), "--set", "httpListenPort=0", "--set", "brokerIP1=127.0.0.1",
		"--set", "tls.enable=true", "--set", "tls.client.authServer=true", "--set", "tls.client.trustCertPath=" + files.Trust,
		"--set", "transactionTimeOut=1000", "--set", "mappedFileSizeCommitLog=67108864"}
	for _, flag := range []string{"--set", "--namesrv-set"} {
		for _, kv := range []string{"listenPort=0", "bindAddress=127.0.0.1", "tls.server.mode=enforcing",
			"tls.server.certPath=" + files.Cert, "tls.server.keyPath=" + files.Key} {
			args = append(args, flag, kv)
		}
	}
	s := proctest.Start(t, args...)
	pem, err := os.ReadFile(files.Trust)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		t.Fatal("no certificate in the trust file")
	}
	c := &cluster{namesrv: s.Namesrv, Server: s, opts: []client.Option{client.WithTLS(&tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12})}}
	in := &inbox{}
	sendAll(t, c.producer(t), "orders", "sealed")
	c.consumer(t, "readers", "orders", in)
	tx := c.transactions(t, "deciders", always(client.Commit))
	sendTx(t, tx, message.New("orders", []byte("decided when asked")), client.Unknown)
	in.await(t, "sealed", "decided when asked")

	for what, opt := range map[string]client.Option{
		"plaintext":            client.WithTLS(nil),
		"an unknown authority": client.WithTLS(&tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}),
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		if r, err := c.producer(t, opt, client.WithTimeout(time.Second), client.WithAttempts(1)).Send(ctx, message.New("orders", []byte(what))); err == nil {
			t.Errorf("%s: %+v", what, r)
		}
	}
}

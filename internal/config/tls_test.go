// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTLSByDefault(t *testing.T) {
	c, err := Load(brokerFile("brokerName=b"))
	if err != nil {
		t.Fatal(err)
	}
	if want := (TLS{Mode: "permissive", SelfSigned: true, ClientAuth: "none"}); c.Broker.TLS != want {
		t.Errorf("%+v, want %+v", c.Broker.TLS, want)
	}
}

func TestTLSFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tls.properties")
	write := func(lines ...string) {
		if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("tls.test.mode.enable=false", "tls.server.certPath=/c", "tls.server.keyPath=/k", "tls.server.keyPassword=secret-1",
		"tls.server.need.client.auth=require", "tls.server.authClient=true", "tls.server.trustCertPath=/t", "tls.client.certPath=/cc", "tls.client.keyPath=/ck")
	c, err := Load(brokerFile("tls.config.file=" + file + "\ntls.server.certPath=/mine\nuseTLS=true"))
	if err != nil {
		t.Fatal(err)
	}
	want := TLS{
		Mode: "permissive", CertPath: "/mine", KeyPath: "/k", KeyPassword: "secret-1", TrustPath: "/t", ClientAuth: "require", VerifyClients: true,
		Client: TLSClient{Enabled: true, CertPath: "/cc", KeyPath: "/ck"},
	}
	if c.Broker.TLS != want {
		t.Errorf("%+v\nwant %+v", c.Broker.TLS, want)
	}
	if all := string(c.BrokerValues.AppendProperties(nil)); strings.Contains(all, "secret-1") || !strings.Contains(all, "tls.server.keyPassword=******") {
		t.Error("the password is shown")
	}
	write("tls.server.mode=enforcing")
	wantError(t, brokerFile("tls.config.file="+file), "not a key of a TLS file")
	write("tls.server.sertPath=/c")
	wantError(t, brokerFile("tls.config.file="+file), "did you mean tls.server.certPath?")
	wantError(t, brokerFile("tls.config.file="+file+".none"), "no such file")
}

func TestTLSThatWouldNotWork(t *testing.T) {
	for lines, reason := range map[string]string{
		"tls.server.mode=on":     "accepted are disabled, permissive, enforcing",
		"tls.server.certPath=/c": "go together",
		"tls.server.certPath=/c tls.server.keyPath=/k tls.test.mode.enable=true": "set false",
		"tls.test.mode.enable=false":       "needs a certificate",
		"tls.server.authClient=true":       "need.client.auth=require",
		"tls.client.certPath=/c":           "go together",
		"tls.client.authServer=true":       "tls.enable=true",
		"tls.server.need.client.auth=want": "none, optional, require",
		"maxInflightBytesPerConnection=5":  "whole number",
		"tls.server.certPath=/c tls.server.keyPath=/k tls.server.mode=permissively": "accepted",
	} {
		wantError(t, brokerFile(strings.ReplaceAll(lines, " ", "\n")), reason)
	}
	all := Sources{Role: RoleAll, NamesrvFlags: map[string]string{"tls.server.mode": "enforcing"}}
	wantError(t, all, "could not register")
	all.Flags = map[string]string{"tls.enable": "true"}
	if _, err := Load(all); err != nil {
		t.Error(err)
	}
	all.NamesrvFlags["tls.server.mode"] = "disabled"
	wantError(t, all, "could not register")
}

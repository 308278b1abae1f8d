// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/twostage/twostage/internal/config"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/secure/securetest"
	"github.com/twostage/twostage/internal/vfs"
)

// nodeText is the labels of the broker.
const nodeText = `cluster="DefaultCluster",node_id="host",node_type="broker",`

// anybody is a client's configuration that verifies nothing.
func anybody(string) (*tls.Config, error) { return &tls.Config{InsecureSkipVerify: true}, nil }

// https is get over TLS.
func https(t *testing.T, addr, path string) (status int, text string) {
	t.Helper()
	tr := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	res, err := (&http.Client{Transport: tr, Timeout: patience}).Get("https://" + addr + path)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// Nothing needs to be configured for clients that speak TLS and verify nobody, as
// RocketMQ's do by default.
func TestEveryPortSpeaksTLSByDefault(t *testing.T) {
	r := start(t, load(t, config.RoleAll, "metricsExporterType=PROM", "metricsPromExporterPort=0", "metricsPromExporterHost=127.0.0.1"), config.RoleAll, vfs.NewMem())
	_, exporter, _ := strings.Cut(r.log.String(), "metrics are served\" addr=")
	exporter = strings.Fields(exporter)[0]
	for _, secured := range []func(string) (*tls.Config, error){nil, anybody} {
		c := remoting.NewClient(remoting.ClientConfig{TLS: secured})
		for _, addr := range []string{r.fields["namesrv"], r.fields["broker"]} {
			_, err := rpc.ClusterInfo(t.Context(), c, addr)
			if _, answered := rpc.CodeOf(err); err != nil && !answered {
				t.Errorf("%s, with TLS %v: %v", addr, secured != nil, err)
			}
		}
		c.Close()
	}
	for _, addr := range []string{r.fields["http"], exporter} {
		if status, text := get(t, addr, "/metrics"); status != 200 || !strings.Contains(text, "\nrocketmq_") {
			t.Errorf("%s: %d %.300q", addr, status, text)
		}
		if status, text := https(t, addr, "/metrics"); status != 200 || !strings.Contains(text, "\nrocketmq_") {
			t.Errorf("%s over TLS: %d %.300q", addr, status, text)
		}
	}
	_, text := get(t, r.fields["http"], "/metrics")
	for _, line := range []string{
		`twostage_tls_connections_total{` + nodeText + `server="broker"} 1`, `twostage_tls_connections_total{` + nodeText + `server="namesrv"} 1`,
		`twostage_tls_connections_total{` + nodeText + `server="http"} 2`, `twostage_connections{` + nodeText + `server="namesrv"} 1`,
	} {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("no %s in:\n%s", line, text)
		}
	}
}

// Where TLS is enforced, plaintext is refused and counted on each port; the broker
// finds its name server all the same.
func TestEnforcingTLS(t *testing.T) {
	files := securetest.NewCA(t, "ca").Files(t, t.TempDir(), "server", "127.0.0.1")
	var flags []string
	for _, kv := range []string{"tls.server.mode=enforcing", "tls.server.certPath=" + files.Cert, "tls.server.keyPath=" + files.Key} {
		flags = append(flags, kv, "namesrv."+kv)
	}
	flags = append(flags, "tls.enable=true", "tls.client.authServer=true", "tls.client.trustCertPath="+files.Trust)
	r := start(t, load(t, config.RoleAll, flags...), config.RoleAll, vfs.NewMem())
	if status, text := https(t, r.fields["http"], "/readyz"); status != 200 {
		t.Errorf("/readyz: %d %s", status, text)
	}
	c := remoting.NewClient(remoting.ClientConfig{})
	defer c.Close()
	for _, addr := range []string{r.fields["namesrv"], r.fields["broker"]} {
		if _, err := rpc.ClusterInfo(t.Context(), c, addr); err == nil {
			t.Errorf("%s answers in plaintext", addr)
		}
	}
	if res, err := http.Get("http://" + r.fields["http"] + "/healthz"); err == nil {
		res.Body.Close()
		t.Error("HTTP in plaintext")
	}
	_, text := https(t, r.fields["http"], "/metrics")
	for _, server := range []string{"broker", "namesrv", "http"} {
		found := false
		for line := range strings.Lines(text) {
			found = found || strings.HasPrefix(line, `twostage_refused_connections_total{because="plaintext",`+nodeText+`server="`+server+`"} `) && !strings.HasSuffix(line, " 0\n")
		}
		if !found {
			t.Errorf("%s counts no refusal:\n%s", server, text)
		}
	}
	for line := range strings.Lines(text) { // a refusal stands in one metric
		if strings.HasPrefix(line, "twostage_connections_closed_total") && !strings.Contains(line, `reason="idle"`) && !strings.Contains(line, `reason="slow_peer"`) {
			t.Error(line)
		}
	}
}

// All ports of a server show the certificate that it has made once.
func TestPortsOfAServerShareItsCertificate(t *testing.T) {
	r := start(t, load(t, config.RoleAll), config.RoleAll, vfs.NewMem())
	shown := func(addr string) *x509.Certificate {
		t.Helper()
		c, err := (&tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}).DialContext(t.Context(), "tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.(*tls.Conn).ConnectionState().PeerCertificates[0]
	}
	broker := shown(r.fields["broker"])
	if !broker.Equal(shown(r.fields["http"])) {
		t.Error("HTTP has another certificate than the broker")
	}
	if broker.Equal(shown(r.fields["namesrv"])) {
		t.Error("the name server has the broker's")
	}
}

// A certificate that is required protects nothing where plaintext is let in: that is said.
func TestRequiredCertificatesBesidePlaintext(t *testing.T) {
	for mode, warnings := range map[string]int{"permissive": 1, "enforcing": 0, "disabled": 0} {
		r := start(t, load(t, config.RoleNamesrv, "namesrv.tls.server.need.client.auth=require", "namesrv.tls.server.mode="+mode), config.RoleNamesrv, vfs.NewMem())
		n := 0
		for line := range strings.Lines(r.log.String()) {
			if strings.Contains(line, "level=WARN") && strings.Contains(line, "set tls.server.mode=enforcing") && strings.Contains(line, "server=namesrv") {
				n++
			}
		}
		if n != warnings {
			t.Errorf("%s: %d warnings, want %d", mode, n, warnings)
		}
	}
}

func TestTLSFilesThatCannotBeUsed(t *testing.T) {
	err := fails(t, load(t, config.RoleAll, "tls.server.certPath=/none/cert.pem", "tls.server.keyPath=/none/key.pem"), config.RoleAll)
	if !strings.Contains(err.Error(), "/none/cert.pem") || !strings.Contains(err.Error(), "tls.server") {
		t.Error(err)
	}
	err = fails(t, load(t, config.RoleAll, "tls.enable=true", "tls.client.authServer=true", "tls.client.trustCertPath=/none/ca.pem"), config.RoleAll)
	if !strings.Contains(err.Error(), "/none/ca.pem") || !strings.Contains(err.Error(), "tls.client") {
		t.Error(err)
	}
}

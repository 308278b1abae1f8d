// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"maps"
	"strings"
	"testing"
)

// Where spans go: URLs get OTLP's path unless they have one, headers their
// escapes undone.
func TestCollector(t *testing.T) {
	for text, want := range map[string]string{
		"http://collector:4318":          "http://collector:4318/v1/traces",
		"http://collector:4318/":         "http://collector:4318/v1/traces",
		"https://[::1]:4318/tenant/a/v1": "https://[::1]:4318/tenant/a/v1",
	} {
		if have := mustLoad(t, brokerFile("otlpTracesEndpoint="+text)).Broker.Trace.Endpoint; have != want {
			t.Errorf("%s becomes %s", text, have)
		}
	}
	have := mustLoad(t, brokerFile("otlpTracesHeaders=Authorization=Bearer%20abc=, x-tenant = a ,")).Broker.Trace.Headers
	if want := map[string]string{"Authorization": "Bearer abc=", "x-tenant": "a"}; !maps.Equal(have, want) {
		t.Errorf("headers %q", have)
	}
}

// Headers carry credentials: no error and no listing shows them.
func TestCollectorHeadersAreSecret(t *testing.T) {
	for _, bad := range []string{"top-secret-1", "=top-secret-1", "a b=top-secret-1", "a=top-secret-1%0d", "a=top-secret-1%zz"} {
		if _, err := Load(brokerFile("otlpTracesHeaders=" + bad)); err == nil || strings.Contains(err.Error(), "top-secret-1") || !strings.Contains(err.Error(), "NAME=VALUE") {
			t.Errorf("%s: %v", bad, err)
		}
	}
	c := mustLoad(t, brokerFile("otlpTracesHeaders=Authorization=top-secret-1"))
	if text := string(c.BrokerValues.AppendProperties(nil)); strings.Contains(text, "top-secret-1") || !strings.Contains(text, "otlpTracesHeaders=******") {
		t.Error("the listing tells the headers")
	}
}

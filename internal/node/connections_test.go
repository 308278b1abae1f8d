// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"os"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// The metrics of connections are in the operators' documentation.
func TestConnectionMetricsAreDocumented(t *testing.T) {
	docs, err := os.ReadFile("../../docs/tls.md")
	if err != nil {
		t.Fatal(err)
	}
	ch := make(chan *prometheus.Desc, 16)
	(&connections{}).Describe(ch)
	close(ch)
	n := 0
	for d := range ch {
		_, name, _ := strings.Cut(d.String(), `fqName: "`)
		name, _, _ = strings.Cut(name, `"`)
		if n++; name == "" || !strings.Contains(string(docs), "`"+name+"`") {
			t.Errorf("docs/tls.md does not name %q", name)
		}
	}
	if n != 4 {
		t.Errorf("%d metrics", n)
	}
}

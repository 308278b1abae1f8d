// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
)

// raw gives a client that sends frames of our own, for what the official one has
// no call for.
func raw(t *testing.T) *remoting.Client {
	t.Helper()
	r := remoting.NewClient(remoting.ClientConfig{Language: wire.LanguageJava, Version: wire.Version})
	t.Cleanup(func() { _ = r.Close() })
	return r
}

// within gives the context of one call.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// ask sends a request with a header and gives the answer, which must be a success.
func (c *cluster) ask(t *testing.T, r *remoting.Client, code int32, h wire.Header) *wire.Command {
	t.Helper()
	answer, err := r.Invoke(within(t, patient), c.Broker, &wire.Request{Code: code, Header: h})
	if err != nil {
		t.Fatalf("%s: %v", wire.CodeName(code), err)
	}
	if answer.Code != wire.Success {
		t.Fatalf("%s is answered %s: %s", wire.CodeName(code), wire.ResponseName(answer.Code), answer.Remark)
	}
	return answer
}

func containsAll(s string, parts ...string) bool {
	return !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(s, p) })
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/twostage/twostage/internal/auth"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/message"
)

// TestEveryRequestIsSigned: what a producer sends to name server and broker.
func TestEveryRequestIsSigned(t *testing.T) {
	var mu sync.Mutex
	verified := map[int32]bool{}
	key := auth.NewKey("top-secret")
	answer := func(r *remoting.Request) {
		var fields []auth.Field
		for _, f := range r.Ext {
			fields = append(fields, auth.Field{Name: f.Key, Value: f.Value})
		}
		sig, _ := r.Ext.Get(auth.FieldSignature)
		mu.Lock()
		before, seen := verified[r.Code]
		verified[r.Code] = key.Verify(fields, r.Body, sig) && (before || !seen)
		mu.Unlock()
		r.Reply(&wire.Response{Code: wire.SystemError, Remark: "no"})
	}
	w := newWorld(t)
	w.stopNames()
	w.serve("127.0.0.1:9877", answer)
	k := Credentials{AccessKey: "someone", SecretKey: "top-secret", SecurityToken: "token"}
	p, err := NewProducer("g", WithNameServers("127.0.0.1:9877"), WithDialer(w.net.Dial), WithCredentials(k))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if _, err := p.Send(t.Context(), &message.Message{Topic: "t", Body: []byte("b")}); err == nil || strings.Contains(err.Error(), "top-secret") {
		t.Errorf("sent: %v", err)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(verified) == 0 {
		t.Error("nothing was asked")
	}
	for code, ok := range verified {
		if !ok {
			t.Errorf("request %d was not signed, or not rightly", code)
		}
	}
}

func TestCredentialsAreWholeAndPrintNoSecret(t *testing.T) {
	k := Credentials{AccessKey: "someone"}
	if _, err := NewProducer("g", WithNameServers(nameServer), WithCredentials(k)); err == nil {
		t.Error("credentials without a secret were taken")
	}
	k.SecretKey = "top-secret"
	var out strings.Builder
	fmt.Fprintf(&out, "%v %+v %#v", k, WithCredentials(k), &k)
	if err := json.NewEncoder(&out).Encode(map[string]any{"of": k, "at": &k}); err != nil {
		t.Error(err)
	}
	for _, h := range []slog.Handler{slog.NewJSONHandler(&out, nil), slog.NewTextHandler(&out, nil)} {
		slog.New(h).Info("connecting", "with", k, "in", struct{ Login Credentials }{k})
	}
	if s := out.String(); strings.Contains(s, "top-secret") || strings.Count(s, "someone") < 8 {
		t.Error(s)
	}
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package remoting

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/auth"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
)

// TestWhatGoesOutIsSigned: answered or not, in either encoding, with a typed header and
// with fields of its own, and what the server sees verifies.
func TestWhatGoesOutIsSigned(t *testing.T) {
	network, key := NewMemNetwork(), auth.NewKey("top-secret")
	seen := make(chan string, 10)
	s := NewServer(ServerConfig{Addr: "127.0.0.1:1", Listen: network.Listen, Routes: func(int32) (Route, bool) {
		return Route{
			Admit: func(r *Request) bool {
				var fields []auth.Field
				for _, f := range r.Ext {
					fields = append(fields, auth.Field{Name: f.Key, Value: f.Value})
				}
				sig, _ := r.Ext.Get(auth.FieldSignature)
				name, _ := r.Ext.Get(auth.FieldAccessKey)
				own, _ := r.Ext.Get("own")
				seen <- fmt.Sprint(string(name), " ", string(own), " ", key.Verify(fields, r.Body, sig))
				return true
			},
			Handler: func(r *Request) { r.Reply(&wire.Response{}) },
		}, true
	}})
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	defer func() { cancel(); <-done }()
	c := NewClient(ClientConfig{Dial: network.Dial, Sign: Signer(auth.Credentials{AccessKey: "someone", SecretKey: "top-secret", SecurityToken: "t"})})
	defer c.Close()
	addr := s.Addr().String()
	for _, enc := range []wire.Encoding{wire.JSON, wire.Binary} {
		req := &wire.Request{Code: 17, Encoding: enc, Body: []byte("body"), Header: &header.DeleteTopicRequest{Topic: "t\"\\ü"},
			Fields: wire.Fields{{Key: []byte("own"), Value: []byte("field")}}}
		for _, send := range []func() error{
			func() error { _, err := c.Invoke(ctx, addr, req); return err },
			func() error { return c.OneWay(ctx, addr, req) },
			func() error {
				conn, err := c.Conn(ctx, addr)
				if err != nil {
					return err
				}
				return conn.Call(req, 10*time.Second, func(*wire.Command, error) {})
			},
		} {
			if err := send(); err != nil {
				t.Fatal(err)
			}
			if got := <-seen; got != "someone field true" {
				t.Errorf("%s: the server saw %s", enc, got)
			}
		}
		if len(req.Fields) != 1 {
			t.Errorf("the request was changed: %q", req.Fields)
		}
	}
	if Signer(auth.Credentials{}) != nil {
		t.Error("credentials of nobody sign")
	}
}

// TestAdmitRefusesBeforeALane has the request, and its panic is an answer.
func TestAdmitRefusesBeforeALane(t *testing.T) {
	network, lane := NewMemNetwork(), NewLane("lane", 1, 1)
	handled := make(chan int32, 10)
	s := NewServer(ServerConfig{Addr: "127.0.0.1:1", Listen: network.Listen, Routes: func(code int32) (Route, bool) {
		r := Route{Lane: lane, Handler: func(r *Request) { handled <- r.Code; r.Reply(&wire.Response{}) }}
		r.Admit = func(r *Request) bool {
			switch r.Code {
			case 1:
				r.Reply(&wire.Response{Code: wire.NoPermission, Remark: "no"})
				return false
			case 2:
				panic("a bug")
			}
			return true
		}
		return r, true
	}})
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	defer func() { cancel(); <-done }()
	c := NewClient(ClientConfig{Dial: network.Dial})
	defer c.Close()
	for code, want := range map[int32]int32{1: wire.NoPermission, 2: wire.SystemError, 3: wire.Success} {
		answer, err := c.Invoke(ctx, s.Addr().String(), &wire.Request{Code: code})
		if err != nil || answer.Code != want {
			t.Errorf("request %d: %+v %v", code, answer, err)
		}
	}
	if len(handled) != 1 || <-handled != 3 {
		t.Error("a handler saw a request that was not let in")
	}
}

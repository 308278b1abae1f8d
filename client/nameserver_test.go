// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"crypto/tls"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/message"
)

func TestNameServersOfTheEnvironment(t *testing.T) {
	w := newWorld(t)
	w.topic("T", 1, w.broker("a", 10001, nil))
	t.Setenv("NAMESRV_ADDR", "127.0.0.1:1; "+nameServer)
	p, err := NewProducer("g", WithDialer(w.net.Dial))
	if err != nil {
		t.Fatal(err)
	}
	closing(t, p)
	if _, err := p.Send(t.Context(), message.New("T", []byte("x"))); err != nil {
		t.Error(err)
	}
	t.Setenv("NAMESRV_ADDR", "nonsense")
	if _, err := NewProducer("g"); err == nil || !strings.Contains(err.Error(), "NAMESRV_ADDR") {
		t.Error(err)
	}
	if p, err := NewProducer("g", WithNameServers(nameServer)); err != nil {
		t.Errorf("the environment won over an option: %v", err)
	} else {
		closing(t, p)
	}
}

func TestNameServersOfAName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a := w.broker("a", 10001, nil)
		w.topic("T", 1, a)
		var resolver struct { // heartbeats ask it too
			sync.Mutex
			addrs  []string
			broken error
			asked  int
		}
		answer := func(err error, addrs ...string) {
			resolver.Lock()
			defer resolver.Unlock()
			resolver.addrs, resolver.broken = addrs, err
		}
		asked := func() int {
			resolver.Lock()
			defer resolver.Unlock()
			return resolver.asked
		}
		lookUp := Option{"test", anyClient, func(c *config) {
			c.lookUp = func(_ context.Context, host string) ([]string, error) {
				resolver.Lock()
				defer resolver.Unlock()
				resolver.asked++
				if host != "names.example" {
					t.Errorf("asked for %s", host)
				}
				return resolver.addrs, resolver.broken
			}
		}}
		p, err := NewProducer("g", WithNameServerDNS("names.example:9876"), WithDialer(w.net.Dial), lookUp)
		if err != nil {
			t.Fatal(err)
		}
		send := func(topic string) error {
			_, err := p.Send(t.Context(), message.New(topic, []byte("x")))
			return err
		}
		if err := send("T"); !errors.Is(err, ErrNameServer) {
			t.Errorf("without an address: %v", err)
		}
		answer(nil, "127.0.0.9")
		if err := send("T"); !errors.Is(err, ErrNameServer) || !strings.Contains(err.Error(), "127.0.0.9:9876") {
			t.Errorf("with an address of nobody: %v", err)
		}
		answer(nil, "127.0.0.9", "127.0.0.1") // looked up again, since none answered
		if err := send("T"); err != nil || asked() != 3 {
			t.Errorf("%v, %d look-ups", err, asked())
		}
		if err := send("U"); !errors.Is(err, ErrNoRoute) || asked() != 3 {
			t.Errorf("%v, %d look-ups", err, asked())
		}
		time.Sleep(resolveAge)
		synctest.Wait()
		answer(errors.New("no resolver"))
		if err := send("U"); !errors.Is(err, ErrNoRoute) || asked() < 4 {
			t.Errorf("with those known before: %v, %d look-ups", err, asked())
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		a.stop()
		w.stopNames()
	})
}

// Certificates of name servers are for the name that they were looked up by.
func TestTLSNamesOfServers(t *testing.T) {
	c := common{timeout: 1, nameDNS: "names.example:9876", tls: &tls.Config{MinVersion: tls.VersionTLS12}, lookUp: func(context.Context, string) ([]string, error) {
		return []string{"10.0.0.2", "10.0.0.1"}, nil
	}}
	if err := c.complete(); err != nil {
		t.Fatal(err)
	}
	if got, err := c.names.list(t.Context(), c.log); err != nil || !slices.Equal(got, []string{"10.0.0.1:9876", "10.0.0.2:9876"}) {
		t.Errorf("%v, %v", got, err)
	}
	for addr, want := range map[string]string{"10.0.0.1:9876": "names.example", "10.0.0.2:9876": "names.example", "10.0.0.1:10911": "10.0.0.1", "broker:10911": "broker"} {
		if got, err := c.secured()(addr); err != nil || got.ServerName != want {
			t.Errorf("%s: %v, %v", addr, got.ServerName, err)
		}
	}
	for _, bad := range []common{{timeout: 1, nameDNS: "host"}, {timeout: 1, nameDNS: ":1"}, {timeout: 1, nameDNS: "host:1", nameServers: []string{"a:1"}}} {
		if err := bad.complete(); err == nil {
			t.Errorf("%s and %v were taken", bad.nameDNS, bad.nameServers)
		}
	}
}

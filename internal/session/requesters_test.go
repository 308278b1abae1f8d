// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package session

import "testing"

func TestProducerByClientID(t *testing.T) {
	r := New(Config{})
	a, b := newConn(1), newConn(2)
	expect := func(id string, want Conn) {
		t.Helper()
		c, ok := r.Producer(id)
		if ok != (want != nil) || ok && (c.Conn != want || c.ID != id || c.Version != 409) {
			t.Errorf("%s: %+v %v, want %v", id, c, ok, want)
		}
	}
	r.RegisterConsumer(client("c", a), "g", passive, nil)
	expect("c", nil) // a consumer only
	r.RegisterProducer(client("c", a), "p")
	r.RegisterProducer(client("c", a), "p") // a heartbeat
	r.RegisterProducer(client("c", a), "q")
	expect("c", a)

	// It comes again before its old connection is known to be gone.
	r.RegisterProducer(client("c", b), "p")
	expect("c", b)
	close(b.closed)
	expect("c", a)
	r.ConnClosed(b)
	expect("c", a)

	// It has another id now.
	r.RegisterProducer(client("d", a), "p")
	expect("c", a) // still that of group q
	expect("d", a)
	r.Unregister(a, "c", "q", "")
	expect("c", nil)
	expect("d", a)
	r.ConnClosed(a)
	expect("d", nil)
	if len(r.requests) != 0 {
		t.Errorf("left: %v", r.requests)
	}
}

// TestAClientIDIsItsFirstAccounts as long as that has a connection.
func TestAClientIDIsItsFirstAccounts(t *testing.T) {
	r := New(Config{})
	as := func(key string, c Conn) Client {
		k := client("c", c)
		k.AccessKey = key
		return k
	}
	a, b, stranger := newConn(1), newConn(2), newConn(3)
	expect := func(want Conn) {
		t.Helper()
		if c, ok := r.Producer("c"); !ok || c.Conn != want {
			t.Errorf("%+v %v, want %v", c, ok, want)
		}
	}
	r.RegisterProducer(as("owner", a), "p")
	r.RegisterProducer(as("stranger", stranger), "q")
	expect(a)
	r.RegisterProducer(as("owner", b), "p")
	expect(b)
	close(a.closed)
	r.ConnClosed(a)
	r.RegisterProducer(as("owner", b), "p")
	expect(stranger) // which was there before b
	r.RegisterProducer(as("stranger", newConn(4)), "q")
	r.RegisterProducer(as("owner", stranger), "q") // it has another account now, that of b
	expect(stranger)
	if c, ok := r.PickProducer("q", func(c *Client) bool { return c.AccessKey == "nobody" }); ok || c != nil {
		t.Errorf("picked %v", c)
	}
	if c, ok := r.PickProducer("q", func(c *Client) bool { return c.AccessKey == "owner" }); !ok || c != stranger {
		t.Errorf("picked %v", c)
	}
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package access

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"regexp"
	"strings"
	"testing"

	"github.com/twostage/twostage/internal/auth"
	"github.com/twostage/twostage/internal/config"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
)

// farListener gives connections a peer on another machine.
type farListener struct{ net.Listener }

type farConn struct{ net.Conn }

func (l farListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return farConn{c}, nil
}

func (farConn) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(10, 0, 0, 9), Port: 4711} }

// TestProtectedRequestsOfOtherMachines are refused, counted and logged, in a lane or
// not, one way or not; the others pass.
func TestProtectedRequestsOfOtherMachines(t *testing.T) {
	log := &syncBuffer{}
	serve := func(c config.Access) (*Guard, func(code int32) (int32, string)) {
		g := New(Options{Config: c, Cluster: "c", Logger: slogTo(log)})
		network, lane := remoting.NewMemNetwork(), remoting.NewLane("admin", 1, 10)
		s := remoting.NewServer(remoting.ServerConfig{
			Addr: "10.0.0.1:10911",
			Listen: func(addr string) (net.Listener, error) {
				l, err := network.Listen(addr)
				return farListener{l}, err
			},
			Routes: func(code int32) (remoting.Route, bool) {
				r := remoting.Route{Handler: func(r *remoting.Request) { r.Reply(&wire.Response{}) }}
				if code == wire.ReqDeleteTopicInBroker {
					r.Lane = lane
				}
				if code == wire.ReqTxDecide {
					r = remoting.Route{Lane: lane, Together: func(all []*remoting.Request) {
						for _, r := range all {
							r.Reply(&wire.Response{})
						}
					}}
				}
				return g.Protect(code, r), true
			},
		})
		if err := s.Listen(); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		client := remoting.NewClient(remoting.ClientConfig{Dial: network.Dial})
		t.Cleanup(func() { client.Close(); cancel(); <-done })
		return g, func(code int32) (int32, string) {
			t.Helper()
			answer, err := client.Invoke(t.Context(), s.Addr().String(), &wire.Request{Code: code})
			if err != nil {
				t.Fatal(err)
			}
			return answer.Code, string(answer.Remark)
		}
	}
	g, send := serve(config.Access{})
	for _, code := range []int32{wire.ReqUpdateBrokerConfig, wire.ReqDeleteTopicInBroker, wire.ReqTxDecide, 4711} {
		if got, remark := send(code); got != wire.NoPermission || !strings.Contains(remark, "--insecure-admin") {
			t.Errorf("request %d: %d %s", code, got, remark)
		}
	}
	if got, remark := send(wire.ReqGetBrokerConfig); got != wire.Success {
		t.Errorf("an open request: %d %s", got, remark)
	}
	if n := g.Refused()[auth.BecauseRemote]; n != 4 || strings.Count(log.String(), auth.BecauseRemote) != 1 {
		t.Errorf("%d were counted, log:\n%s", n, log)
	}
	if !regexp.MustCompile(` request=\d+-\d+-\d+ code=\d+ name=\w+ `).MatchString(log.String()) {
		t.Errorf("the log does not name the request:\n%s", log)
	}
	_, send = serve(config.Access{InsecureAdmin: true})
	if got, remark := send(wire.ReqUpdateBrokerConfig); got != wire.Success {
		t.Errorf("with insecureAdmin: %d %s", got, remark)
	}
}

// signedSend is a signed send and what it needs.
func signedSend(tb testing.TB, g *Guard) (*remoting.Request, *need) {
	tb.Helper()
	fields := []text{{"a", "group"}, {"b", "orders"}, {"c", "TBW102"}, {"d", "4"}, {"e", "0"}, {"f", "0"}, {"g", "1700000000000"}, {"h", "0"}, {"i", "UNIQ_KEY\x01C0A80001"}, {"j", "0"}, {"AccessKey", "producer"}}
	cmd := &wire.Command{Code: wire.ReqSendMessageV2, Version: wire.Version, Body: make([]byte, 256)}
	var signed []auth.Field
	for _, f := range fields {
		cmd.Ext = append(cmd.Ext, wire.Field{Key: []byte(f.name), Value: []byte(f.value)})
		signed = append(signed, auth.Field{Name: []byte(f.name), Value: []byte(f.value)})
	}
	cmd.Ext = append(cmd.Ext, wire.Field{Key: []byte("Signature"), Value: []byte(auth.NewKey(producer.SecretKey).Sign(signed, cmd.Body))})
	n := needOf(cmd.Code)
	return &remoting.Request{Command: cmd, Conn: &remoting.Conn{}}, &n
}

func plainGuard(tb testing.TB) *Guard {
	tb.Helper()
	g := New(Options{Config: config.Access{Plain: true, PlainFile: "/conf/plain_acl.yml"}, Cluster: "c"})
	if err := g.usePlain(map[string]string{"/conf/plain_acl.yml": plainFile}); err != nil {
		tb.Fatal(err)
	}
	return g
}

// TestASignedSendAllocatesNothing in the guard.
func TestASignedSendAllocatesNothing(t *testing.T) {
	g := plainGuard(t)
	r, n := signedSend(t, g)
	if got := testing.AllocsPerRun(200, func() {
		if !g.admit(r, n) {
			t.Fatal("refused")
		}
	}); got > 0.5 && !raceEnabled { // a collection may empty the pools, and the race detector does
		t.Errorf("%v allocations", got)
	}
}

// BenchmarkAdmit is what access control costs a send of 256 bytes.
func BenchmarkAdmit(b *testing.B) {
	g := plainGuard(b)
	r, n := signedSend(b, g)
	b.ReportAllocs()
	for b.Loop() {
		if !g.admit(r, n) {
			b.Fatal("refused")
		}
	}
}

func FuzzRecords(f *testing.F) {
	f.Add([]byte(`{"users":[{"username":"a","password":"p","userType":"super"}],"acls":[{"subject":"user:a","policies":[{"entries":[{"resource":"*","actions":["all"],"decision":"deny"}]}]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		k, err := parseRecords(data)
		if err != nil {
			return
		}
		if _, err := k.compile(config.Secret{}); err != nil {
			t.Fatalf("read, but not usable: %v", err)
		}
		again, err := json.Marshal(&k)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parseRecords(again); err != nil {
			t.Fatalf("written as %s, it is not read: %v", again, err)
		}
	})
}

// FuzzNeeds has each request say what it asks for, whatever its fields and body are, and
// holds what each list of asks must be like, and that an account which may do nothing
// gets no further with it than reading figures.
func FuzzNeeds(f *testing.F) {
	f.Add("topic", []byte("t"), "consumerGroup", []byte("g"), []byte(`{"clientID":"c","consumerDataSet":[{"groupName":"g","subscriptionDataSet":[{"topic":"t"}]}]}`))
	f.Add("b", []byte("%RETRY%g"), "", []byte(""), []byte(`{"acks":[{"t":"t","c":"g"}]}`))
	f.Add("topic", []byte("%RETRY%g+t"), "consumerGroup", []byte("g"), []byte(nil))
	f.Add("topic", []byte("%RETRY%"), "group", []byte("%RETRY%"), []byte(nil))
	file := auth.PlainFile{Accounts: []auth.Account{{AccessKey: "stranger", SecretKey: "top-secret-4"}, {AccessKey: "administrator", SecretKey: "top-secret-2", Admin: true}}}
	p, err := file.Compile()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, name string, value []byte, second string, other, data []byte) {
		ext := wire.Fields{{Key: []byte(name), Value: bytes.Clone(value)}, {Key: []byte(second), Value: bytes.Clone(other)}}
		r := &remoting.Request{Command: &wire.Command{Ext: ext, Body: bytes.Clone(data)}}
		for code, n := range needs {
			r.Code = code
			var a asks
			if n.ask(r, &a) != nil {
				continue
			}
			reads := true
			for _, ask := range a.list {
				if ask.Actions == 0 || ask.Kind != auth.Cluster && ask.Kind != auth.Topic && ask.Kind != auth.Group {
					t.Fatalf("%d asks for %v of %v %q", code, ask.Actions.Names(), ask.Kind, ask.Name)
				}
				reads = reads && ask.Actions&^(auth.Get|auth.List) == 0
			}
			if n.protected && len(a.list) == 0 {
				t.Fatalf("%d is protected and asks for nothing", code)
			}
			if err := p.Subjects["stranger"].Decide(a.list, loopback); (err == nil) != reads {
				t.Fatalf("%d of an account without permissions: %v; it asks for %v", code, err, a.list)
			}
			if err := p.Subjects["administrator"].Decide(a.list, loopback); err != nil {
				t.Fatalf("%d of an admin: %v", code, err)
			}
		}
		if !bytes.Equal(ext[0].Value, value) || !bytes.Equal(ext[1].Value, other) || !bytes.Equal(r.Body, data) {
			t.Fatal("the request was changed")
		}
	})
}

// TestASignedPullAllocatesNothing in the guard, however long the topic is.
func TestASignedPullAllocatesNothing(t *testing.T) {
	name := strings.Repeat("t", 100)
	g := New(Options{Config: config.Access{Plain: true, PlainFile: "/conf/plain_acl.yml"}, Cluster: "c"})
	if err := g.usePlain(map[string]string{"/conf/plain_acl.yml": strings.Replace(plainFile, "seen=SUB", name+"=SUB", 1)}); err != nil {
		t.Fatal(err)
	}
	fields := []text{{"AccessKey", "producer"}, {"consumerGroup", "readers"}, {"topic", name}}
	cmd := &wire.Command{Code: wire.ReqPullMessage, Version: wire.Version}
	var signed []auth.Field
	for _, f := range fields {
		cmd.Ext = append(cmd.Ext, wire.Field{Key: []byte(f.name), Value: []byte(f.value)})
		signed = append(signed, auth.Field{Name: []byte(f.name), Value: []byte(f.value)})
	}
	cmd.Ext = append(cmd.Ext, wire.Field{Key: []byte("Signature"), Value: []byte(auth.NewKey(producer.SecretKey).Sign(signed, nil))})
	n := needOf(cmd.Code)
	r := &remoting.Request{Command: cmd, Conn: &remoting.Conn{}}
	if got := testing.AllocsPerRun(200, func() {
		if !g.admit(r, &n) {
			t.Fatal("refused")
		}
	}); got > 0.5 && !raceEnabled {
		t.Errorf("%v allocations", got)
	}
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package access

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/auth"
	"github.com/twostage/twostage/internal/config"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
)

// text is a field of a request.
type text struct{ name, value string }

// world is a server behind a guard, which answers all that is let in with success.
type world struct {
	t     *testing.T
	guard *Guard
	fs    vfs.FS
	net   *remoting.MemNetwork
	addr  string
	log   *syncBuffer
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func slogTo(b *syncBuffer) *slog.Logger {
	return slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func newWorld(t *testing.T, fs vfs.FS, c config.Access) *world {
	t.Helper()
	w := &world{t: t, fs: fs, net: remoting.NewMemNetwork(), log: &syncBuffer{}}
	w.guard = New(Options{Config: c, Cluster: "c", FS: fs, Logger: slogTo(w.log)})
	if err := w.guard.Open(); err != nil {
		t.Fatal(err)
	}
	lane := remoting.NewLane("access", 1, 100)
	handlers := w.guard.Handlers(Identity{Cluster: "c", Broker: "b", Addr: func() string { return "addr" }})
	s := remoting.NewServer(remoting.ServerConfig{
		Addr: "10.0.0.1:10911", Listen: w.net.Listen,
		Routes: func(code int32) (remoting.Route, bool) {
			if h := handlers[code]; h != nil {
				return w.guard.Protect(code, remoting.Route{Handler: h, Lane: lane}), true
			}
			return w.guard.Protect(code, remoting.Route{Handler: w.serve}), true
		},
	})
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	w.addr = s.Addr().String()
	return w
}

// Fields of VIEW_MESSAGE_BY_ID in place of a log: of what topic the record is.
const recordTopic, recordRealTopic = "recordTopic", "recordRealTopic"

// serve answers with who has sent the request.
func (w *world) serve(r *remoting.Request) {
	topic, _ := r.Ext.Get(recordTopic)
	realTopic, _ := r.Ext.Get(recordRealTopic)
	if r.Code != wire.ReqViewMessageByID || w.guard.MayRead(r, topic, realTopic) {
		r.Reply(&wire.Response{Body: []byte(w.guard.Sender(r))})
	}
}

// send sends a request signed with the credentials and gives code and remark.
func (w *world) send(as auth.Credentials, code int32, data []byte, fields ...text) (int32, string) {
	answer := w.ask(as, code, data, fields...)
	return answer.Code, string(answer.Remark)
}

func (w *world) ask(as auth.Credentials, code int32, data []byte, fields ...text) *wire.Command {
	w.t.Helper()
	c := remoting.NewClient(remoting.ClientConfig{Dial: w.net.Dial, Sign: remoting.Signer(as)})
	defer c.Close()
	req := &wire.Request{Code: code, Body: data}
	for _, f := range fields {
		req.Fields = append(req.Fields, wire.Field{Key: []byte(f.name), Value: []byte(f.value)})
	}
	ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
	defer cancel()
	answer, err := c.Invoke(ctx, w.addr, req)
	if err != nil {
		w.t.Fatal(err)
	}
	return answer
}

// may wants a request let in.
func (w *world) may(as auth.Credentials, code int32, data []byte, fields ...text) {
	w.t.Helper()
	if got, remark := w.send(as, code, data, fields...); got != wire.Success {
		w.t.Errorf("%s of %s: %d %s", wire.CodeName(code), as, got, remark)
	}
}

// mayNot wants it refused with the code and a remark that holds why.
func (w *world) mayNot(as auth.Credentials, want int32, why string, code int32, data []byte, fields ...text) {
	w.t.Helper()
	if got, remark := w.send(as, code, data, fields...); got != want || !strings.Contains(remark, why) {
		w.t.Errorf("%s of %s: %d %s; want %d %s", wire.CodeName(code), as, got, remark, want, why)
	}
}

const plainFile = `
accounts:
- accessKey: producer
  secretKey: top-secret-1
  topicPerms: [orders=PUB, seen=SUB]
  groupPerms: [readers=SUB]
- accessKey: administrator
  secretKey: top-secret-2
  admin: true
- accessKey: trusted
  secretKey: top-secret-3
  whiteRemoteAddress: 127.0.0.*
`

var (
	nobody   = auth.Credentials{}
	producer = auth.Credentials{AccessKey: "producer", SecretKey: "top-secret-1"}
	admin    = auth.Credentials{AccessKey: "administrator", SecretKey: "top-secret-2"}
)

func plainWorld(t *testing.T, file string) *world {
	fs := vfs.NewMem()
	if err := vfs.MkdirAllSync(fs, "/conf"); err != nil {
		t.Fatal(err)
	}
	write(t, fs, file)
	return newWorld(t, fs, config.Access{Plain: true, PlainFile: "/conf/plain_acl.yml"})
}

func write(t *testing.T, fs vfs.FS, file string) {
	t.Helper()
	if err := vfs.WriteFile(fs, "/conf/plain_acl.yml", []byte(file)); err != nil {
		t.Fatal(err)
	}
}

func heartbeatBody(t *testing.T, group, topic string) []byte {
	t.Helper()
	return body.Marshal(&body.HeartbeatData{ClientID: "c", ConsumerDataSet: []body.ConsumerData{{
		GroupName: group, SubscriptionDataSet: []body.SubscriptionData{{Topic: topic}, {Topic: retryPrefix + group}},
	}}})
}

func TestPlainAccounts(t *testing.T) {
	w := plainWorld(t, plainFile)
	w.may(producer, wire.ReqSendMessageV2, []byte("body"), text{"b", "orders"})
	w.mayNot(producer, wire.SystemError, "no permission to access Topic:seen", wire.ReqSendMessageV2, nil, text{"b", "seen"})
	w.mayNot(producer, wire.SystemError, "no permission to access Topic:other", wire.ReqSendMessage, nil, text{"topic", "other"})
	w.mayNot(producer, wire.SystemError, `no field "b"`, wire.ReqSendMessageV2, nil, text{"topic", "orders"})
	w.may(producer, wire.ReqPullMessage, nil, text{"topic", "seen"}, text{"consumerGroup", "readers"})
	w.may(producer, wire.ReqPullMessage, nil, text{"topic", "%RETRY%readers"}, text{"consumerGroup", "readers"})
	w.mayNot(producer, wire.SystemError, "Group:others", wire.ReqPullMessage, nil, text{"topic", "%RETRY%others"}, text{"consumerGroup", "readers"})
	w.mayNot(producer, wire.SystemError, "Group:others", wire.ReqPullMessage, nil, text{"topic", "seen"}, text{"consumerGroup", "others"})
	w.may(producer, wire.ReqHeartBeat, heartbeatBody(t, "readers", "seen"))
	w.mayNot(producer, wire.SystemError, "Topic:hidden", wire.ReqHeartBeat, heartbeatBody(t, "readers", "hidden"))
	w.mayNot(producer, wire.SystemError, "HEART_BEAT", wire.ReqHeartBeat, []byte("{"))
	w.may(producer, wire.ReqGetBrokerRuntimeInfo, nil)
	w.mayNot(producer, wire.SystemError, "admin: true", wire.ReqUpdateAndCreateTopic, nil, text{"topic", "orders"})
	w.mayNot(producer, wire.SystemError, "admin: true", wire.ReqRegisterBroker, nil)
	w.mayNot(producer, wire.SystemError, "admin: true", 4711, nil)
	w.may(admin, wire.ReqUpdateAndCreateTopic, nil, text{"topic", "orders"})
	w.may(admin, wire.ReqRegisterBroker, nil)
	w.may(admin, 4711, nil)
	w.may(auth.Credentials{AccessKey: "trusted", SecretKey: "not it"}, wire.ReqUpdateBrokerConfig, nil)
}

// TestWhoIsNotWhoItSays: each is refused, counted, and logged once in a while.
func TestWhoIsNotWhoItSays(t *testing.T) {
	w := plainWorld(t, plainFile)
	w.mayNot(nobody, wire.SystemError, "No accessKey is configured", wire.ReqSendMessageV2, nil, text{"b", "orders"})
	w.mayNot(auth.Credentials{AccessKey: "stranger", SecretKey: "x"}, wire.SystemError, "No acl config for stranger", wire.ReqSendMessageV2, nil, text{"b", "orders"})
	wrong := auth.Credentials{AccessKey: "producer", SecretKey: "top-secret-2"}
	for range 3 {
		w.mayNot(wrong, wire.SystemError, "Check signature failed for accessKey=producer", wire.ReqSendMessageV2, nil, text{"b", "orders"})
	}
	// A field, and the body, that were changed on the way.
	key := auth.NewKey(producer.SecretKey)
	sig := key.Sign([]auth.Field{{Name: []byte("AccessKey"), Value: []byte("producer")}, {Name: []byte("b"), Value: []byte("seen")}}, []byte("body"))
	w.mayNot(nobody, wire.SystemError, "Check signature failed", wire.ReqSendMessageV2, []byte("body"), text{"b", "orders"}, text{"AccessKey", "producer"}, text{"Signature", sig})
	w.mayNot(nobody, wire.SystemError, "Check signature failed", wire.ReqSendMessageV2, []byte("b0dy"), text{"b", "seen"}, text{"AccessKey", "producer"}, text{"Signature", sig})
	w.mayNot(producer, wire.SystemError, "no permission", wire.ReqSendMessageV2, nil, text{"b", "hidden"})
	got := w.guard.Refused()
	for reason, want := range map[string]int64{auth.BecauseAnonymous: 1, auth.BecauseUnknown: 1, auth.BecauseSignature: 5, auth.BecausePermission: 1} {
		if got[reason] != want {
			t.Errorf("%s: %d, want %d", reason, got[reason], want)
		}
	}
	log := w.log.String()
	if n := strings.Count(log, auth.BecauseSignature); n != 1 {
		t.Errorf("%d lines about signatures, want one in %v:\n%s", n, logEvery, log)
	}
	if strings.Contains(log, "top-secret") || strings.Contains(log, sig) {
		t.Errorf("a secret is in the log:\n%s", log)
	}
}

func TestWithoutAccessControlNothingIsAsked(t *testing.T) {
	g := New(Options{})
	for code := range needs {
		guarded := g.Protect(code, remoting.Route{}).Admit != nil
		if guarded != Protected(code) {
			t.Errorf("request %d (%s): guarded %v, protected %v", code, wire.CodeName(code), guarded, Protected(code))
		}
	}
	if g.Protect(4711, remoting.Route{}).Admit == nil {
		t.Error("a code without a row is open")
	}
	open := New(Options{Config: config.Access{InsecureAdmin: true}})
	if open.Protect(wire.ReqUpdateBrokerConfig, remoting.Route{}).Admit != nil {
		t.Error("insecureAdmin asks nevertheless")
	}
	for g, mode := range map[*Guard]string{g: "loopback", open: "open", New(Options{Config: config.Access{Plain: true, InsecureAdmin: true}}): "acl"} {
		if g.Mode() != mode {
			t.Errorf("%s, want %s", g.Mode(), mode)
		}
	}
}

// user sends a request about a user.
func (w *world) user(as auth.Credentials, code int32, u auth.User) (int32, string) {
	w.t.Helper()
	data, err := json.Marshal(u)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.send(as, code, data, text{"username", u.Username})
}

func TestUsersAndPolicies(t *testing.T) {
	fs := vfs.NewMem()
	c := config.Access{Authentication: true, Authorization: true, Dir: "/auth", InitUser: config.NewSecret("root", "top-secret-0"), Inner: config.NewSecret("inner", "top-secret-9")}
	w := newWorld(t, fs, c)
	root, alice := auth.Credentials{AccessKey: "root", SecretKey: "top-secret-0"}, auth.Credentials{AccessKey: "alice", SecretKey: "top-secret-5"}
	must := func(what string, code int32, remark string) {
		t.Helper()
		if code != wire.Success {
			t.Fatalf("%s: %d %s", what, code, remark)
		}
	}
	w.mayNot(nobody, wire.NoPermission, "username cannot be null", wire.ReqSendMessageV2, nil, text{"b", "t"})
	w.mayNot(alice, wire.NoPermission, "User:alice is not found.", wire.ReqSendMessageV2, nil, text{"b", "t"})
	code, remark := w.user(root, wire.ReqAuthCreateUser, auth.User{Username: "alice", Password: "top-secret-5"})
	must("create user", code, remark)
	w.mayNot(alice, wire.NoPermission, "Topic:t from 127.0.0.1, no matched policies", wire.ReqSendMessageV2, nil, text{"b", "t"})
	policies := []byte(`{"subject":"User:alice","policies":[{"policyType":"Custom","entries":[{"resource":"Topic:t","actions":["Pub"],"decision":"Allow"},{"resource":"Topic:u","actions":["Pub"],"decision":"Allow"}]}]}`)
	must2 := func(what string, data []byte, code int32, f ...text) {
		t.Helper()
		c, r := w.send(root, code, data, f...)
		must(what, c, r)
	}
	must2("create acl", policies, wire.ReqAuthCreateACL, text{"subject", "User:alice"})
	w.may(alice, wire.ReqSendMessageV2, nil, text{"b", "t"})
	w.mayNot(alice, wire.NoPermission, "Cluster:c", wire.ReqUpdateBrokerConfig, nil)
	w.mayNot(alice, wire.NoPermission, "no permission", wire.ReqAuthListUser, nil)
	w.may(auth.Credentials{AccessKey: "inner", SecretKey: "top-secret-9"}, wire.ReqRegisterBroker, nil)
	must2("delete entry", nil, wire.ReqAuthDeleteACL, text{"subject", "User:alice"}, text{"resource", "Topic:t"})
	w.mayNot(alice, wire.NoPermission, "no matched", wire.ReqSendMessageV2, nil, text{"b", "t"})
	w.may(alice, wire.ReqSendMessageV2, nil, text{"b", "u"})

	if answer := w.ask(root, wire.ReqAuthListUser, nil, text{"filter", ""}); !strings.Contains(string(answer.Body), `{"username":"alice","userType":"Normal","userStatus":"enable"}`) || strings.Contains(string(answer.Body), "top-secret") {
		t.Errorf("users: %s", answer.Body)
	}
	if answer := w.ask(root, wire.ReqAuthGetACL, nil, text{"subject", "User:alice"}); !strings.Contains(string(answer.Body), `"resource":"Topic:u","actions":["Pub"],"decision":"Allow"`) {
		t.Errorf("policies: %s", answer.Body)
	}
	if answer := w.ask(root, wire.ReqAuthListACL, nil, text{"subjectFilter", "ali"}); !strings.HasPrefix(string(answer.Body), `[{"subject":"User:alice"`) {
		t.Errorf("all policies: %s", answer.Body)
	}

	// Another server over the same directory knows them; a disabled user is out.
	w = newWorld(t, fs, config.Access{Authentication: true, Authorization: true, Dir: "/auth"})
	w.may(alice, wire.ReqSendMessageV2, nil, text{"b", "u"})
	code, remark = w.user(root, wire.ReqAuthUpdateUser, auth.User{Username: "alice", UserStatus: "DISABLE"})
	must("update user", code, remark)
	w.mayNot(alice, wire.NoPermission, "User:alice is disabled.", wire.ReqSendMessageV2, nil, text{"b", "u"})
	code, remark = w.user(root, wire.ReqAuthDeleteUser, auth.User{Username: "alice"})
	must("delete user", code, remark)
	w.mayNot(alice, wire.NoPermission, "is not found", wire.ReqSendMessageV2, nil, text{"b", "u"})
	if list, err := w.guard.ACLs("", ""); err != nil || len(list) != 0 {
		t.Errorf("the policies of a deleted user stay: %+v, %v", list, err)
	}
	if strings.Contains(w.log.String(), "top-secret") {
		t.Errorf("a secret is in the log:\n%s", w.log)
	}
}

// TestOnlySuperUsersMakeSuperUsers: who may update the cluster may not become more.
func TestOnlySuperUsersMakeSuperUsers(t *testing.T) {
	w := newWorld(t, vfs.NewMem(), config.Access{Authentication: true, Authorization: true, Dir: "/auth", InitUser: config.NewSecret("root", "top-secret-0")})
	for _, u := range []auth.User{{Username: "ops", Password: "p"}} {
		if err := w.guard.CreateUser("root", u); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.guard.PutACL(auth.ACL{Subject: "User:ops", Policies: []auth.Policy{{Entries: []auth.Entry{{Resource: "Cluster:*", Actions: []string{"All"}, Decision: "Allow"}}}}}); err != nil {
		t.Fatal(err)
	}
	ops := auth.Credentials{AccessKey: "ops", SecretKey: "p"}
	for _, try := range []struct {
		code int32
		u    auth.User
	}{
		{wire.ReqAuthCreateUser, auth.User{Username: "evil", Password: "p", UserType: "super"}},
		{wire.ReqAuthUpdateUser, auth.User{Username: "ops", UserType: "Super"}},
		{wire.ReqAuthUpdateUser, auth.User{Username: "root", Password: "mine"}},
		{wire.ReqAuthDeleteUser, auth.User{Username: "root"}},
	} {
		if code, remark := w.user(ops, try.code, try.u); code != wire.NoPermission || !strings.Contains(remark, "super user") {
			t.Errorf("%s %s: %d %s", wire.CodeName(try.code), try.u, code, remark)
		}
	}
	if code, remark := w.user(ops, wire.ReqAuthCreateUser, auth.User{Username: "fine", Password: "p"}); code != wire.Success {
		t.Errorf("%d %s", code, remark)
	}
}

func TestWhitelistedRequests(t *testing.T) {
	c := config.Access{Authentication: true, Authorization: true, Dir: "/auth", InitUser: config.NewSecret("root", "top-secret-0"),
		AuthenticationWhitelist: []int32{wire.ReqGetRouteInfoByTopic, wire.ReqSendMessage}, AuthorizationWhitelist: []int32{wire.ReqGetRouteInfoByTopic}}
	w := newWorld(t, vfs.NewMem(), c)
	w.may(nobody, wire.ReqGetRouteInfoByTopic, nil, text{"topic", "t"})
	// Nobody has proved who they are, so there is nobody to have a permission.
	w.mayNot(nobody, wire.NoPermission, "username cannot be null", wire.ReqSendMessage, nil, text{"topic", "t"})
}

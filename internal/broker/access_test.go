// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"strings"
	"testing"

	"github.com/twostage/twostage/internal/auth"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// The accounts of these tests: limited may use the topic mine and the group mygroup,
// wide everything but the topic secret, nobody nothing.
const accounts = `accounts:
- accessKey: administrator
  secretKey: administrator-secret
  admin: true
- accessKey: nobody-app
  secretKey: nobody-app-secret
- accessKey: limited-app
  secretKey: limited-app-secret
  topicPerms: [mine=PUB|SUB]
  groupPerms: [mygroup=SUB]
- accessKey: wide-app
  secretKey: wide-app-secret
  defaultTopicPerm: PUB|SUB
  defaultGroupPerm: SUB
  topicPerms: [secret=DENY]
`

// startGuarded starts a broker that asks for signatures.
func startGuarded(t *testing.T, keys ...string) *world {
	t.Helper()
	m := vfs.NewMem()
	if err := m.MkdirAll("/conf"); err != nil {
		t.Fatal(err)
	}
	if err := vfs.WriteFile(m, "/conf/plain_acl.yml", []byte(accounts)); err != nil {
		t.Fatal(err)
	}
	return start(t, m, append([]string{"aclEnable", "true", "aclFile", "/conf/plain_acl.yml"}, keys...)...)
}

// as is a client with an account that answers all it is asked with success.
func (w *world) as(name string) *client {
	c := &client{w: w, pushed: make(chan *wire.Command, 1000)}
	cfg := remoting.ClientConfig{Sign: remoting.Signer(auth.Credentials{AccessKey: name, SecretKey: name + "-secret"}), Version: wire.Version, Language: wire.LanguageJava, Routes: func(int32) (remoting.Route, bool) {
		return remoting.Route{Handler: func(r *remoting.Request) {
			if r.Code != wire.ReqNotifyConsumerIDsChanged {
				c.pushed <- r.Clone()
			}
			if !r.IsOneWay() {
				r.Reply(&wire.Response{})
			}
		}}, true
	}}
	c.Client = remoting.NewClient(cfg)
	w.t.Cleanup(func() { _ = c.Close() })
	return c
}

func (c *client) invoke(r *wire.Request) *wire.Command {
	c.w.t.Helper()
	cmd, err := c.Invoke(c.w.ctx, c.w.addr, r)
	if err != nil {
		c.w.t.Fatal(err)
	}
	return cmd
}

func (c *client) succeeds(r *wire.Request) *wire.Command {
	c.w.t.Helper()
	cmd := c.invoke(r)
	if cmd.Code != wire.Success {
		c.w.t.Errorf("%s: %d %s", wire.CodeName(r.Code), cmd.Code, cmd.Remark)
	}
	return cmd
}

// keyLike makes a key whose place in the index, for a topic, is that of another
// topic's key: both have Java's hash of topic#key.
func keyLike(topic, otherTopic, otherKey string) string {
	hash := func(s string) (h uint32) {
		for _, c := range []byte(s) {
			h = h*31 + uint32(c)
		}
		return h
	}
	key := []byte("AAAAAAA")
	missing := hash(otherTopic+"#"+otherKey) - hash(topic+"#"+string(key))
	for i := len(key) - 1; i >= 0; i-- {
		key[i] += byte(missing % 31)
		missing /= 31
	}
	return string(key)
}

// TestQueryByKeyGivesNoOtherTopic although the index knows keys by a hash that anybody
// can work out.
func TestQueryByKeyGivesNoOtherTopic(t *testing.T) {
	w := startGuarded(t)
	admin := w.as("administrator")
	admin.send(sendHeader("secret", "KEYS", "order-1"), "not for all")
	admin.send(sendHeader("mine", "KEYS", "own"), "for all")
	w.stored("secret", 0)
	ask := func(key string) *wire.Request {
		return &wire.Request{Code: wire.ReqQueryMessage, Header: &header.QueryMessageRequest{Topic: "mine", Key: key, MaxNum: 8, EndTimestamp: 1 << 60}}
	}
	c := w.as("limited-app")
	c.refused(wire.QueryNotFound, ask(keyLike("mine", "secret", "order-1")), "can not find message")
	if cmd := c.succeeds(ask("own")); !strings.Contains(string(cmd.Body), "for all") {
		t.Errorf("its own message: %s", cmd.Body)
	}
}

// TestConsumeDirectlyNeedsTheRecordsTopic: the request names a place and a group of the
// sender's.
func TestConsumeDirectlyNeedsTheRecordsTopic(t *testing.T) {
	w := startGuarded(t)
	admin, consumer := w.as("administrator"), w.as("limited-app")
	secret, mine := admin.send(sendHeader("secret"), "not for all"), admin.send(sendHeader("mine"), "for all")
	consumer.heartbeat("m1", "mygroup", "mine", "*")
	directly := func(id []byte) *wire.Request {
		return &wire.Request{Code: wire.ReqConsumeMessageDirectly, Header: &header.ConsumeDirectlyRequest{ConsumerGroup: "mygroup", ClientID: "m1", MsgID: string(id)}}
	}
	other := w.as("limited-app")
	other.refused(wire.SystemError, directly(secret.Header.MsgID), "no permission to access Topic:secret")
	other.succeeds(directly(mine.Header.MsgID))
	if p := consumer.expect(wire.ReqConsumeMessageDirectly); !strings.Contains(string(p.Body), "for all") || strings.Contains(string(p.Body), "not for all") {
		t.Errorf("relayed %s", p.Body)
	}
}

// TestTheBrokersOwnTopicsAreNoWayIn to messages of a topic that is denied.
func TestTheBrokersOwnTopicsAreNoWayIn(t *testing.T) {
	w := startGuarded(t)
	admin, wide := w.as("administrator"), w.as("wide-app")
	secret := admin.send(sendHeader("secret", "TRAN_MSG", "true", "PGROUP", "pg", "UNIQ_KEY", "k1"), "a half message")
	admin.send(sendHeader("secret", "DELAY", "18", "UNIQ_KEY", "k2"), "a delayed message")
	mine := admin.send(sendHeader("mine", "TRAN_MSG", "true", "PGROUP", "pg", "UNIQ_KEY", "k3"), "another half message")
	view := func(id []byte) *wire.Request {
		_, at, err := message.ParseOffsetID(string(id))
		if err != nil {
			t.Fatal(err)
		}
		return &wire.Request{Code: wire.ReqViewMessageByID, Header: &header.ViewMessageRequest{Offset: at}}
	}
	wide.refused(wire.SystemError, view(secret.Header.MsgID), "no permission to access Topic:secret")
	wide.succeeds(view(mine.Header.MsgID))
	wide.heartbeat("w", "wg", "mine", "*")
	for topic, queue := range map[string]int32{message.TopicHalf: 0, message.TopicSchedule: 17} {
		h := &header.PullRequest{ConsumerGroup: []byte("wg"), Topic: []byte(topic), QueueID: queue, MaxMsgNums: 32, SubVersion: 1, SysFlag: 4, Subscription: []byte("*")}
		if _, err := rpc.Pull(w.ctx, wide, w.addr, h); err == nil || !strings.Contains(err.Error(), "admin: true") {
			t.Errorf("pull of %s: %v", topic, err)
		}
		query := &header.QueryMessageRequest{Topic: topic, Key: "k2", MaxNum: 8, EndTimestamp: 1 << 60}
		wide.refused(wire.SystemError, &wire.Request{Code: wire.ReqQueryMessage, Header: query}, "admin: true")
		wide.succeeds(&wire.Request{Code: wire.ReqGetMaxOffset, Header: &header.MaxOffsetRequest{Topic: topic, QueueID: queue}}) // figures only
	}
}

// TestOnlyWhoMaySendIsAskedAboutTransactions and may decide them: a producer group is
// what a client says it is.
func TestOnlyWhoMaySendIsAskedAboutTransactions(t *testing.T) {
	w := startGuarded(t, "transactionTimeOut", "1000", "transactionCheckInterval", "1000")
	admin, stranger := w.as("administrator"), w.as("limited-app")
	stranger.produces("s", "pg")
	admin.send(sendHeader("mine", "TRAN_MSG", "true", "PGROUP", "pg", "UNIQ_KEY", "k1"), "for all")
	admin.send(sendHeader("secret", "TRAN_MSG", "true", "PGROUP", "pg", "UNIQ_KEY", "k2"), "not for all")
	decide := func(asked *wire.Command) *wire.Request {
		var h header.CheckTransactionRequest
		if err := h.DecodeExt(asked.Ext); err != nil {
			t.Fatal(err)
		}
		return &wire.Request{Code: wire.ReqEndTransaction, Header: &header.EndTransactionRequest{ProducerGroup: "pg", TranStateTableOffset: h.TranStateTableOffset,
			CommitLogOffset: h.CommitLogOffset, CommitOrRollback: 12, FromTransactionCheck: true, MsgID: h.MsgID, TransactionID: h.TransactionID}}
	}
	own := stranger.expect(wire.ReqCheckTransactionState)
	if !strings.Contains(string(own.Body), "for all") || strings.Contains(string(own.Body), "not for all") {
		t.Errorf("the stranger was asked about %s", own.Body)
	}
	stranger.succeeds(decide(own))
	admin.produces("a", "pg")
	asked := admin.expect(wire.ReqCheckTransactionState)
	if !strings.Contains(string(asked.Body), "not for all") {
		t.Errorf("the admin was asked about %s", asked.Body)
	}
	stranger.refused(wire.SystemError, decide(asked), "no permission to access Topic:secret")
	admin.succeeds(decide(asked))
	for len(stranger.pushed) > 0 {
		if p := <-stranger.pushed; strings.Contains(string(p.Body), "not for all") {
			t.Errorf("the stranger got %s", p.Body)
		}
	}
}

// TestAnotherAccountTakesOverNoClientID and so no reply.
func TestAnotherAccountTakesOverNoClientID(t *testing.T) {
	w := startGuarded(t)
	victim, stranger := w.as("administrator"), w.as("nobody-app")
	victim.produces("victim@1", "requests")
	stranger.produces("victim@1", "anything")
	h := sendHeader("DefaultCluster_REPLY_TOPIC", "REPLY_TO_CLIENT", "victim@1", "CORRELATION_ID", "c")
	w.as("administrator").succeeds(&wire.Request{Code: wire.ReqSendReplyMessageV2, Header: h, Body: []byte("the reply")})
	if p := victim.expect(wire.ReqPushReplyMessageToClient); string(p.Body) != "the reply" {
		t.Errorf("pushed %s", p.Body)
	}
	if len(stranger.pushed) != 0 {
		t.Error("the stranger got a push")
	}
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twostage/twostage/internal/config"
	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// set changes keys of the running broker.
func (c *client) set(keys ...string) {
	c.w.t.Helper()
	m := map[string]string{}
	for i := 0; i+1 < len(keys); i += 2 {
		m[keys[i]] = keys[i+1]
	}
	if _, err := rpc.UpdateBrokerConfig(c.w.ctx, c, c.w.addr, m); err != nil {
		c.w.t.Fatal(err)
	}
}

func TestBrokerConfig(t *testing.T) {
	w := start(t, vfs.NewMem(), "deleteWhen", "03")
	c := w.client()
	keys, version, err := rpc.BrokerConfig(w.ctx, c, w.addr)
	if err != nil || keys["brokerName"] != "broker-a" || keys["brokerPermission"] != "6" || keys["deleteWhen"] != "03" || keys["brokerIP1"] != "127.0.0.1" ||
		!strings.HasSuffix(w.addr, ":"+keys["listenPort"]) || version.Counter != 0 || version.Timestamp == 0 {
		t.Fatalf("%v %+v, %v", keys, version, err)
	}
	note, err := rpc.UpdateBrokerConfig(w.ctx, c, w.addr, map[string]string{"deleteWhen": "05", "fileReservedTime": "24"})
	if err != nil || !strings.Contains(note, "until the next start") {
		t.Fatalf("%q, %v", note, err)
	}
	if keys, version, err = rpc.BrokerConfig(w.ctx, c, w.addr); err != nil || keys["deleteWhen"] != "05" || keys["fileReservedTime"] != "24" || version.Counter != 1 {
		t.Errorf("%v %+v, %v", keys, version, err)
	}
	for text, want := range map[string]int32{
		"brokerPermission=4\nrocketmqHome=/tmp": wire.NoPermission, "brokerPermission=4\nlistenPort=1": wire.NoPermission,
		"brokerPermission=4\nnonsense=1": wire.InvalidParameter, "brokerPermission=42": wire.InvalidParameter, "": wire.InvalidParameter,
	} {
		c.refused(want, &wire.Request{Code: wire.ReqUpdateBrokerConfig, Body: []byte(text)}, "nothing was changed")
	}
	if keys, version, err = rpc.BrokerConfig(w.ctx, c, w.addr); err != nil || keys["brokerPermission"] != "6" || version.Counter != 1 {
		t.Errorf("%v %+v, %v", keys, version, err)
	}
}

// A change that an error kept from being in force is made when it is asked for again.
func TestBrokerConfigIsTriedAgain(t *testing.T) {
	fs := vfs.NewMem()
	w := start(t, fs)
	c := w.client()
	off := map[string]string{"autoCreateTopicEnable": "false"}
	fs.Fail(func(_ vfs.Op, name string) error {
		if strings.Contains(name, "topics.json") {
			return errors.New("broken")
		}
		return nil
	})
	if _, err := rpc.UpdateBrokerConfig(w.ctx, c, w.addr, off); err == nil || !strings.Contains(err.Error(), "not all of it is in force") {
		t.Fatal(err)
	}
	fs.Fail(nil)
	if _, err := rpc.UpdateBrokerConfig(w.ctx, c, w.addr, off); err != nil {
		t.Fatal(err)
	}
	if _, there := w.topics.Get(message.TopicAutoCreate); there {
		t.Error("topics can still be made")
	}
}

// Who asks for the configuration does not wait for a change of it.
func TestBrokerConfigDuringAChange(t *testing.T) {
	w := start(t, vfs.NewMem())
	release, inside, done := make(chan struct{}), make(chan struct{}), make(chan error)
	w.live.OnChange(func(*config.Broker) error { close(inside); <-release; return nil })
	go func() {
		_, err := rpc.UpdateBrokerConfig(w.ctx, w.client(), w.addr, map[string]string{"brokerPermission": "4"})
		done <- err
	}()
	<-inside
	keys, version, err := rpc.BrokerConfig(w.ctx, w.client(), w.addr)
	if err != nil || keys["brokerPermission"] != "4" || version.Counter != 1 {
		t.Errorf("%v %+v, %v", keys["brokerPermission"], version, err)
	}
	close(release)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// Every key of the list changes what the broker does, while it runs.
func TestLiveKeysTakeEffect(t *testing.T) {
	w := start(t, vfs.NewMem(), "autoCreateSubscriptionGroup", "false", "longPollingEnable", "false", "shortPollingTimeMills", "1", "fileReservedTime", "72")
	c := w.client()
	send := func(topic, text string, props ...string) *wire.Request {
		return &wire.Request{Code: wire.ReqSendMessageV2, Header: sendHeader(topic, props...), Body: []byte(text)}
	}
	stored := func(req *wire.Request) {
		t.Helper()
		if cmd, err := c.Invoke(w.ctx, w.addr, req); err != nil || cmd.Code != wire.Success {
			t.Errorf("%v, %v", cmd, err)
		}
	}
	c.send(sendHeader("T"), "first")

	c.set("brokerPermission", "4")
	c.refused(wire.NoPermission, send("T", "x"), "brokerPermission")
	if perm := w.registerBody().TopicConfigSerializeWrapper.TopicConfigTable["T"].Perm; perm != 4 {
		t.Errorf("name servers are told of permission %d", perm)
	}
	c.set("brokerPermission", "2")
	c.refused(wire.NoPermission, &wire.Request{Code: wire.ReqPullMessage, Header: &header.PullRequest{ConsumerGroup: []byte("g"), Topic: []byte("T"), MaxMsgNums: 1}}, "brokerPermission")
	c.set("brokerPermission", "6")
	stored(send("T", "second"))

	c.set("autoCreateTopicEnable", "false")
	c.refused(wire.TopicNotExist, send("New", "x"), "New")
	c.set("autoCreateTopicEnable", "true")
	stored(send("New", "x"))

	c.refused(wire.SubscriptionGroupNotExist, &wire.Request{Code: wire.ReqGetSubscriptionGroupConfig, Header: &header.GroupRequest{Group: "g"}})
	c.heartbeat("id", "g", "T", "*")
	if _, there := w.groups.Get("g"); there {
		t.Error("the group is made")
	}
	c.set("autoCreateSubscriptionGroup", "true")
	c.heartbeat("id", "g", "T", "*")
	if _, there := w.groups.Get("g"); !there {
		t.Error("the group is not made")
	}

	c.set("maxMessageSize", "5")
	c.refused(wire.MessageIllegal, send("T", "123456"), "limit is 5")
	c.set("maxMessageSize", "6")
	stored(send("T", "123456"))

	traced := func() string {
		t.Helper()
		cmd, err := c.Invoke(w.ctx, w.addr, send("Traced", "x"))
		if err != nil {
			t.Fatal(err)
		}
		on, _ := cmd.Ext.Get("TRACE_ON")
		return string(on)
	}
	if got := traced(); got != "true" {
		t.Errorf("TRACE_ON=%s", got)
	}
	c.set("traceOn", "false")
	if got := traced(); got != "false" {
		t.Errorf("TRACE_ON=%s", got)
	}

	half := []string{message.PropertyTransactionPrepared, "true", message.PropertyProducerGroup, "p", message.PropertyUniqueKey, "k"}
	c.set("rejectTransactionMessage", "true")
	c.refused(wire.NoPermission, send("T", "half", half...), "rejectTransactionMessage")
	c.set("rejectTransactionMessage", "false")
	stored(send("T", "half", half...))

	if err := rpc.CreateTopic(w.ctx, c, w.addr, &header.CreateTopicRequest{Topic: "F", ReadQueueNums: 1, WriteQueueNums: 1, Perm: 6, Attributes: "+message.type=FIFO"}); err != nil {
		t.Fatal(err)
	}
	stored(send("F", "normal"))
	c.set("enableTopicMessageTypeCheck", "true")
	c.refused(wire.MessageIllegal, send("F", "normal"), "FIFO")

	w.wantBodies("T", 0, "first second 123456")
	c.set("maxTransferCountOnMessageInMemory", "2")
	if p := c.pull("g", "T", 0, 0, 0); bodies(t, p.Records) != "first second" {
		t.Errorf("pulled %q", bodies(t, p.Records))
	}
	c.set("maxTransferCountOnMessageInMemory", "32", "maxTransferBytesOnMessageInMemory", "1")
	if p := c.pull("g", "T", 0, 0, 0); bodies(t, p.Records) != "first" {
		t.Errorf("pulled %q", bodies(t, p.Records))
	}
	c.set("longPollingEnable", "true")
	held := make(chan *rpc.Pulled, 1)
	go func() {
		p, _ := rpc.Pull(w.ctx, c, w.addr, &header.PullRequest{ConsumerGroup: []byte("g"), Topic: []byte("T"), QueueOffset: 3, MaxMsgNums: 1, SubVersion: 1,
			SysFlag: header.PullSuspend, SuspendTimeoutMillis: patience.Milliseconds()})
		held <- p
	}()
	for w.holds.Len() == 0 {
		select {
		case p := <-held:
			t.Fatalf("not held: %+v", p)
		default:
			runtime.Gosched()
		}
	}
	c.send(sendHeader("T"), "4th")
	if p := <-held; p == nil || bodies(t, p.Records) != "4th" {
		t.Errorf("the held pull brings %+v", p)
	}

	for i := range 3 {
		c.send(sendHeader("K", message.PropertyKeys, "key"), string(rune('a'+i)))
	}
	w.stored("K", 0)
	c.set("maxMsgsNumBatch", "2")
	if err := w.store.WaitDispatched(w.store.MaxPhysical()); err != nil {
		t.Fatal(err)
	}
	records, _, err := rpc.QueryMessage(w.ctx, c, w.addr, &header.QueryMessageRequest{Topic: "K", Key: "key", MaxNum: 32, EndTimestamp: 1 << 50})
	if err != nil || len(strings.Fields(bodies(t, records))) != 2 {
		t.Errorf("%q, %v", bodies(t, records), err)
	}

	recall := &wire.Request{Code: wire.ReqRecallMessage, Header: &header.RecallRequest{Topic: "T", RecallHandle: "x"}}
	c.refused(wire.NoPermission, recall, "recallMessageEnable")
	c.set("recallMessageEnable", "true")
	if cmd, err := c.Invoke(w.ctx, w.addr, recall); err != nil || cmd.Code == wire.NoPermission {
		t.Errorf("%v, %v", cmd, err)
	}
	c.set("storeReplyMessageEnable", "false", "useServerSideResetOffset", "false", "syncFlushTimeout", "7", "waitTimeMillsInSendQueue", "77", "defaultQueryMaxNum", "3")
	if now := w.live.Now(); now.Topics.StoreReplies || now.Groups.ServerSideReset || now.Flush.SyncTimeout.Milliseconds() != 7 || now.Flush.SendWait.Milliseconds() != 77 || now.Query.MaxByUniqueKey != 3 {
		t.Errorf("%+v", now)
	}
}

// Whether consumers are told that their group has changed follows the configuration.
func TestLiveNotifications(t *testing.T) {
	w := start(t, vfs.NewMem(), "notifyConsumerIdsChangedEnable", "false")
	c := w.client()
	told := func(id string) int {
		t.Helper()
		w.client().heartbeat(id, "g", "T", "*")
		c.heartbeat("c", "g", "T", "*") // what it is told stands before the answer
		return len(c.pushed)
	}
	c.heartbeat("c", "g", "T", "*")
	if n := told("d"); n != 0 {
		t.Errorf("told %d times", n)
	}
	c.set("notifyConsumerIdsChangedEnable", "true")
	c.heartbeat("c", "g", "T", "*")
	if n := told("e"); n != 1 {
		t.Errorf("told %d times", n)
	}
}

// The rules of transactions change for those that wait, too.
func TestLiveTransactionRules(t *testing.T) {
	w := start(t, vfs.NewMem(), "transactionTimeOut", "3600000", "transactionCheckInterval", "3600000")
	c := w.client()
	c.produces("id", "p")
	half := func(key string) {
		t.Helper()
		c.send(sendHeader("T", message.PropertyTransactionPrepared, "true", message.PropertyProducerGroup, "p", message.PropertyUniqueKey, key), key)
	}
	half("old")
	c.set("transactionTimeOut", "1")
	half("new")
	if cmd := c.expect(wire.ReqCheckTransactionState); !strings.Contains(string(cmd.Body), "new") {
		t.Errorf("asked about %q", cmd.Body)
	}
	if tx := w.txn.Stats(); tx.Discarded != 0 || tx.Pending["T"] != 2 {
		t.Errorf("%+v", tx)
	}
	c.set("transactionMaxAge", "1")
	for w.txn.Stats().Discarded < 2 {
		if w.ctx.Err() != nil {
			t.Fatal("what is too old by the new rule stays")
		}
		runtime.Gosched()
	}
}

// A shorter time to keep the log counts from the next round on.
func TestLiveRetention(t *testing.T) {
	var now atomic.Int64
	now.Store(1_800_000_000_000)
	w := startAt(t, vfs.NewMem(), now.Load, "mappedFileSizeCommitLog", "16384", "fileReservedTime", "72", "deleteWhen", "")
	c := w.client()
	c.fill("T", 3)
	now.Add(7200_000)
	if gone, err := w.store.Retain(false); err != nil || gone.Files != 0 {
		t.Fatalf("%+v, %v", gone, err)
	}
	c.set("fileReservedTime", "1", "deleteWhen", everyHour, "deleteFileBatchMax", "2")
	if gone, err := w.store.Retain(false); err != nil || gone.Files != 2 {
		t.Errorf("%+v, %v", gone, err)
	}
}

// The topic by whose model sends make topics is written with the switch.
func TestAutoCreateLasts(t *testing.T) {
	fs := vfs.NewMem()
	w := start(t, fs)
	c := w.client()
	c.send(sendHeader("T"), "x")
	c.set("autoCreateTopicEnable", "false")
	if _, there := w.topics.Get(message.TopicAutoCreate); there {
		t.Error("TBW102 is there")
	}
	if names := w.registerBody().TopicConfigSerializeWrapper.TopicConfigTable; names[message.TopicAutoCreate].TopicName != "" {
		t.Error("name servers are told of TBW102")
	}
	var table body.TopicConfigSerializeWrapper
	data, _, err := vfs.ReadConfigFile(fs.Crash(vfs.CrashOptions{}), "/store/config/topics.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := body.Unmarshal(data, &table); err != nil || slices.Contains(mapKeys(table.TopicConfigTable), message.TopicAutoCreate) {
		t.Errorf("%v, %v", mapKeys(table.TopicConfigTable), err)
	}
}

func mapKeys[V any](m map[string]V) (keys []string) {
	for k := range m {
		keys = append(keys, k)
	}
	return keys
}

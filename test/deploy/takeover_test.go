// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/twostage/twostage/internal/proctest"
	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/message"
	"github.com/twostage/twostage/test/javacheck"
	"github.com/twostage/twostage/test/rig"
)

// javaConf is the broker.conf of the RocketMQ brokers that the golden directories
// are from (testdata/golden/README.md), as far as it says more than the defaults;
// a longer time until files have expired keeps the directories of any age.
const javaConf = `brokerClusterName=DefaultCluster
brokerName=broker-a
brokerId=0
brokerRole=ASYNC_MASTER
brokerIP1=127.0.0.1
listenPort=20911
flushDiskType=ASYNC_FLUSH
autoCreateTopicEnable=true
enablePropertyFilter=true
mappedFileSizeCommitLog=262144
maxHashSlotNum=1000
maxIndexNum=4000
messageDelayLevel=1s 2s 3s 4s 5s 6s 7s 8s 9s 10s 20s 30s 1m 2m 5m 10m 1h 3650d
transactionTimeOut=6000
transactionCheckMax=2
flushConsumeQueueThoroughInterval=5000
fileReservedTime=87600
waitTimeMillsInSendQueue=20000
osPageCacheBusyTimeOutMills=20000
`

// queue of a topic.
type queue struct {
	topic string
	id    int32
}

// javaRead gives what RocketMQ itself read from a golden directory: the log offsets
// of the messages of each queue.
func javaRead(t *testing.T, name string) map[queue][]int64 {
	t.Helper()
	var m struct {
		Messages []struct {
			CommitLogOffset int64
			QueueID         int32
			Topic           string
			CQ              *struct{}
		}
	}
	if err := json.Unmarshal([]byte(text(t, "testdata/golden/"+name+".manifest.json")), &m); err != nil {
		t.Fatal(err)
	}
	all := map[queue][]int64{}
	for _, g := range m.Messages {
		if g.CQ != nil && g.Topic != message.TopicOpHalf { // of which RocketMQ has no configuration: nobody can pull it
			q := queue{g.Topic, g.QueueID}
			all[q] = append(all[q], g.CommitLogOffset)
		}
	}
	return all
}

// javaOffsets reads config/consumerOffset.json: by topic@group and queue.
func javaOffsets(t *testing.T, store string) map[string]map[int32]int64 {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(store, "config/consumerOffset.json"))
	var o body.ConsumerOffsetSerializeWrapper
	if err == nil {
		err = body.Unmarshal(b, &o)
	}
	if err != nil {
		t.Fatal(err)
	}
	return o.OffsetTable
}

// The sequence of docs/deployment.md, on directories of RocketMQ brokers, one that
// was stopped and one that was killed: taken over, used, given back as the page
// promises, and taken once more.
func TestTakeOver(t *testing.T) {
	for name, cq := range map[string]string{"store-clean": "600", "store-killed": "2000"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			store, conf := filepath.Join(dir, "store"), filepath.Join(dir, "broker.conf")
			copied(t, root+"testdata/golden/"+name, store)
			lines := javaConf + "mappedFileSizeConsumeQueue=" + cq + "\nstorePathRootDir=" + store + "\n"
			if err := os.WriteFile(conf, []byte(lines), 0o600); err != nil {
				t.Fatal(err)
			}
			before := javaOffsets(t, store)

			// 1. What of the configuration is not there? 2. Is the directory sound?
			acceptable(t, name, nil, []string{"server", "--role", "broker", "-c", conf, "--namesrv", "127.0.0.1:9876"})
			must(t, "store", "verify", "-c", conf)

			// 3. Start on it.
			args := []string{
				"server", "--data", dir, "-c", conf, "--set", "listenPort=0", "--set", "httpListenPort=0", "--set", "bindAddress=127.0.0.1",
				"--namesrv-set", "listenPort=0", "--namesrv-set", "bindAddress=127.0.0.1", "--set", "transactionCheckInterval=600000",
			}
			s := proctest.Start(t, args...)
			wantTaken(t, s, name, before)
			c := rig.Client(t)
			if err := rpc.CreateTopic(rig.Context(t), c, s.Broker, rig.TopicHeader(payments, 1)); err != nil {
				t.Fatal(err)
			}
			transact(t, c, s.Broker, "paid", message.TransactionCommit)
			transact(t, c, s.Broker, "refused", message.TransactionRollback)

			// 4. Give it back.
			stopped(t, s)
			wantReturnable(t, store, before)
			must(t, "store", "verify", "-c", conf)

			// 5. And take it again.
			s.Restart(t)
			wantTaken(t, s, name, before)
			if have := texts(t, c, s.Broker, payments, 0); !slices.Equal(have, []string{"paid"}) {
				t.Errorf("%s has %q", payments, have)
			}
			stopped(t, s)
			wantReturnable(t, store, before)
		})
	}
}

// wantTaken fails unless a server gives every message that RocketMQ read from the
// directory, at its place, and has its offsets and undecided transactions.
func wantTaken(t *testing.T, s *proctest.Server, name string, offsets map[string]map[int32]int64) {
	t.Helper()
	c, ctx := rig.Client(t), rig.Context(t)
	total := 0
	for q, want := range javaRead(t, name) {
		var have []int64
		if _, err := rig.Drain(ctx, c, s.Broker, q.topic, q.id, 0, func(r *message.Record) error {
			have = append(have, r.PhysicalOffset)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if len(have) < len(want) || !slices.Equal(have[:len(want)], want) { // delayed ones are delivered meanwhile
			t.Errorf("%s/%d holds %v, want %v", q.topic, q.id, have, want)
		}
		total += len(have)
	}
	if total < 400 {
		t.Errorf("%d messages", total)
	}
	for key, queues := range offsets {
		topic, group, _ := strings.Cut(key, "@")
		if strings.HasPrefix(group, "CID_RMQ_SYS") {
			continue // the broker's own, which move
		}
		for id, want := range queues {
			if have, err := rpc.QueryOffset(ctx, c, s.Broker, group, topic, id); have != want || err != nil {
				t.Errorf("group %s goes on in %s/%d at %d, %v; want %d", group, topic, id, have, err, want)
			}
		}
	}
	topic := map[string]string{"store-clean": "GTx", "store-killed": "KTx"}[name]
	if keys := undecided(t, c, s.Broker, topic); len(keys) != 4 {
		t.Errorf("undecided: %q, want 4", keys)
	}
}

// wantReturnable fails unless a RocketMQ broker would find a directory that was
// stopped in order, with nothing that it does not know but what it ignores, and
// would commit nothing twice.
func wantReturnable(t *testing.T, store string, offsets map[string]map[int32]int64) {
	t.Helper()
	known := []string{"commitlog", "consumequeue", "index", "config", "checkpoint", "lock", "timerwheel", "timerlog"}
	ignored := []string{"transactions", "damaged", "deletedTopics.json"} // docs/deployment.md names them
	entries, err := os.ReadDir(store)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !slices.Contains(known, e.Name()) && !slices.Contains(ignored, e.Name()) {
			t.Errorf("the directory holds %s", e.Name())
		}
	}
	have := javaOffsets(t, store)
	for key, queues := range offsets {
		for id, n := range queues {
			if have[key][id] < n {
				t.Errorf("offset of %s/%d: %d, was %d", key, id, have[key][id], n)
			}
		}
	}
	r, err := javacheck.Run(nil, store, javacheck.Options{CheckMax: 2})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.CommitTwice) > 0 || len(r.CommitAfter) > 0 || len(r.DiscardCommitted) > 0 {
		t.Errorf("a RocketMQ broker would: %s", r)
	}
}

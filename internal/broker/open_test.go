// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/twostage/twostage/internal/config"
	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// refuse opens a broker that must not open.
func refuse(t *testing.T, fs vfs.FS, keys map[string]string) error {
	t.Helper()
	flags := map[string]string{"listenPort": "0", "bindAddress": "127.0.0.1", "brokerIP1": "127.0.0.1", "brokerName": "broker-a", "storePathRootDir": "/store"}
	for k, v := range keys {
		flags[k] = v
	}
	cfg, err := config.Load(config.Sources{Role: config.RoleBroker, HostName: "test", Flags: flags})
	if err != nil {
		t.Fatal(err)
	}
	b := New(Options{Config: cfg.Broker, FS: fs, Logger: slog.New(slog.DiscardHandler)})
	err = b.Open(context.Background())
	if err == nil {
		t.Error("opened")
	}
	if err := b.Close(); err != nil {
		t.Errorf("Close after a failed Open: %v", err)
	}
	if err := b.Close(); err != nil {
		t.Errorf("a second Close: %v", err)
	}
	return err
}

func TestOpenRefuses(t *testing.T) {
	for dir, word := range map[string]string{"rocksdbstore": "RocksDB", "dledger-n0": "DLedger", "consumequeue_ext": "enableConsumeQueueExt"} {
		fs := vfs.NewMem()
		if err := vfs.MkdirAllSync(fs, "/store/"+dir); err != nil {
			t.Fatal(err)
		}
		if err := vfs.WriteFile(fs, "/store/"+dir+"/0", []byte("x")); err != nil {
			t.Fatal(err)
		}
		if err := refuse(t, fs, nil); err == nil || !strings.Contains(err.Error(), word) || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: %v", dir, err)
		}
	}
	fs := vfs.NewMem()
	if err := vfs.MkdirAllSync(fs, "/store/compaction"); err != nil {
		t.Fatal(err)
	}
	start(t, fs) // an empty one is harmless

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	if err := refuse(t, vfs.NewMem(), map[string]string{"listenPort": port}); err == nil || !strings.Contains(err.Error(), "listenPort="+port) {
		t.Errorf("a taken port: %v", err)
	}
	if err := refuse(t, fs, nil); !errors.Is(err, store.ErrInUse) {
		t.Errorf("a store in use: %v", err)
	}
	broken := vfs.NewMem()
	if err := vfs.MkdirAllSync(broken, "/store/config"); err != nil {
		t.Fatal(err)
	}
	if err := vfs.WriteFile(broken, "/store/config/topics.json", []byte("{")); err != nil {
		t.Fatal(err)
	}
	if err := refuse(t, broken, nil); err == nil || !strings.Contains(err.Error(), "topics.json") {
		t.Errorf("an unreadable topics.json: %v", err)
	}
}

// TestKilledBroker: what was answered is there again when the process has died:
// messages, topics, undecided transactions.
func TestKilledBroker(t *testing.T) {
	fs := vfs.NewMem()
	w := start(t, fs)
	c := w.client()
	for _, s := range []string{"a", "b"} {
		c.send(sendHeader("T"), s)
	}
	sent := c.send(sendHeader("T", "TRAN_MSG", "true", "PGROUP", "p", "UNIQ_KEY", "u"), "half")
	if err := rpc.CreateTopic(w.ctx, c, w.addr, &header.CreateTopicRequest{Topic: "Made", DefaultTopic: "TBW102", ReadQueueNums: 3, WriteQueueNums: 3, Perm: 6, TopicFilterType: "SINGLE_TAG"}); err != nil {
		t.Fatal(err)
	}
	left := fs.Kill()
	_ = w.stop()
	w = start(t, left)
	c = w.client()
	w.wantBodies("T", 0, "a b")
	if tc, ok := w.topics.Get("Made"); !ok || tc.ReadQueueNums != 3 {
		t.Errorf("topic %+v %v", tc, ok)
	}
	_, physical, _ := message.ParseOffsetID(string(sent.Header.MsgID))
	if err := rpc.EndTransaction(w.ctx, c, w.addr, &header.EndTransactionRequest{ProducerGroup: "p", TranStateTableOffset: sent.Header.QueueOffset,
		CommitLogOffset: physical, CommitOrRollback: int32(message.TransactionCommit), MsgID: "u"}); err != nil {
		t.Fatal(err)
	}
	c.send(sendHeader("T"), "c")
	w.wantBodies("T", 0, "a b half c")
}

func TestPickAddress(t *testing.T) {
	nets := func(list ...string) (out []net.Addr) {
		for _, s := range list {
			ip, n, err := net.ParseCIDR(s)
			if err != nil {
				t.Fatal(err)
			}
			n.IP = ip
			out = append(out, n)
		}
		return out
	}
	for want, addrs := range map[string][]net.Addr{
		"10.1.2.3":    nets("127.0.0.1/8", "fe80::1/64", "2001:db8::1/64", "10.1.2.3/8", "10.9.9.9/8"),
		"2001:db8::1": nets("127.0.0.1/8", "169.254.1.1/16", "fe80::1/64", "2001:db8::1/64"),
		"127.0.0.1":   nets("127.0.0.1/8", "fe80::1/64"),
	} {
		if got := pickAddress(addrs); got.String() != want {
			t.Errorf("%v: %v, want %s", addrs, got, want)
		}
	}
}

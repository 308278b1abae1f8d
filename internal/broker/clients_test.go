// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// An unregistration does not overtake the heartbeat before it on its connection,
// which waits for the disk: nobody is left of the group.
func TestUnregistrationFollowsItsHeartbeat(t *testing.T) {
	w := start(t, vfs.NewMem())
	var wg sync.WaitGroup
	for i := range 32 {
		group := fmt.Sprint("g", i)
		beat := &body.HeartbeatData{ClientID: "c", ConsumerDataSet: []body.ConsumerData{{GroupName: group}}}
		frames := wire.AppendRequest(nil, &wire.Request{Code: wire.ReqHeartBeat, Opaque: 1, Language: wire.LanguageJava, Version: wire.Version, Body: body.Marshal(beat)})
		frames = wire.AppendRequest(frames, &wire.Request{Code: wire.ReqUnregisterClient, Opaque: 2, Language: wire.LanguageJava, Version: wire.Version,
			Header: &header.UnregisterClientRequest{ClientID: "c", ConsumerGroup: group}})
		wg.Go(func() {
			conn, err := net.Dial("tcp", w.addr)
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			if _, err = conn.Write(frames); err == nil {
				err = conn.SetReadDeadline(time.Now().Add(patience))
			}
			var dec wire.Decoder
			var c wire.Command
			for !c.IsResponse() || c.Opaque != 2 { // the group's change is told in between
				var length [4]byte
				if _, e := io.ReadFull(conn, length[:]); e != nil {
					t.Error(err, e)
					return
				}
				frame := make([]byte, binary.BigEndian.Uint32(length[:]))
				if _, e := io.ReadFull(conn, frame); e != nil {
					t.Error(err, e)
					return
				}
				if e := dec.Decode(frame, &c); e != nil {
					t.Error(e)
					return
				}
			}
			if _, made := w.topics.Get(message.RetryTopic(group)); !made {
				t.Errorf("the heartbeat has not made the retry topic of %s", group)
			}
			if ids := w.session.ConsumerIDs(group); ids != nil {
				t.Errorf("members of %s after the unregistration: %v", group, ids)
			}
		})
	}
	wg.Wait()
}

// While the disk does not take a new group, other clients' heartbeats, locks and
// questions are answered; the groups that wait go into one write.
func TestNewGroupsDelayNoOtherClient(t *testing.T) {
	m := vfs.NewMem()
	w := start(t, m)
	w.client().heartbeat("a", "known", "T", "*")
	waiting, goOn := make(chan struct{}, 1), make(chan struct{})
	var writes atomic.Int64
	m.Fail(func(op vfs.Op, name string) error {
		if op == vfs.OpOpen && strings.HasSuffix(name, "subscriptionGroup.json.tmp") {
			writes.Add(1)
			select {
			case waiting <- struct{}{}:
			default:
			}
			<-goOn
		}
		return nil
	})
	const groups = 20
	var wg sync.WaitGroup
	for i := range groups {
		c := w.client()
		wg.Go(func() {
			beat := &body.HeartbeatData{ClientID: "n", ConsumerDataSet: []body.ConsumerData{{GroupName: fmt.Sprint("new", i)}}}
			if err := rpc.Heartbeat(w.ctx, c, w.addr, beat); err != nil {
				t.Error(err)
			}
		})
		if i == 0 {
			<-waiting
		}
	}
	other := w.client()
	other.heartbeat("b", "known", "T", "*")
	if ids := w.session.ConsumerIDs("known"); !slices.Equal(ids, []string{"a", "b"}) {
		t.Errorf("members %v", ids)
	}
	lock := &body.LockBatchRequestBody{ConsumerGroup: "known", ClientID: "b", MqSet: []body.MessageQueue{{Topic: "T", BrokerName: "broker-a"}}}
	if cmd, err := other.Invoke(w.ctx, w.addr, &wire.Request{Code: wire.ReqLockBatchMQ, Language: wire.LanguageJava, Version: wire.Version, Body: body.Marshal(lock)}); err != nil || cmd.Code != wire.Success {
		t.Errorf("a lock: %v, %v", cmd, err)
	}
	close(goOn)
	wg.Wait()
	for i := range groups {
		if _, ok := w.groups.Get(fmt.Sprint("new", i)); !ok {
			t.Errorf("new%d is not there", i)
		}
	}
	if n := writes.Load(); n >= groups {
		t.Errorf("%d writes for %d groups", n, groups)
	}
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package handler

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/session"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// crowd finds clients by id; every group has all of them.
type crowd map[string]session.Client

func (c crowd) Producer(id string) (session.Client, bool)    { k, ok := c[id]; return k, ok }
func (c crowd) Consumer(_, id string) (session.Client, bool) { k, ok := c[id]; return k, ok }
func (c crowd) Consumers(string) (session.Group, bool) {
	var g session.Group
	for _, k := range c {
		g.Clients = append(g.Clients, k)
	}
	return g, true
}

// replyTopics has the one topic.
type replyTopics struct{ SendTopics }

func (replyTopics) Find(name []byte) (*body.TopicConfig, bool) {
	t := body.NewTopicConfig(string(name))
	return &t, true
}

// silence is a server of relays and replies, in virtual time, with clients by id
// that take what they are asked and answer nothing.
func silence(t *testing.T, r *Relay, p *Reply, ids ...string) (ask func(*wire.Request) *wire.Command) {
	t.Helper()
	const addr = "127.0.0.1:10911"
	clients := crowd{}
	relays, replies := remoting.NewLane("relay", 100, 100), remoting.NewLane("reply", 2, 3*maxUnanswered)
	r.Members, p.Requesters = clients, clients
	memory := remoting.NewMemNetwork()
	s := remoting.NewServer(remoting.ServerConfig{Addr: addr, Listen: memory.Listen, Routes: func(code int32) (remoting.Route, bool) {
		switch code {
		case wire.ReqGetConsumerRunningInfo:
			return remoting.Route{Handler: r.RunningInfo, Lane: relays}, true
		case wire.ReqInvokeBrokerToGetConsumerStatus:
			return remoting.Route{Handler: r.Status, Lane: relays}, true
		case wire.ReqSendReplyMessageV2:
			return remoting.Route{Handler: p.Handle, Lane: replies}, true
		case wire.ReqHeartBeat:
			return remoting.Route{Handler: func(r *remoting.Request) {
				id := string(r.Body)
				clients[id] = session.Client{ID: id, Version: wire.Version, Conn: r.Conn}
				r.Reply(&wire.Response{Code: wire.Success})
			}}, true
		}
		return remoting.Route{}, false
	}})
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run(context.Background()) }()
	var all []*remoting.Client
	for _, id := range append(ids, "") {
		c := remoting.NewClient(remoting.ClientConfig{Dial: memory.Dial, Routes: func(int32) (remoting.Route, bool) {
			return remoting.Route{Handler: func(r *remoting.Request) {
				if ticket := r.Ticket(); id == "live" {
					ticket.Reply(&wire.Response{Code: wire.Success, Body: []byte(`{"messageQueueTable":{}}`)})
				}
			}}, true
		}})
		all = append(all, c)
		if id != "" {
			if _, err := c.Invoke(t.Context(), addr, &wire.Request{Code: wire.ReqHeartBeat, Body: []byte(id)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Cleanup(func() {
		var err error
		for _, c := range all {
			err = errors.Join(err, c.Close())
		}
		if err := errors.Join(err, s.Close(), <-ended); err != nil {
			t.Error(err)
		}
	})
	return func(req *wire.Request) *wire.Command {
		cmd, err := all[len(all)-1].Invoke(context.Background(), addr, req)
		if err != nil {
			t.Error(err)
			return &wire.Command{}
		}
		return cmd
	}
}

func TestSilentClientEndsARelayAfterItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ask := silence(t, &Relay{}, &Reply{}, "silent", "live")
		began := time.Now()
		cmd := ask(&wire.Request{Code: wire.ReqGetConsumerRunningInfo, Header: &header.RunningInfoRequest{ConsumerGroup: "g", ClientID: "silent"}})
		if cmd.Code != wire.ConsumeMsgTimeout || !strings.Contains(string(cmd.Remark), "<g> <silent>") || time.Since(began) != relayTimeout {
			t.Errorf("after %v: %d %s", time.Since(began), cmd.Code, cmd.Remark)
		}
	})
}

func TestSilentClientsAreLeftOutOfTheStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ask := silence(t, &Relay{}, &Reply{}, "silent", "silent too", "live")
		began := time.Now()
		cmd := ask(&wire.Request{Code: wire.ReqInvokeBrokerToGetConsumerStatus, Header: &header.ConsumerStatusRequest{Topic: "T", Group: "g"}})
		var b body.GetConsumerStatusBody
		if err := body.Unmarshal(cmd.Body, &b); err != nil {
			t.Fatal(err)
		}
		if _, ok := b.ConsumerTable["live"]; !ok || len(b.ConsumerTable) != 1 || time.Since(began) != statusTimeout {
			t.Errorf("after %v: %v", time.Since(began), b.ConsumerTable)
		}
	})
}

// Whatever waits for clients that are silent, others get their replies at once.
func TestSilentClientEndsAReplyAfterItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &Reply{Send: &Send{Topics: replyTopics{}, Settings: limits(0, 0), Every: func() *wire.ExtConst { return nil }, Writable: func() bool { return true }, Host: netip.MustParseAddrPort("[::1]:7")},
			NowMillis: func() int64 { return 5 }, Logger: slog.New(slog.DiscardHandler)}
		silent := []string{"silent", "silent too"}
		ask := silence(t, &Relay{}, p, append(silent, "live")...)
		reply := func(to string) *wire.Command {
			return ask(&wire.Request{Code: wire.ReqSendReplyMessageV2, Header: &header.SendRequest{Topic: []byte("R"), DefaultTopic: []byte("D"),
				ProducerGroup: []byte("p"), Properties: message.AppendProperty(nil, message.PropertyReplyToClient, to)}})
		}
		began := time.Now()
		if cmd := reply("silent"); cmd.Code != wire.SystemError || !strings.Contains(string(cmd.Remark), "silent fail: it gave no answer within 10s") || time.Since(began) != relayTimeout {
			t.Errorf("after %v: %d %s", time.Since(began), cmd.Code, cmd.Remark)
		}
		began = time.Now()
		ended := make(chan *wire.Command, len(silent)*maxUnanswered)
		for range maxUnanswered {
			for _, id := range silent {
				go func() { ended <- reply(id) }()
			}
		}
		synctest.Wait()
		if cmd := reply("silent"); cmd.Code != wire.SystemError || !strings.Contains(string(cmd.Remark), "has not answered 2048 replies") {
			t.Errorf("one too many: %d %s", cmd.Code, cmd.Remark)
		}
		if cmd := reply("live"); cmd.Code != wire.Success || time.Since(began) != 0 {
			t.Errorf("another client, after %v: %d %s", time.Since(began), cmd.Code, cmd.Remark)
		}
		for range cap(ended) {
			if cmd := <-ended; cmd.Code != wire.SystemError {
				t.Errorf("%d %s", cmd.Code, cmd.Remark)
			}
		}
		if time.Since(began) != relayTimeout || len(p.waiting) != 0 {
			t.Errorf("after %v: %v", time.Since(began), p.waiting)
		}
	})
}

func TestHostPort(t *testing.T) {
	for in, want := range map[string]string{"127.0.0.1:80": "127.0.0.1:80", "[::1]:80": "::1:80", "[::ffff:10.0.0.1]:1": "10.0.0.1:1", "[fe80::1%eth0]:2": "fe80::1:2"} {
		if got := hostPort(netip.MustParseAddrPort(in)); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"os"
	"strings"
	"testing"
	"time"
)

func clientsLoad(t Target) ClientsLoad {
	return ClientsLoad{
		Load: Load{
			Targets: []Target{t}, Topic: "T", Topics: 3, Conns: 1, Inflight: 8, Size: 10, Rate: 300, Warmup: time.Millisecond, Duration: 150 * time.Millisecond,
			PID: os.Getpid(),
		},
		Links: 3, Consumers: 10, Beat: 50 * time.Millisecond, Groups: 4, HotRate: 200, Polls: 7, Hold: time.Minute,
	}
}

func TestClients(t *testing.T) {
	f := &fakeTopics{}
	l := clientsLoad(f.start(t))
	l.Stalled, l.Scans = 0, 1
	res, err := Clients(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	if err := res.Err(4); err != nil {
		t.Error(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	var hot, idle int
	for _, queue := range []string{" 0", " 1"} {
		hot += len(f.queue([]byte("T-1"), int32(queue[1]-'0')).records)
		idle += len(f.queue([]byte("T-2"), int32(queue[1]-'0')).held)
		if f.queues["T-0"+queue] == nil || len(f.queues["T-0"+queue].records) == 0 {
			t.Errorf("the producer sent nothing to queue%s", queue)
		}
	}
	if res.Sent == 0 || int64(hot) != res.Sent || res.Received != 4*res.Sent || idle != 7 {
		t.Errorf("%d messages, %d of them stored, received %d; %d pulls are held", res.Sent, hot, res.Received, idle)
	}
	if len(f.heartbeats) != 10 || len(f.members) != 4 || f.sends < hot+2 {
		t.Errorf("%d clients in %d groups", len(f.heartbeats), len(f.members))
	}
	if res.Heartbeats.TotalCount() == 0 || res.Delivered.TotalCount() == 0 || res.Alone.Messages == 0 || res.Loaded.Messages == 0 || res.Memory[0] <= 0 || res.Memory[2] <= 0 || res.Scanned == 0 {
		t.Errorf("%+v", res)
	}
	for code, n := range f.codes {
		if n == 0 {
			t.Errorf("no request %d", code)
		}
	}
}

// TestClientsUnheld has pulls answered at once that ask to be held.
func TestClientsUnheld(t *testing.T) {
	f := &fakeTopics{unheld: true}
	l := clientsLoad(f.start(t))
	l.Groups, l.Consumers = 0, 0
	res, err := Clients(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	if err := res.Err(0); res.Unheld != 7 || err == nil || !strings.Contains(err.Error(), "7 pulls were answered") {
		t.Errorf("%d: %v", res.Unheld, err)
	}
}

func TestClientsRefuses(t *testing.T) {
	for name, spoil := range map[string]func(*ClientsLoad){
		"no broker":                     func(l *ClientsLoad) { l.Targets = nil },
		"two topics":                    func(l *ClientsLoad) { l.Topics = 2 },
		"no rate":                       func(l *ClientsLoad) { l.Rate = 0 },
		"no connections":                func(l *ClientsLoad) { l.Links = 0 },
		"consumers without a group":     func(l *ClientsLoad) { l.Groups = 0 },
		"more groups than consumers":    func(l *ClientsLoad) { l.Groups = 11 },
		"two members on one connection": func(l *ClientsLoad) { l.Links = 2 },
		"heartbeats all the time":       func(l *ClientsLoad) { l.Beat = 0 },
		"a negative number":             func(l *ClientsLoad) { l.Polls = -1 },
	} {
		l := clientsLoad(Target{Addr: "127.0.0.1:1", Queues: 1})
		spoil(&l)
		if _, err := Clients(t.Context(), l); err == nil || strings.Contains(err.Error(), "refused") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := (&ClientsResult{Sent: 3, Received: 5}).Err(2); err == nil || !strings.Contains(err.Error(), "2 groups received 5 messages of 6") {
		t.Errorf("%v", err)
	}
}

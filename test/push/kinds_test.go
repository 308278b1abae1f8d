// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package push

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/twostage/twostage/client"
	"github.com/twostage/twostage/message"
)

// Every member of a broadcast has all messages, and goes on from its own file.
func TestBroadcast(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.topic("prices", 2)
	w.send("prices", 10)
	dirs := [2]string{t.TempDir(), t.TempDir()}
	for _, dir := range dirs {
		var all seen
		c := w.consumer("caches", client.WithBroadcast(dir))
		if err := c.Subscribe("prices", client.All, all.handler); err != nil {
			t.Fatal(err)
		}
		w.start(c)
		all.waitFor(t, 10)
		w.close(c)
	}
	w.sendOne("prices", "new")
	var all seen
	c := w.consumer("caches", client.WithBroadcast(dirs[0]))
	if err := c.Subscribe("prices", client.All, all.handler); err != nil {
		t.Fatal(err)
	}
	w.start(c)
	all.waitFor(t, 1)
	w.close(c)
	if got := fmt.Sprint(all.bodies()); got != "[new]" {
		t.Errorf("after a restart: %s", got)
	}
}

// Tags and expressions select, and tags whose hashes are equal are told apart.
func TestFilters(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "enablePropertyFilter=true")
	w.topic("orders", 2)
	for i, tag := range []string{"Aa", "BB", "C"} { // Aa and BB have one hash
		m := message.New("orders", []byte(tag))
		m.SetTags(tag)
		if err := m.SetProperty("price", strconv.Itoa(i)); err != nil {
			t.Fatal(err)
		}
		if _, err := w.p.Send(w.ctx, m); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		filter client.Filter
		want   string
	}{
		{client.Tags("Aa || C"), "[Aa C]"},
		{client.SQL("price > 0 AND TAGS <> 'C'"), "[BB]"},
	} {
		var all seen
		c := w.consumer("by_"+strconv.Itoa(len(tt.want)), client.WithConcurrency(1))
		if err := c.Subscribe("orders", tt.filter, all.handler); err != nil {
			t.Fatal(err)
		}
		w.start(c)
		all.waitFor(t, 1)
		time.Sleep(quiet)
		if got := fmt.Sprint(all.sorted()); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.filter, got, tt.want)
		}
	}
}

// Where a group begins is settled once: what comes after the first Start is
// consumed, also by a consumer that comes later.
func TestStartLatestIsSettledOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.topic("orders", 1)
	w.sendOne("orders", "old")
	start := func() (*client.PushConsumer, *seen) {
		var all seen
		c := w.consumer("billing", client.WithStart(client.StartLatest))
		if err := c.Subscribe("orders", client.All, all.handler); err != nil {
			t.Fatal(err)
		}
		w.start(c)
		return c, &all
	}
	c, _ := start()
	w.close(c)
	w.sendOne("orders", "between")
	c, all := start()
	w.sendOne("orders", "new")
	all.waitFor(t, 2)
	w.close(c)
	if got := fmt.Sprint(all.bodies()); got != "[between new]" {
		t.Errorf("consumed %s", got)
	}
}

// With one attempt a message that fails is a dead letter at once; and a group can
// begin at a time.
func TestOneAttemptFromATime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.topic("orders", 1)
	w.sendOne("orders", "old")
	time.Sleep(20 * time.Millisecond)
	at := time.Now()
	time.Sleep(20 * time.Millisecond)
	w.sendOne("orders", "new")
	var all, dead seen
	c := w.consumer("billing", client.WithMaxAttempts(1), client.WithStart(client.StartAt(at)))
	if err := c.Subscribe("orders", client.All, func(ctx context.Context, m *message.Received) error {
		all.add(m)
		return errors.New("on purpose")
	}); err != nil {
		t.Fatal(err)
	}
	w.start(c)
	all.waitFor(t, 1)
	d := w.consumer("undertaker")
	if err := d.Subscribe(message.DLQTopic("billing"), client.All, dead.handler); err != nil {
		t.Fatal(err)
	}
	w.start(d)
	dead.waitFor(t, 1)
	if got := fmt.Sprint(all.bodies(), dead.bodies()); got != "[new] [new]" {
		t.Errorf("consumed and dead: %s", got)
	}
}

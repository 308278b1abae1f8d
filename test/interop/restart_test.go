// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"testing"

	rocketmq "github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/primitive"

	"github.com/twostage/twostage/internal/proctest"
)

// TestServerRestart stops and kills the server under running clients: messages,
// topics, group offsets, delayed messages and open transactions survive, and the
// clients go on.
func TestServerRestart(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		end  func(*cluster) error
	}{
		{"Stop", func(c *cluster) error { return c.Stop() }},
		{"Kill", func(c *cluster) error { return c.Kill() }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			testServerRestart(t, tc.end)
		})
	}
}

func testServerRestart(t *testing.T, end func(*cluster) error) {
	// Clients remember addresses: the same ports after the restart.
	c := start(t, "--set", "listenPort="+strconv.Itoa(proctest.FreePort(t)), "--namesrv-set", "listenPort="+strconv.Itoa(proctest.FreePort(t)))
	topic, group := c.topic(t, "topic", 2), name(t, "group")
	p := c.producer(t)
	before, after := numbered("before", 10), numbered("after", 10)
	sendAll(t, p, topic, before...)

	gone, stays := &inbox{}, &inbox{}
	c.consumer(t, name(t, "stays"), topic, stays)
	stopped := c.consumer(t, group, topic, gone)
	gone.await(t, soon, before...)
	stays.await(t, soon, before...)
	if err := stopped.Shutdown(); err != nil {
		t.Fatal(err)
	}
	c.awaitOffsets(t, topic, group, 10)

	l := &local{execute: always(primitive.UnknowState), check: func(*primitive.MessageExt, int) primitive.LocalTransactionState {
		return primitive.CommitMessageState
	}}
	half := c.topic(t, "half", 1)
	sendTx(t, c.transactions(t, name(t, "tx"), l), primitive.NewMessage(half, []byte("half")))
	later := primitive.NewMessage(c.topic(t, "later", 1), []byte("later"))
	later.WithDelayTimeLevel(2)
	send(t, p, later)
	if err := end(c); err != nil {
		t.Fatal(err)
	}
	if l.checked("half") != 0 {
		t.Log("the transaction was checked before the server ended")
	}
	c.Restart(t)

	for _, b := range after {
		sendAgain(t, p, topic, b)
	}
	again, delayed, committed := &inbox{}, &inbox{}, &inbox{}
	c.consumer(t, group, topic, again)
	again.await(t, patient, after...)
	c.consumer(t, name(t, "later"), later.Topic, delayed)
	delayed.await(t, patient, "later")
	c.consumer(t, name(t, "half"), half, committed)
	committed.await(t, patient, "half")
	// The consumer that was there all the time may get some again: it had not
	// told the broker yet.
	await(t, patient, func() string {
		have := stays.bodies()
		for _, b := range slices.Concat(before, after) {
			if !slices.Contains(have, b) {
				return fmt.Sprintf("%s has not come to the consumer that stayed", b)
			}
		}
		return ""
	})
}

// sendAgain sends until it succeeds: the client notices that the server is back.
func sendAgain(t *testing.T, p rocketmq.Producer, topic, body string) {
	t.Helper()
	await(t, patient, func() string {
		if _, err := p.SendSync(t.Context(), primitive.NewMessage(topic, []byte(body))); err != nil {
			return err.Error()
		}
		return ""
	})
}

// awaitOffsets waits until the file has the group's offsets, which sum up to n.
func (c *cluster) awaitOffsets(t *testing.T, topic, group string, n int) {
	t.Helper()
	entry := regexp.MustCompile(`"` + regexp.QuoteMeta(topic+"@"+group) + `":\{([^}]*)\}`)
	offset := regexp.MustCompile(`\d+:(\d+)`)
	await(t, soon, func() string {
		text, err := os.ReadFile(filepath.Join(c.Data, "store", "config", "consumerOffset.json"))
		if err != nil {
			return err.Error()
		}
		sum := 0
		if m := entry.FindSubmatch(text); m != nil {
			for _, o := range offset.FindAllSubmatch(m[1], -1) {
				v, _ := strconv.Atoi(string(o[1]))
				sum += v
			}
		}
		if sum != n {
			return fmt.Sprintf("the offsets of %s sum up to %d, want %d:\n%s", group, sum, n, text)
		}
		return ""
	})
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// directly has a consumer of the broker consume a message of T out of turn, and gives
// what it answers.
func (b *broker) directly(ctx context.Context, text string) (*body.ConsumeMessageDirectlyResult, error) {
	beats := b.got(wire.ReqHeartBeat)
	answer, err := beats[len(beats)-1].conn.Invoke(ctx, &wire.Request{
		Code: wire.ReqConsumeMessageDirectly, Header: &header.ConsumeDirectlyRequest{ConsumerGroup: "g", BrokerName: b.name},
		Body: message.AppendRecord(nil, &message.Record{Topic: []byte("T"), Body: []byte(text)}),
	})
	if err != nil {
		return nil, err
	}
	if answer.Code != wire.Success {
		return nil, errors.New(string(answer.Remark))
	}
	var res body.ConsumeMessageDirectlyResult
	return &res, body.Unmarshal(answer.Body, &res)
}

// Close waits for handlers that run out of turn as for all others, leaves them behind
// as it does those, and says so.
func TestCloseAndHandlersOutOfTurn(t *testing.T) {
	for name, patient := range map[string]bool{"ends with its ctx": true, "ignores its ctx": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				b, _ := w.groupBroker("a", 10001)
				w.topic("T", 1, b)
				c, err := NewPushConsumer("g", w.with(WithCloseTimeout(5*time.Second))...)
				if err != nil {
					t.Fatal(err)
				}
				running, release := make(chan bool), make(chan bool)
				startPush(t, c, "T", func(ctx context.Context, _ *message.Received) error {
					running <- true
					if patient {
						<-ctx.Done()
						return ctx.Err()
					}
					<-release
					return nil
				})
				answered := make(chan error, 1)
				go func() {
					res, err := b.directly(t.Context(), "a")
					if err == nil && res.ConsumeResult != "CR_LATER" {
						err = errors.New(res.ConsumeResult)
					}
					answered <- err
				}()
				<-running
				begun := time.Now()
				err = c.Close()
				took, want := time.Since(begun), 5*time.Second
				if !patient {
					want += closeGrace
				}
				if took < want || took > want+time.Second {
					t.Errorf("Close took %v, want %v", took, want)
				}
				switch said := <-answered; {
				case patient && (err != nil || said != nil):
					t.Errorf("Close says %v, the broker heard %v", err, said)
				case !patient && (err == nil || !strings.Contains(err.Error(), "handlers of 1 messages consumed directly")):
					t.Errorf("Close says %v", err)
				case !patient && (said == nil || !strings.Contains(said.Error(), "left the handler behind")):
					t.Errorf("the broker heard %v", said)
				}
				close(release)
				synctest.Wait() // what was left behind ends
				b.stop()
			})
		})
	}
}

// A handler that ends its goroutine has failed, also out of turn.
func TestHandlerOutOfTurnThatExits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		b, _ := w.groupBroker("a", 10001)
		w.topic("T", 1, b)
		c := newPush(t, w)
		startPush(t, c, "T", func(context.Context, *message.Received) error {
			runtime.Goexit()
			return nil
		})
		for range 3 { // more than run at a time
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			res, err := b.directly(ctx, "a")
			if err != nil || res.ConsumeResult != "CR_LATER" || !strings.Contains(res.Remark, "ended its goroutine") {
				t.Errorf("%+v, %v", res, err)
			}
			cancel()
		}
		closePush(t, c)
	})
}

// Running info names the name servers however they were given.
func TestNameServersInRunningInfo(t *testing.T) {
	t.Setenv(nameServersEnv, "a:1;b:2")
	for want, opts := range map[string][]Option{
		"a:1;b:2;": nil, "c:3;": {WithNameServers("c:3")}, "d.example:4;": {WithNameServerDNS("d.example:4")},
	} {
		c, err := NewPushConsumer("g", opts...)
		if err != nil {
			t.Fatal(err)
		}
		closing(t, c)
		if got := c.runningInfo().Properties["PROP_NAMESERVER_ADDR"]; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

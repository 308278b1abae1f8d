// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package consume

import (
	"bytes"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire"
)

// TestWorldBites holds that a round finds a broker that breaks a rule. What breaks
// it stands between the clients and the broker, or at its files while it is down.
func TestWorldBites(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		group group
		code  int32 // of the requests that it changes,
		every int64 // so many
		fault func(breaker, *wire.Request) (*wire.Command, error)
		want  []violation // any
	}{
		{"a send is lost", plainGroup, wire.ReqSendMessageV2, 20, breaker.drop, []violation{lostMessage}},
		{"a message that is given back is lost", plainGroup, wire.ReqConsumerSendMsgBack, 4, breaker.drop, []violation{lostRetry}},
		{"a message that is given back comes twice", plainGroup, wire.ReqConsumerSendMsgBack, 4, breaker.twice, []violation{phantom}},
		{"a pull leaves a message out", keyedGroup, wire.ReqPullMessage, 4, breaker.firstLost, []violation{gapInPull}},
		{"an offset runs ahead", plainGroup, wire.ReqUpdateConsumerOffset, 1, breaker.ahead, []violation{passedBy, wrongOffset}},
		{"an offset is not stored", plainGroup, wire.ReqUpdateConsumerOffset, 1, breaker.drop, []violation{wrongOffset}},
		{"an offset goes back", keyedGroup, wire.ReqQueryConsumerOffset, 3, breaker.behind, []violation{wrongOffset}},
		{"a lock is given to all", keyedGroup, wire.ReqLockBatchMQ, 1, breaker.lockAll, []violation{twoHolders}},
		{"a dead letter of a first failure", plainGroup, wire.ReqConsumerSendMsgBack, 4, breaker.noTries, []violation{earlyDead}},
		{"a policy is not kept", patientGroup, wire.ReqConsumerSendMsgBack, 1, breaker.byLevel, []violation{earlyRetry}},
		{"a popped message is acknowledged by nobody", popGroup, wire.ReqPopMessage, 10, breaker.swallow, []violation{unconsumed}},
		{"an acknowledgement is lost", popGroup, wire.ReqAckMessage, 5, breaker.drop, []violation{afterAck}},
		{"a message is visible too early", popGroup, wire.ReqPopMessage, 1, breaker.brief, []violation{tooVisible}},
		{"a message is not hidden as long as is said", popGroup, wire.ReqChangeMessageInvisibleTime, 1, breaker.briefly, []violation{tooVisible}},
		{"an acknowledgement in order is lost", popOrderlyGroup, wire.ReqAckMessage, 5, breaker.drop, []violation{afterAck}},
		{"an offset in order is ahead", popOrderlyGroup, wire.ReqQueryConsumerOffset, 1, breaker.beyond, []violation{passedBy}},
		{"a queue in order is not kept for one", popOrderlyGroup, wire.ReqPopMessage, 1, breaker.unordered, []violation{queueDisorder, keyDisorder}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var n atomic.Int64
			bite(t, options{
				groups: []group{c.group},
				fault: func(who string, inner rpc.Caller) rpc.Caller {
					return breaker{Caller: inner, who: who, group: c.group, code: c.code, every: c.every, n: &n, fault: c.fault}
				},
			}, c.want)
		})
	}
	for _, c := range []struct {
		name   string
		group  group
		damage func(store string) error
		want   []violation
	}{
		{"a kill loses the offsets", keyedGroup, loseOffsets, []violation{wrongOffset}},
		{"a kill loses the end of the log", popGroup, loseEnd, []violation{lostMessage, phantom, afterAck}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			bite(t, options{groups: []group{c.group}, kills: 1, damage: c.damage}, c.want)
		})
	}
}

// bite holds that a short round finds a violation, any of those that are wanted; on
// a machine that is too busy for that, a longer one.
func bite(t *testing.T, cfg options, want []violation) {
	t.Helper()
	cfg.seed, cfg.setting, cfg.drain = firstSeed(), asyncFlush, 2*time.Second
	if cfg.groups[0].pop {
		cfg.drain = 5 * time.Second // until what lapses has come again
	}
	for _, cfg.duration = range []time.Duration{2 * time.Second, 8 * time.Second} {
		v := newWorld(t, cfg).round()
		for _, kind := range want {
			if v.found[kind] > 0 {
				return
			}
		}
		t.Logf("seed %d, %v: none of %q was found, but %q", cfg.seed, cfg.duration, want, v.told)
		v.print(t)
	}
	t.Fail()
}

// loseOffsets removes the consumers' offsets.
func loseOffsets(store string) error {
	for _, name := range []string{"consumerOffset.json", "consumerOffset.json.bak"} {
		if err := os.Remove(filepath.Join(store, "config", name)); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	return nil
}

// loseEnd overwrites the last 64 KiB of the log that hold something.
func loseEnd(store string) error {
	files, err := filepath.Glob(filepath.Join(store, "commitlog", "*"))
	if err != nil {
		return err
	}
	left := 64 << 10
	for i := len(files) - 1; i >= 0 && left > 0; i-- {
		data, err := os.ReadFile(files[i])
		if err != nil {
			return err
		}
		end := len(bytes.TrimRight(data, "\x00"))
		from := max(end-left, 0)
		left -= end - from
		clear(data[from:end])
		if err := os.WriteFile(files[i], data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package message

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestMessageAccessors(t *testing.T) {
	m := New("Topic", []byte("body"))
	if m.Tags() != "" || m.DelayLevel() != 0 || !m.WaitStored() || m.Prepared() || len(m.Keys()) != 0 {
		t.Errorf("a new message has %+v", m)
	}
	m.SetTags("A")
	m.SetKeys("k1", "k2")
	m.SetDelayLevel(3)
	m.SetUniqueKey("id")
	m.SetWaitStored(false)
	m.SetPrepared("group")
	m.SetShardingKey("shard")
	m.SetBuyerID("buyer")
	m.SetInstanceID("instance")
	if err := m.SetProperty("mine", "x"); err != nil {
		t.Fatal(err)
	}
	want := "BUYER_ID\x01buyer\x02DELAY\x013\x02INSTANCE_ID\x01instance\x02KEYS\x01k1 k2\x02PGROUP\x01group\x02TAGS\x01A\x02" +
		"TRAN_MSG\x01true\x02UNIQ_KEY\x01id\x02WAIT\x01false\x02__SHARDINGKEY\x01shard\x02mine\x01x"
	if got := string(m.Properties.Append(nil)); got != want {
		t.Errorf("properties %q, want %q", got, want)
	}
	if m.Tags() != "A" || !slices.Equal(m.Keys(), []string{"k1", "k2"}) || m.DelayLevel() != 3 || m.UniqueKey() != "id" ||
		m.WaitStored() || !m.Prepared() || m.ProducerGroup() != "group" || m.ShardingKey() != "shard" || m.BuyerID() != "buyer" ||
		m.InstanceID() != "instance" || m.Property("mine") != "x" || m.TransactionID() != "id" {
		t.Errorf("read back %+v", m)
	}
	m.SetTags("")
	m.SetKeys()
	m.SetDelayLevel(0)
	m.SetDeliverTime(time.UnixMilli(1700000000123))
	if at := m.Properties[PropertyTimerDeliver]; at != "1700000000123" {
		t.Errorf("to be delivered at %q", at)
	}
	m.SetDeliverTime(time.Time{})
	for _, name := range []string{PropertyTags, PropertyKeys, PropertyDelay, PropertyTimerDeliver} {
		if _, ok := m.Properties[name]; ok {
			t.Errorf("%s is still there", name)
		}
	}
	m.Properties[PropertyDelay] = "99999999999"
	if m.DelayLevel() != 0 {
		t.Errorf("delay level %d of no number", m.DelayLevel())
	}
	for name, value := range map[string]string{"": "v", "a\x02": "v", "a": "\x01", "b": "", PropertyUniqueKey: "v", PropertyRealTopic: "v"} {
		if err := m.SetProperty(name, value); !errors.Is(err, ErrProperty) {
			t.Errorf("set %q to %q: %v", name, value, err)
		}
	}
}

func TestMessageCheck(t *testing.T) {
	for _, c := range []struct {
		m    *Message
		want error
	}{
		{New("Topic-1_%|x", []byte("b")), nil},
		{New("", []byte("b")), ErrName},
		{New("a b", []byte("b")), ErrName},
		{New("\u4e2d", []byte("b")), ErrName},
		{New(strings.Repeat("t", MaxTopicLength), []byte("b")), nil},
		{New(strings.Repeat("t", MaxTopicLength+1), []byte("b")), ErrName},
		{New("T", nil), ErrBody},
		{&Message{Topic: "T", Body: []byte("b"), Properties: Properties{"a": "\x01"}}, ErrProperty},
		{&Message{Topic: "T", Body: []byte("b"), Properties: Properties{"a": strings.Repeat("v", MaxPropertiesLength)}}, ErrProperties},
	} {
		if err := c.m.Check(); !errors.Is(err, c.want) {
			t.Errorf("%.40q: %v, want %v", c.m.Topic, err, c.want)
		}
	}
	if err := CheckGroup(strings.Repeat("g", MaxGroupLength+1)); !errors.Is(err, ErrName) {
		t.Error(err)
	}
}

func TestTopicNames(t *testing.T) {
	for topic, want := range map[string][2]bool{ // system, send forbidden
		TopicHalf: {true, true}, TopicAutoCreate: {true, false}, TopicTrace: {true, false}, TopicSchedule: {true, true},
		"rmq_sys_x": {true, false}, RevivePrefix + "c": {true, true}, "T": {}, RetryTopic("g"): {}, DLQTopic("g"): {},
	} {
		if got := [2]bool{IsSystemTopic(topic), IsSendForbidden(topic)}; got != want {
			t.Errorf("%s: %v, want %v", topic, got, want)
		}
	}
	if RetryTopic("g") != "%RETRY%g" || DLQTopic("g") != "%DLQ%g" || !IsSystemGroup(GroupTransCheck) || IsSystemGroup(GroupTools) {
		t.Error("retry, dead letter or system group")
	}
}

func TestEncodeBatch(t *testing.T) {
	a, b := New("T", []byte("1")), New("T", []byte("2"))
	a.Flag, b.Flag = -1, 2
	b.SetTags("B")
	batch, err := EncodeBatch([]*Message{a, b})
	if err != nil {
		t.Fatal(err)
	}
	want := AppendBatch(AppendBatch(nil, -1, []byte("1"), nil), 2, []byte("2"), []byte("TAGS\x01B"))
	if !bytes.Equal(batch, want) {
		t.Errorf("encoded as %x, want %x", batch, want)
	}
	late, retry := New("T", []byte("3")), New(RetryTopic("g"), []byte("4"))
	late.SetDelayLevel(1)
	at, half, careless := New("T", []byte("3")), New("T", []byte("3")), New("T", []byte("3"))
	at.SetDeliverTime(time.UnixMilli(1))
	half.SetPrepared("g")
	careless.SetWaitStored(false)
	for _, batch := range [][]*Message{nil, {a, New("U", []byte("5"))}, {a, late}, {retry}, {at}, {half}, {a, careless}} {
		if _, err := EncodeBatch(batch); !errors.Is(err, ErrBatch) {
			t.Errorf("%d messages: %v", len(batch), err)
		}
	}
	if _, err := EncodeBatch([]*Message{New("T", nil)}); !errors.Is(err, ErrBody) {
		t.Error(err)
	}
}

func TestSysFlag(t *testing.T) {
	f := SysFlag(0x301)
	if f.Compression() != CompressionZlib || !f.Has(FlagCompressed) || f.Transaction() != TransactionNone {
		t.Errorf("0x301 has compression %v", f.Compression())
	}
	f = f.WithTransaction(TransactionRollback).WithCompression(CompressionZstd)
	if f != 0x20D || f.WithTransaction(TransactionCommit) != 0x209 || f.WithoutCompression() != 0xC {
		t.Errorf("flag %#x", f)
	}
	var names []string
	for c := range CompressionType(5) {
		names = append(names, c.String())
	}
	if got := strings.Join(names, " "); got != "zlib lz4 zstd zlib compression(4)" {
		t.Errorf("names %q", got)
	}
}

func TestInflate(t *testing.T) {
	body := bytes.Repeat([]byte("twostage "), 1000)
	small, err := Deflate(body, 5)
	if err != nil || len(small) >= len(body) {
		t.Fatalf("deflated to %d bytes, %v", len(small), err)
	}
	for _, limit := range []int{len(body), math.MaxInt} {
		if got, err := Inflate(small, limit); err != nil || !bytes.Equal(got, body) {
			t.Errorf("limit %d: inflated to %d bytes, %v", limit, len(got), err)
		}
	}
	for _, limit := range []int{len(body) - 1, 0, -1} {
		if _, err := Inflate(small, limit); !errors.Is(err, ErrTooLarge) {
			t.Errorf("limit %d: %v", limit, err)
		}
	}
	for _, bad := range [][]byte{nil, []byte("x"), small[:len(small)-1], small[:20]} {
		if _, err := Inflate(bad, len(body)); !errors.Is(err, ErrCompression) {
			t.Errorf("%d bytes of it: %v", len(bad), err)
		}
	}
	if _, err := Deflate(body, 99); err == nil {
		t.Error("level 99 was accepted")
	}

	for _, c := range []CompressionType{CompressionOldZlib, CompressionZlib, CompressionLZ4, CompressionZstd, 7} {
		m := &Received{Message: Message{Body: small}, SysFlag: SysFlag(0).WithCompression(c)}
		err := m.Inflate(len(body))
		if zlib := c == CompressionOldZlib || c == CompressionZlib; zlib {
			if err != nil || !bytes.Equal(m.Body, body) || m.SysFlag != 0 {
				t.Errorf("type %d: %v, flag %v", c, err, m.SysFlag)
			}
		} else if !errors.Is(err, ErrCompression) || len(m.Body) != len(small) {
			t.Errorf("type %d: %v", c, err)
		}
	}
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package handler

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/message"
)

func TestTagSubscription(t *testing.T) {
	for expression, want := range map[string][]string{
		"": nil, "*": nil, "A": {"A"}, "A || B": {"A", "B"}, " A||B|| A ||": {"A", "B"}, "||": nil, "a b": {"a b"},
	} {
		sub := tagSubscription("T", expression)
		if !slices.Equal(sub.TagsSet, want) || len(sub.CodeSet) != len(want) || sub.Topic != "T" || sub.ExpressionType != "TAG" {
			t.Errorf("%q: %+v, want tags %q", expression, sub, want)
		}
		for i, tag := range want {
			if sub.CodeSet[i] != message.HashCode(tag) {
				t.Errorf("%q: code %d", expression, sub.CodeSet[i])
			}
		}
		if all := expression == "" || expression == "*"; all != (sub.SubString == "*") {
			t.Errorf("%q: subString %q", expression, sub.SubString)
		}
	}
}

func TestDescribe(t *testing.T) {
	c := body.NewTopicConfig("T")
	c.ReadQueueNums, c.WriteQueueNums, c.Perm = 3, 2, 5
	want := "TopicConfig [topicName=T, readQueueNums=3, writeQueueNums=2, perm=R-X, topicFilterType=SINGLE_TAG, topicSysFlag=0, order=false]"
	if got := describe(&c); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestStoreFailure(t *testing.T) {
	for err, want := range map[error]int32{
		store.ErrTooLarge: wire.MessageIllegal, store.ErrDeleted: wire.TopicNotExist,
		store.ErrReadOnly: wire.ServiceNotAvailable, store.ErrClosed: wire.ServiceNotAvailable, errors.New("no space"): wire.ServiceNotAvailable,
	} {
		code, remark := storeFailure(fmt.Errorf("append: %w", err))
		if code != want || remark == "" {
			t.Errorf("%v: %d %q, want %d", err, code, remark, want)
		}
	}
}

func TestPropertiesToStore(t *testing.T) {
	s := &Send{Cluster: "C"}
	for sent, want := range map[string]struct {
		stored string
		info   sendInfo
	}{
		"":                                 {"CLUSTER\x01C", sendInfo{}},
		"a\x011\x02":                       {"a\x011\x02CLUSTER\x01C", sendInfo{}},
		"WAIT\x01true\x02a\x011":           {"a\x011\x02CLUSTER\x01C", sendInfo{}},
		"a\x011\x02WAIT\x01false":          {"a\x011\x02CLUSTER\x01C", sendInfo{noWait: true}},
		"CLUSTER\x01X\x02a\x011":           {"a\x011\x02CLUSTER\x01C", sendInfo{}},
		"DELAY\x013":                       {"DELAY\x013\x02CLUSTER\x01C", sendInfo{delayed: true}},
		"DELAY\x010":                       {"DELAY\x010\x02CLUSTER\x01C", sendInfo{}},
		"TRAN_MSG\x01True":                 {"TRAN_MSG\x01True\x02CLUSTER\x01C", sendInfo{prepared: true}},
		"TRAN_MSG\x01false":                {"TRAN_MSG\x01false\x02CLUSTER\x01C", sendInfo{}},
		"TRAN_MSG\x01true\x02WAIT\x01true": {"TRAN_MSG\x01true\x02WAIT\x01true\x02CLUSTER\x01C", sendInfo{prepared: true}},
	} {
		props, info := s.properties(&Conn{}, []byte(sent))
		if string(props) != want.stored || info != want.info {
			t.Errorf("%q: %q %+v, want %q %+v", sent, props, info, want.stored, want.info)
		}
	}
}

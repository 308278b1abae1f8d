// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package body

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
)

// The names of the fields are what scripts rely on.
func TestTransactionForms(t *testing.T) {
	tests := []struct {
		body Body
		text string
	}{
		{&TransactionList{}, `{"broker":"","next":0,"transactions":[]}`},
		{&TransactionStory{}, `{"broker":"","events":[],"transaction":{"age":0,"checks":0,"commitLogOffset":0,"group":"","key":"","queueId":0,"queueOffset":0,"state":"","storedAt":0,"topic":""}}`},
		{
			&TransactionList{Broker: "b", Next: -1, Transactions: []Transaction{{
				QueueOffset: 1, CommitLogOffset: 2, Group: "g", Topic: "t", QueueID: 3, Key: "k", State: Discarded, Detail: "d", StoredAt: 4, Age: 5,
				Checks: 6, CheckedAt: 7, DueAt: 8, Chain: []int64{1, 9}, DecidedAt: 10, CommittedOffset: 11, ParkedOffset: 12, ResumedAs: 13,
			}}},
			`{"broker":"b","next":-1,"transactions":[{"age":5,"chain":[1,9],"checkedAt":7,"checks":6,"commitLogOffset":2,"committedOffset":11,"decidedAt":10,` +
				`"detail":"d","dueAt":8,"group":"g","key":"k","parkedOffset":12,"queueId":3,"queueOffset":1,"resumedAs":13,"state":"discarded","storedAt":4,"topic":"t"}]}`,
		},
		{
			&TransactionStory{Broker: "b", Events: []TransactionEvent{{At: 1, Kind: EventRefused, Outcome: "commit", Count: 2, Who: "w", Note: "n"}, {Kind: EventStored}}},
			`{"broker":"b","events":[{"at":1,"count":2,"kind":"refused","note":"n","outcome":"commit","who":"w"},{"at":0,"kind":"stored"}],` +
				`"transaction":{"age":0,"checks":0,"commitLogOffset":0,"group":"","key":"","queueId":0,"queueOffset":0,"state":"","storedAt":0,"topic":""}}`,
		},
	}
	for _, test := range tests {
		if got := string(MarshalStandard(test.body)); got != test.text {
			t.Errorf("have %s\nwant %s", got, test.text)
		}
		again := reflect.New(reflect.TypeOf(test.body).Elem()).Interface().(Body)
		if err := Unmarshal([]byte(test.text), again); err != nil || string(MarshalStandard(again)) != test.text {
			t.Errorf("%s: %v, %+v", test.text, err, again)
		}
	}
	if err := Unmarshal([]byte(`{"transactions":[{"checks":"x"}]}`), &TransactionList{}); err == nil || !strings.Contains(err.Error(), "transaction list: field transactions.checks") {
		t.Error(err)
	}
}

func TestTransactionFilter(t *testing.T) {
	for want, f := range map[string]TransactionFilter{
		"state \"gone\": accepted are undecided, committed, rolled-back, discarded, resumed, decided": {State: "gone"},
		"ages from -1ns to 0s":        {MinAge: -1},
		"ages from 0s to -1ns":        {MaxAge: -1},
		"ages from 1m0s to 1s":        {MinAge: time.Minute, MaxAge: time.Second},
		"from -1":                     {From: -1},
		"limit -1: accepted are 1 to": {Limit: -1},
		"limit 1001":                  {Limit: MaxTransactionLimit + 1},
	} {
		if err := f.Check(); !errors.Is(err, ErrFilter) || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %s", f, err, want)
		}
	}
	for _, s := range append(TransactionStates(), "") {
		f := TransactionFilter{State: s, MinAge: time.Minute, From: 7}
		if err := f.Check(); err != nil || f.Limit != TransactionLimit || f.From != 7 {
			t.Errorf("%+v: %v", f, err)
		}
	}
	f := TransactionFilter{MinAge: 1, MaxAge: 1, Limit: MaxTransactionLimit}
	if err := f.Check(); err != nil || f.Limit != MaxTransactionLimit {
		t.Errorf("%+v: %v", f, err)
	}
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/twostage/twostage/message"
)

func times(list []*message.Received) string {
	var all []string
	for _, m := range list {
		all = append(all, fmt.Sprintf("%s%d@%s", m.BrokerName, m.QueueID, m.Body))
	}
	return strings.Join(all, " ")
}

// A key of more messages than a broker gives at once is asked for page by page; where
// a second has more than that, it is said.
func TestMessagesByKeyPages(t *testing.T) {
	s, a := newShelf(t)
	s.topic("T", 1)
	for i := range 3*queryMost + 5 {
		s.put(addrA, "T", 0, 10_000+int64(i)*100, message.Properties{"KEYS": "k"})
	}
	first := s.put(addrB, "T", 0, 9_000, message.Properties{"KEYS": "k"})
	list, more, err := a.MessagesByKey(t.Context(), "T", "k", 0, 0, 0)
	if err != nil || more || len(list) != 3*queryMost+6 || list[0].PhysicalOffset != first.PhysicalOffset || list[1].StoreTime.UnixMilli() != 10_000 {
		t.Errorf("%d messages, more %v, %v", len(list), more, err)
	}
	if list, more, err = a.MessagesByKey(t.Context(), "T", "k", 10_000, 0, 2); err != nil || !more || times(list) != "a0@10000 a0@10100" {
		t.Errorf("%s, more %v, %v", times(list), more, err)
	}
	for range queryMost + 1 {
		s.put(addrA, "T", 0, 50_000, message.Properties{"KEYS": "k"})
	}
	if list, more, err = a.MessagesByKey(t.Context(), "T", "k", 0, 0, 0); err != nil || !more || len(list) != 4*queryMost+6 {
		t.Errorf("of one second: %d messages, more %v, %v", len(list), more, err)
	}
}

func TestFindMessages(t *testing.T) {
	s, a := newShelf(t)
	s.topic("T", 2)
	s.put(addrB, "T", 0, 300, message.Properties{"KEYS": "k other", "UNIQ_KEY": "U1"})
	s.put(addrA, "T", 1, 200, message.Properties{"KEYS": "k", "UNIQ_KEY": "U2"})
	last := s.put(addrA, "T", 1, 400, message.Properties{"KEYS": "same hash", "UNIQ_KEY": "U1"})
	for _, c := range []struct {
		begin, end int64
		limit      int
		want       string
	}{{0, 0, 0, "a1@200 b0@300"}, {250, 0, 0, "b0@300"}, {0, 300, 1, "a1@200"}} {
		list, _, err := a.MessagesByKey(t.Context(), "T", "k", c.begin, c.end, c.limit)
		if got := times(list); err != nil || got != c.want {
			t.Errorf("%+v: %s, %v", c, got, err)
		}
	}
	list, err := a.MessagesByUniqueKey(t.Context(), "T", "U1")
	if got := times(list); err != nil || got != "b0@300 a1@400" {
		t.Errorf("%s, %v", got, err)
	}
	if _, _, err := a.MessagesByKey(t.Context(), "T", "none", 0, 0, 0); !errors.Is(err, ErrNoMessage) {
		t.Errorf("%v", err)
	}
	offsetID := func(addr string, at int64) string {
		return string(message.AppendOffsetID(nil, netip.MustParseAddrPort(addr), at))
	}
	for id, topic := range map[string]string{"U1": "T", offsetID(addrA, last.PhysicalOffset): ""} {
		if m, err := a.Message(t.Context(), topic, id); err != nil || string(m.Body) != "400" || m.BrokerName != "a" {
			t.Errorf("%s: %+v, %v", id, m, err)
		}
	}
	s.topic("U", 2)
	if _, err := a.Message(t.Context(), "U", offsetID(addrA, last.PhysicalOffset)); !errors.Is(err, ErrNoMessage) || !strings.Contains(err.Error(), "is of topic T, not of U") {
		t.Errorf("an offset id with the topic of another message: %v", err)
	}
	if m, err := a.Message(t.Context(), "T", offsetID(addrA, last.PhysicalOffset)); err != nil || string(m.Body) != "400" {
		t.Errorf("an offset id with a topic: %+v, %v", m, err)
	}
	for _, id := range []string{"U9", offsetID(addrA, 4711), offsetID(addrC, 0)} {
		for _, topic := range []string{"", "T"} {
			if _, err := a.Message(t.Context(), topic, id); !errors.Is(err, ErrNoMessage) {
				t.Errorf("%s in %q: %v", id, topic, err)
			}
		}
	}
	if m, err := a.MessageAt(t.Context(), "T", "a", 1, firstOffset+1); err != nil || string(m.Body) != "400" {
		t.Errorf("%+v, %v", m, err)
	}
	if _, err := a.MessageAt(t.Context(), "T", "a", 1, 99); !errors.Is(err, ErrNoMessage) {
		t.Errorf("%v", err)
	}
	if _, err := a.MessageAt(t.Context(), "T", "a", 7, 99); !errors.Is(err, ErrNoQueue) {
		t.Errorf("%v", err)
	}
}

func TestScan(t *testing.T) {
	s, a := newShelf(t)
	s.topic("T", 2)
	for i := range int64(100) {
		s.put([]string{addrA, addrB}[i%2], "T", int32(i/2%2), 10*i+1, nil)
	}
	scan := func(span Span, most int) string {
		var list []*message.Received
		err := a.Scan(t.Context(), "T", span, func(m *message.Received) (bool, error) {
			list = append(list, m)
			return len(list) == most, nil
		})
		if err != nil {
			t.Errorf("%+v: %v", span, err)
		}
		if !slices.IsSortedFunc(list, func(x, y *message.Received) int { return x.StoreTime.Compare(y.StoreTime) }) {
			t.Errorf("not in the order of time: %s", times(list))
		}
		if len(list) > 10 {
			return fmt.Sprint(len(list))
		}
		return times(list)
	}
	for _, c := range []struct {
		span Span
		most int
		want string
	}{
		{Span{}, 0, "100"},
		{Span{}, 3, "a0@1 b0@11 a1@21"},
		{Span{Begin: 11, End: 31}, 0, "b0@11 a1@21 b1@31"},
		{Span{Begin: 970}, 0, "b0@971 a1@981 b1@991"}, // i 97..99
		{Span{Begin: 970, Broker: "b", Queue: 1}, 0, "b1@991"},
	} {
		if got := scan(c.span, c.most); got != c.want {
			t.Errorf("%+v: %s, want %s", c.span, got, c.want)
		}
	}
	if err := a.Scan(t.Context(), "T", Span{Broker: "z"}, nil); !errors.Is(err, ErrNoQueue) {
		t.Errorf("%v", err)
	}
	stop := errors.New("stop")
	if err := a.Scan(t.Context(), "T", Span{}, func(*message.Received) (bool, error) { return false, stop }); !errors.Is(err, stop) {
		t.Errorf("%v", err)
	}
}

func TestResend(t *testing.T) {
	s, a := newShelf(t)
	s.topic("T", 1)
	s.put(addrB, "%DLQ%g", 0, 5, message.Properties{
		"KEYS": "k", "UNIQ_KEY": "U1", "RETRY_TOPIC": "T", "ORIGIN_MESSAGE_ID": "O", "DELAY": "3", "REAL_TOPIC": "x", "CLUSTER": "C", "mine": "1",
	})
	s.topic("%DLQ%g", 1)
	list, err := a.DeadLetters(t.Context())
	if err != nil || len(list) != 1 || list[0].Group != "g" || list[0].Messages != 1 || list[0].Oldest.UnixMilli() != 5 {
		t.Errorf("%+v, %v", list, err)
	}
	var m *message.Received
	if err := a.ScanDeadLetters(t.Context(), "g", Span{}, func(found *message.Received) (bool, error) { m = found; return true, nil }); err != nil {
		t.Fatal(err)
	}
	m.SysFlag = message.FlagCompressed | message.TransactionCommit | message.FlagBornHostV6
	if stored, err := a.Resend(t.Context(), m, "T"); err != nil || stored.Broker != "b" || stored.Offset != 77 || !stored.Safe {
		t.Errorf("%+v, %v", stored, err)
	}
	if _, err := a.ResendDeadLetter(t.Context(), "g", m); !errors.Is(err, ErrNoGroup) {
		t.Errorf("without a retry topic, and no group to make one for: %v", err)
	}
	s.topic("%RETRY%g", 1)
	if _, err := a.ResendDeadLetter(t.Context(), "g", m); err != nil {
		t.Error(err)
	}
	want := []string{
		"b send T/0 5 flag=1 map[KEYS:k UNIQ_KEY:U1 mine:1]",
		"b send %RETRY%g/0 5 flag=1 map[KEYS:k ORIGIN_MESSAGE_ID:O RETRY_TOPIC:T UNIQ_KEY:U1 mine:1]",
	}
	if !slices.Equal(s.acts, want) {
		t.Errorf("%q, want %q", s.acts, want)
	}
	if _, err := a.Resend(t.Context(), m, message.TopicSchedule); err == nil || !strings.Contains(err.Error(), "takes no messages of clients") {
		t.Errorf("%v", err)
	}
	if _, err := a.Resend(t.Context(), m, "gone"); !errors.Is(err, ErrNoTopic) {
		t.Errorf("%v", err)
	}
	delete(m.Properties, "RETRY_TOPIC")
	m.Properties["1ST_POP_TIME"], m.Properties["DLQ_ORIGIN_TOPIC"] = "1", "T"
	if _, err := a.ResendDeadLetter(t.Context(), "g", m); !errors.Is(err, ErrPopped) {
		t.Errorf("%v", err)
	}
	delete(m.Properties, "DLQ_ORIGIN_TOPIC")
	if _, err := a.ResendDeadLetter(t.Context(), "g", m); err == nil || !strings.Contains(err.Error(), "does not tell its topic") {
		t.Errorf("%v", err)
	}
	if err := a.ScanDeadLetters(t.Context(), "other", Span{}, nil); !errors.Is(err, ErrNoDeadLetters) {
		t.Errorf("%v", err)
	}
	s.sealed = "%DLQ%g"
	if list, err := a.DeadLetters(t.Context()); !errors.Is(err, ErrUnreadable) || len(list) != 1 {
		t.Errorf("%+v, %v", list, err)
	}
	if err := a.ScanDeadLetters(t.Context(), "g", Span{}, nil); !errors.Is(err, ErrUnreadable) {
		t.Errorf("%v", err)
	}
}

// What is sent again stays in its cluster, where its group and the readers of its topic
// have their place.
func TestResendStaysInTheCluster(t *testing.T) {
	s, a := newShelf(t)
	s.w.broker("D", "c", addrC, 0)
	s.topic("T", 1)
	s.topic("%RETRY%g", 1)
	s.group("g", addrA, addrB)
	m := &message.Received{BrokerName: "c"}
	m.Topic, m.Properties = "%DLQ%g", message.Properties{message.PropertyRetryTopic: "T"}
	if _, err := a.Resend(t.Context(), m, "T"); !errors.Is(err, ErrOtherCluster) || !OfOneMessage(err) || !strings.Contains(err.Error(), "T in cluster D") || !strings.Contains(err.Error(), "--to") {
		t.Error(err)
	}
	if _, err := a.ResendDeadLetter(t.Context(), "g", m); !errors.Is(err, ErrNoGroup) {
		t.Errorf("a group of the same name in another cluster: %v", err)
	}
	if s.acts != nil {
		t.Errorf("sent %q", s.acts)
	}
	m.BrokerName = "gone"
	if _, err := a.Resend(t.Context(), m, "T"); !errors.Is(err, ErrNoBroker) {
		t.Error(err)
	}
	m.BrokerName = "b"
	for _, topic := range []string{"", "%DLQ%other", "%RETRY%g"} {
		if _, err := a.Resend(t.Context(), m, topic); err == nil || !strings.Contains(err.Error(), "dlq resend") {
			t.Errorf("a copy to %q of a dead letter: %v", topic, err)
		}
	}
}

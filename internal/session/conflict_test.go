// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/wire/body"
)

// wants is subscriptions given as topic, expression, ...; an expression with a
// colon has its type before it.
func wants(topicExpression ...string) (list []body.SubscriptionData) {
	for i := 0; i < len(topicExpression); i += 2 {
		s := body.SubscriptionData{Topic: topicExpression[i], SubString: topicExpression[i+1], SubVersion: 1}
		if kind, text, ok := strings.Cut(s.SubString, ":"); ok {
			s.ExpressionType, s.SubString = kind, text
		}
		list = append(list, s)
	}
	return list
}

// watched is a registry and the lines it logs of conflicts.
type watched struct {
	*Registry
	t     *testing.T
	log   bytes.Buffer
	conns map[string]*conn
	now   time.Time
}

func watch(t *testing.T) *watched {
	w := &watched{t: t, conns: map[string]*conn{}}
	w.Registry = New(Config{Now: func() time.Time { return w.now }, Logger: slog.New(slog.NewTextHandler(&w.log, &slog.HandlerOptions{Level: slog.LevelWarn}))})
	return w
}

// beat is a heartbeat of a client; its connection is named as the client, or the
// client with a mark behind it.
func (w *watched) beat(conn string, topicExpression ...string) {
	c := w.conns[conn]
	if c == nil {
		c = newConn(uint64(len(w.conns) + 1))
		w.conns[conn] = c
	}
	w.RegisterConsumer(client(strings.TrimSuffix(conn, "'"), c), "g", passive, wants(topicExpression...))
}

// lines checks the lines about conflicts since the last call.
func (w *watched) lines(want ...string) {
	w.t.Helper()
	var got []string
	for line := range strings.Lines(w.log.String()) {
		if _, rest, ok := strings.Cut(line, "group=g topic="); ok && strings.Contains(rest, " client=") {
			got = append(got, strings.TrimSpace(rest))
		}
	}
	w.log.Reset()
	if !reflect.DeepEqual(got, want) {
		w.t.Errorf("logged %q, want %q", got, want)
	}
}

func TestConflictIsSaidOnce(t *testing.T) {
	w := watch(t)
	w.beat("a", "T", "*", "%RETRY%g", "*")
	w.beat("b", "T", "A || B", "%RETRY%g", "*")
	w.lines(`T client=b expression="A || B" other=a otherExpression=*`)
	for range 3 {
		w.beat("a", "T", "*", "%RETRY%g", "*")
		w.beat("b", "%RETRY%g", "*", "T", "A || B")
		w.beat("b", "T", "B||A") // the same in other words
	}
	w.lines()
	w.beat("b", "T", "SQL92:a > 1")
	w.lines(`T client=b expression="SQL92: a > 1" other=a otherExpression=*`)
	w.beat("b", "T", "*", "U", "*")
	w.lines(`U client=b expression=* other=a otherExpression="not subscribed"`)
	want := []Conflict{{Topic: "U", ClientID: "b", Expression: "*", OtherID: "a"}}
	if got := w.Conflicts("g"); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
	w.beat("a", "U", "*", "T", "")
	w.lines()
	if got := w.Conflicts("g"); got != nil || len(w.Conflicting()) != 0 || len(w.consumers["g"].stances) != 1 {
		t.Errorf("members that agree: %+v", got)
	}
}

func TestConflictsAreCountedAgainstMost(t *testing.T) {
	w := watch(t)
	for _, id := range []string{"odd", "a", "b", "c"} {
		w.beat(id, "T", map[bool]string{true: "X", false: "Y"}[id == "odd"])
	}
	w.lines("T client=a expression=Y other=odd otherExpression=X",
		"T client=b expression=Y other=odd otherExpression=X",
		"T client=c expression=Y other=odd otherExpression=X")
	if got := w.Conflicting(); !reflect.DeepEqual(got, map[string]int{"g": 1}) {
		t.Errorf("counted %v", got)
	}
	want := []Conflict{{Topic: "T", ClientID: "odd", Expression: "X", OtherID: "a", Other: "Y"}}
	if got := w.Conflicts("g"); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
	w.ConnClosed(w.conns["odd"])
	if got := w.Conflicting(); len(got) != 0 || w.Conflicts("g") != nil {
		t.Errorf("after it has gone: %v", got)
	}
	if w.Conflicts("none") != nil {
		t.Error("a group that is not there")
	}
}

// A client that is there on its old connection too does not differ from itself.
func TestClientDoesNotConflictWithItself(t *testing.T) {
	w := watch(t)
	w.beat("a", "T", "X")
	w.beat("a'", "T", "Y")
	w.lines()
	if w.Conflicts("g") != nil || len(w.Conflicting()) != 0 {
		t.Errorf("%+v", w.Conflicts("g"))
	}
}

func TestLongAndRepeatedSubscriptions(t *testing.T) {
	w := watch(t)
	var many, backwards []string
	for i := range 100 {
		many = append(many, fmt.Sprint("T", i), "A")
		backwards = append(backwards, fmt.Sprint("T", 99-i), "A")
	}
	w.beat("a", many...)
	w.beat("b", backwards...)
	w.lines()
	w.beat("b", "T1", "A", "T2", "A")
	w.lines("T0 client=b expression=\"not subscribed\" other=a otherExpression=A")
	w.beat("b", "T1", "A", "T1", "A") // as long, but another
	w.lines("T0 client=b expression=\"not subscribed\" other=a otherExpression=A")
}

func TestManyConflictsAreBounded(t *testing.T) {
	w := watch(t)
	for i := range 3 * maxReported {
		w.beat(fmt.Sprint("c", i), "T", fmt.Sprint("tag", i))
	}
	logged := func() (lines, more int) {
		defer w.log.Reset()
		return strings.Count(w.log.String(), " client="), strings.Count(w.log.String(), "not logged for a while")
	}
	if lines, more := logged(); lines != maxReported || more != 1 {
		t.Errorf("%d lines, said %d times that there are more", lines, more)
	}
	for i := range 100 { // one that changes with each heartbeat
		w.beat("late", "T", fmt.Sprint("tag", i))
	}
	w.now = w.now.Add(reportEvery - 1)
	w.beat("late", "T", "tag")
	if lines, more := logged(); lines != 0 || more != 0 {
		t.Errorf("%d lines, said %d times that there are more", lines, more)
	}
	w.now = w.now.Add(1)
	w.beat("late", "T", "another")
	if lines, more := logged(); lines != maxReported || more != 1 {
		t.Errorf("a minute later: %d lines, said %d times that there are more", lines, more)
	}
	if n := len(w.Conflicts("g")); n != maxReported {
		t.Errorf("%d named", n)
	}
	if n := w.Conflicting()["g"]; n != 3*maxReported {
		t.Errorf("%d counted", n)
	}
}

// free is a log that finds out whether the registry is locked while it writes.
type free struct {
	slog.Handler
	r           *Registry
	lines, held int
}

func (f *free) Handle(context.Context, slog.Record) error {
	f.lines++
	if !f.r.mu.TryLock() {
		f.held++
		return nil
	}
	f.r.mu.Unlock()
	return nil
}

// A log that is slow does not hold up who looks for subscriptions.
func TestConflictsAreLoggedWithoutTheLock(t *testing.T) {
	log := &free{Handler: slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelWarn})}
	log.r = New(Config{Logger: slog.New(log)})
	for i := range maxReported {
		log.r.RegisterConsumer(client(fmt.Sprint("c", i), newConn(uint64(i))), "g", passive, wants("T", fmt.Sprint("tag", i)))
	}
	if log.lines == 0 || log.held != 0 {
		t.Errorf("%d of %d lines were written under the lock", log.held, log.lines)
	}
}

// beats is 1,000 groups with 10 members each, on one topic, and their heartbeats.
func beats() (r *Registry, beat func(i int), members int) {
	const groups, each = 1000, 10
	r = New(Config{})
	names := make([]string, groups)
	data := make([][]body.SubscriptionData, groups*each)
	clients := make([]Client, groups*each)
	for i := range clients {
		g := i % groups
		names[g] = fmt.Sprint("group", g)
		data[i] = wants("%RETRY%"+names[g], "*", "T", "A || B")
		clients[i] = client(fmt.Sprint("c", i), newConn(uint64(i)))
	}
	beat = func(i int) { r.RegisterConsumer(clients[i], names[i%groups], passive, data[i]) }
	for i := range clients {
		beat(i)
	}
	return r, beat, len(clients)
}

func BenchmarkHeartbeats(b *testing.B) {
	_, beat, n := beats()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		beat(i % n)
	}
}

// The part of it that compares subscriptions.
func BenchmarkComparing(b *testing.B) {
	r, _, _ := beats()
	g := r.consumers["group7"]
	data := wants("%RETRY%group7", "*", "T", "A || B")
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		g.compare(g.members.order[i%10], data)
	}
}

// What comparing costs a heartbeat that says nothing new.
func TestComparingDoesNotAllocate(t *testing.T) {
	r, _, _ := beats()
	g := r.consumers["group7"]
	data := wants("T", "A || B", "%RETRY%group7", "*")
	c := g.members.order[3]
	if n := testing.AllocsPerRun(100, func() { g.compare(c, data) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if len(g.stances) != 1 || len(g.stances[0].members) != 10 {
		t.Errorf("%d stances", len(g.stances))
	}
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package sqltx

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twostage/twostage/client"
	"github.com/twostage/twostage/message"
)

// A producer sends by sharding key.
var _ orderedSender = (*client.Producer)(nil)

// post is a Sender that keeps what it is given.
type post struct {
	mu     sync.Mutex
	sent   []*message.Message
	fail   func(m *message.Message) error
	status client.SendStatus
	more   chan struct{} // gets one for each message
}

func newPost() *post { return &post{more: make(chan struct{}, 1000)} }

func (s *post) Send(_ context.Context, m *message.Message) (*client.SendResult, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		if err := s.fail(m); err != nil {
			return nil, err
		}
	}
	s.sent = append(s.sent, m)
	s.more <- struct{}{}
	return &client.SendResult{Status: s.status}, nil
}

func (s *post) bodies() (all []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.sent {
		all = append(all, string(m.Body))
	}
	return all
}

func (w *world) add(p *process, o *Outbox, end func(tx *sql.Tx) error, bodies ...string) {
	w.t.Helper()
	tx, err := p.db.Begin()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, b := range bodies {
		if err := o.Add(w.t.Context(), tx, message.New("T", []byte(b))); err != nil {
			w.t.Error(err)
		}
	}
	if err := end(tx); err != nil {
		w.t.Fatal(err)
	}
}

// forwards runs outboxes until the function that it returns is called.
func (w *world) forwards(all ...*Outbox) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, o := range all {
		running.Go(func() {
			if err := o.Run(ctx); err != nil {
				w.t.Error(err)
			}
		})
	}
	stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
	})
	w.t.Cleanup(stop)
	return stop
}

func (w *world) wantPending(o *Outbox, want int64) {
	w.t.Helper()
	if n, err := o.Pending(context.Background()); err != nil || n != want {
		w.t.Errorf("%d messages wait, %v; want %d", n, err, want)
	}
}

func TestOutboxSendsWhatIsCommittedInItsOrder(t *testing.T) {
	w := newWorld(t)
	p := w.process()
	s := newPost()
	a, b := NewOutbox(p.DB, s, WithPoll(time.Millisecond), WithBatch(3)), NewOutbox(w.process().DB, s, WithPoll(time.Millisecond), WithBatch(3))
	stop := w.forwards(a, b)
	var want []string
	for i := range 10 {
		one, two := fmt.Sprint(i), fmt.Sprint(i, " second")
		w.add(p, a, (*sql.Tx).Rollback, "never "+one)
		w.add(p, a, (*sql.Tx).Commit, one, two)
		a.Wake()
		want = append(want, one, two)
	}
	for range want {
		<-s.more
	}
	stop()
	if got := s.bodies(); !slices.Equal(got, want) {
		t.Errorf("sent %q", got)
	}
	w.wantPending(a, 0)
	var holder string
	if err := p.db.QueryRow("SELECT holder FROM sqltx_state WHERE name = 'outbox_lease'").Scan(&holder); err != nil || holder != "" {
		t.Errorf("the lease is %q's, %v", holder, err)
	}
}

// A message is what was added, with one unique key, and m stays as it is.
func TestOutboxKeepsTheMessage(t *testing.T) {
	w := newWorld(t)
	p := w.process()
	s := newPost()
	failures := 2
	var keys []string
	s.fail = func(m *message.Message) error {
		keys = append(keys, m.UniqueKey())
		if failures--; failures >= 0 {
			return errWork
		}
		return nil
	}
	o := NewOutbox(p.DB, s, WithPoll(time.Millisecond))
	m := message.New("T", []byte{0, 1, 0xff})
	m.Flag = 7
	m.SetKeys("k")
	m.SetTags("é")
	before := message.Properties{message.PropertyKeys: "k", message.PropertyTags: "é"}
	tx, err := p.db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(o.Add(t.Context(), tx, m), tx.Commit()); err != nil {
		t.Fatal(err)
	}
	stop := w.forwards(o)
	<-s.more
	stop()
	got := s.sent[0]
	if got.Topic != "T" || got.Flag != 7 || !slices.Equal(got.Body, m.Body) || got.Tags() != "é" || !slices.Equal(got.Keys(), m.Keys()) {
		t.Errorf("sent %+v", got)
	}
	if len(keys) != 3 || keys[0] == "" || keys[1] != keys[0] || keys[2] != keys[0] {
		t.Errorf("unique keys %q", keys)
	}
	if fmt.Sprint(m.Properties) != fmt.Sprint(before) {
		t.Errorf("the message was changed: %v", m.Properties)
	}
}

// A message that can't be sent holds up those behind it; what was sent before it is
// not sent again.
func TestOutboxStopsAtAFailure(t *testing.T) {
	w := newWorld(t)
	p := w.process()
	s := newPost()
	s.fail = func(m *message.Message) error {
		if string(m.Body) == "b" {
			return errWork
		}
		return nil
	}
	o := NewOutbox(p.DB, s)
	w.add(p, o, (*sql.Tx).Commit, "a", "b", "c")
	l := &lease{d: p.DB, span: time.Minute, now: time.Now, holder: "h"}
	if sent, err := o.forward(t.Context(), l); sent != 1 || !errors.Is(err, errWork) {
		t.Fatalf("%d sent, %v", sent, err)
	}
	if sent, err := o.forward(t.Context(), l); sent != 0 || !errors.Is(err, errWork) {
		t.Fatalf("%d sent, %v", sent, err)
	}
	w.wantPending(o, 2)
	s.fail = nil
	if sent, err := o.forward(t.Context(), l); sent != 2 || err != nil || !slices.Equal(s.bodies(), []string{"a", "b", "c"}) {
		t.Fatalf("%d sent, %v: %q", sent, err, s.bodies())
	}
}

type orderedPost struct {
	*post
	keys []string
}

func (s *orderedPost) SendOrdered(ctx context.Context, key string, m *message.Message) (*client.SendResult, error) {
	s.keys = append(s.keys, key)
	return s.Send(ctx, m)
}

func TestOutboxSendsByShardingKey(t *testing.T) {
	w := newWorld(t)
	p := w.process()
	s := &orderedPost{post: newPost()}
	o := NewOutbox(p.DB, s)
	w.add(p, o, func(tx *sql.Tx) error {
		m := message.New("T", []byte("keyed"))
		m.SetShardingKey("order 7")
		return errors.Join(o.Add(t.Context(), tx, m), tx.Commit())
	}, "plain")
	if sent, err := o.forward(t.Context(), &lease{d: p.DB, span: time.Minute, now: time.Now, holder: "h"}); sent != 2 || err != nil || !slices.Equal(s.keys, []string{"order 7"}) {
		t.Errorf("%d sent, %v; keys %q", sent, err, s.keys)
	}
}

func TestOutboxRefusesBadInput(t *testing.T) {
	w := newWorld(t)
	p := w.process()
	o := NewOutbox(p.DB, newPost())
	half := message.New("T", []byte("x"))
	half.SetPrepared("g")
	tx, err := p.db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback() //nolint:errcheck // nothing is written
	wantError(t, o.Add(t.Context(), tx, nil), "without a message")
	wantError(t, o.Add(t.Context(), tx, message.New("T", nil)), "no body")
	wantError(t, o.Add(t.Context(), tx, half), "half message")
	wantError(t, NewOutbox(p.DB, nil).Run(t.Context()), "a sender")
	for _, option := range []OutboxOption{WithBatch(0), WithPoll(0), WithLease(-1)} {
		wantError(t, NewOutbox(p.DB, newPost(), option).Run(t.Context()), "above 0")
	}
}

// What no broker is asked for fails the transaction, and not all that comes after it.
func TestOutboxRefusesWhatItsProducerWould(t *testing.T) {
	w := newWorld(t)
	p := w.process()
	o := NewOutbox(p.DB, w.Producer(p.Check, client.WithMaxMessageSize(10)))
	tx, err := p.db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback() //nolint:errcheck // nothing is written
	if err := o.Add(t.Context(), tx, message.New("T", make([]byte, 11))); !errors.Is(err, message.ErrTooLarge) {
		t.Errorf("a large body: %v", err)
	}
	if err := o.Add(t.Context(), tx, message.New("SCHEDULE_TOPIC_XXXX", []byte("x"))); !errors.Is(err, message.ErrName) {
		t.Errorf("a topic of the broker's: %v", err)
	}
	if err := o.Add(t.Context(), tx, message.New("T", make([]byte, 10))); err != nil {
		t.Error(err)
	}
}

// traced gives each message a context, and has a send's error.
type traced chan error

func (c traced) Sending(context.Context, *message.Message) (message.TraceContext, string, func(*client.SendResult, error)) {
	return message.TraceContext{TraceID: [16]byte{1}, SpanID: [8]byte{2}}, "vendor=x", func(_ *client.SendResult, err error) { c <- err }
}

// What is added is sent, whatever its properties leave room for.
func TestOutboxSendsCrowdedMessages(t *testing.T) {
	w := newWorld(t)
	p := w.process()
	sent := make(traced, 2)
	o := NewOutbox(p.DB, w.Producer(p.Check, client.WithSpans(sent)))
	m := message.New("T", []byte("x"))
	m.SetUniqueKey(strings.Repeat("K", 32))
	m.SetShardingKey("k")
	m.Properties["p"] = strings.Repeat("x", message.MaxPropertiesLength-len("p")-2-len(m.Properties.Append(nil)))
	tx, err := p.db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(o.Add(t.Context(), tx, m), o.Add(t.Context(), tx, message.New("T", []byte("behind it"))), tx.Commit()); err != nil {
		t.Fatal(err)
	}
	stop := w.forwards(o)
	for range 2 {
		if err := <-sent; err != nil {
			t.Error(err)
		}
	}
	stop()
	w.wantPending(o, 0)
}

// Numbers may be given again: by InnoDB before MySQL 8.0 after a restart, or
// after a TRUNCATE. What has the number of a sent message is not taken for it.
func TestOutboxDeletesOnlyWhatItSent(t *testing.T) {
	w := newWorld(t)
	p := w.process()
	s := newPost()
	o := NewOutbox(p.DB, s)
	w.add(p, o, (*sql.Tx).Commit, "one")
	s.fail = func(*message.Message) error { // another forwarder is faster
		for _, query := range []string{"DELETE FROM sqltx_outbox", "DELETE FROM sqlite_sequence"} {
			if _, err := p.db.Exec(query); err != nil {
				t.Error(err)
			}
		}
		w.add(p, o, (*sql.Tx).Commit, "two")
		return nil
	}
	l := &lease{d: p.DB, span: time.Minute, now: time.Now, holder: "h"}
	if sent, err := o.forward(t.Context(), l); sent != 1 || err != nil {
		t.Fatalf("%d sent, %v", sent, err)
	}
	w.wantPending(o, 1)
	s.fail = nil
	if sent, err := o.forward(t.Context(), l); sent != 1 || err != nil || !slices.Equal(s.bodies(), []string{"one", "two"}) {
		t.Errorf("%d sent, %v: %q", sent, err, s.bodies())
	}
	w.wantPending(o, 0)
}

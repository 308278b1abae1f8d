// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"fmt"
	"testing"

	"github.com/twostage/twostage/internal/proctest"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
	"github.com/twostage/twostage/test/rig"
)

// wantMetric waits until a metric has a value.
func wantMetric(t *testing.T, s *proctest.Server, want float64, name string, labels ...string) {
	t.Helper()
	rig.Poll(t, fmt.Sprintf("%s%q is %g", name, labels, want), func() error {
		have, err := metric(s, name, labels...)
		if err == nil && have != want {
			err = fmt.Errorf("it is %g", have)
		}
		return err
	})
}

const (
	orders  = `topic="Orders"`
	letters = `topic="Letters"`
)

// TestMetrics moves each of the metrics about transactions.
func TestMetrics(t *testing.T) {
	t.Parallel()
	// A check a second: the others of the group wait for their turn.
	s, p, away := serve(t, "transactionCheckRate=1"), newProducer(t, "shop"), newProducer(t, "away")
	p.meet(s.Broker)
	for _, name := range []string{"half_messages", "commit_messages_total", "rollback_messages_total", "finish_message_latency_count",
		"refused_outcomes_total", "discarded_transactions_total", "transaction_checks_total", "transactions_waiting"} {
		wantMetric(t, s, 0, "rocketmq_"+name)
	}
	first, second, third := p.send(s.Broker, "Orders", "FIRST", immune), p.send(s.Broker, "Orders", "SECOND", immune), p.send(s.Broker, "Orders", "THIRD", immune)
	p.send(s.Broker, "Orders", "SECOND", immune) // the same transaction
	wantMetric(t, s, 3, "rocketmq_half_messages", orders)

	// Commits and rollbacks, and their repetitions, which do not count.
	for range 2 {
		if err := p.end(s.Broker, first, message.TransactionCommit, nil); err != nil {
			t.Fatal(err)
		}
		if err := p.end(s.Broker, second, message.TransactionRollback, nil); err != nil {
			t.Fatal(err)
		}
	}
	wantMetric(t, s, 1, "rocketmq_half_messages", orders)
	wantMetric(t, s, 1, "rocketmq_commit_messages_total", orders)
	wantMetric(t, s, 1, "rocketmq_rollback_messages_total", orders)
	for _, le := range []string{`le="5"`, `le="60"`, `le="86400"`, `le="+Inf"`} {
		wantMetric(t, s, 1, "rocketmq_finish_message_latency_bucket", orders, le)
	}
	wantMetric(t, s, 1, "rocketmq_finish_message_latency_count", orders)
	if sum, err := metric(s, "rocketmq_finish_message_latency_sum", orders); err != nil || sum < 0 || sum >= 5 {
		t.Errorf("the commit took %g s (%v)", sum, err)
	}
	refused := []error{
		p.end(s.Broker, first, message.TransactionRollback, nil),
		p.end(s.Broker, second, message.TransactionCommit, nil),
		p.end(s.Broker, third, message.TransactionCommit, func(h *header.EndTransactionRequest) { h.ProducerGroup = stray }),
	}
	for i, err := range refused {
		if err == nil {
			t.Errorf("the wrong outcome %d is accepted", i)
		}
	}
	wantMetric(t, s, 3, "rocketmq_refused_outcomes_total")

	// A group of which nobody is there; then somebody is.
	// The first waits already when the others come due, so that nothing happens then.
	away.send(s.Broker, "Letters", "LETTER0", 0)
	wantMetric(t, s, 1, "rocketmq_transactions_waiting", `for="producer"`)
	for i := range 3 {
		away.send(s.Broker, "Letters", fmt.Sprint("LETTER", 1+i), 0)
	}
	wantMetric(t, s, 4, "rocketmq_half_messages", letters)
	wantMetric(t, s, 4, "rocketmq_transactions_waiting", `for="producer"`)
	wantMetric(t, s, 0, "rocketmq_transaction_checks_total")
	wantWords(t, story(t, s, "LETTER3").Transaction.Detail, "no producer of its group is there")
	away.meet(s.Broker)
	rig.Poll(t, "all wait for their turn, and none for a producer", func() error {
		producer, err := metric(s, "rocketmq_transactions_waiting", `for="producer"`)
		if err != nil {
			return err
		}
		turn, err := metric(s, "rocketmq_transactions_waiting", `for="turn"`)
		if err == nil && (producer != 0 || turn == 0) {
			err = fmt.Errorf("%g wait for a producer, %g for their turn", producer, turn)
		}
		return err
	})
	wantMetric(t, s, 4, "rocketmq_discarded_transactions_total")
	wantMetric(t, s, 4, "rocketmq_transaction_checks_total")
	wantMetric(t, s, 0, "rocketmq_half_messages", letters)
	wantMetric(t, s, 0, "rocketmq_transactions_waiting")
	wantMetric(t, s, 1, "rocketmq_half_messages", orders)

	// Undecided ones are counted from what is stored, the totals since the start.
	killed(t, s, stray)
	wantMetric(t, s, 1, "rocketmq_half_messages", orders)
	wantMetric(t, s, 0, "rocketmq_half_messages", letters)
	wantMetric(t, s, 0, "rocketmq_commit_messages_total")
	post(t, s, "THIRD", "commit", 200)
	wantMetric(t, s, 0, "rocketmq_half_messages")
	wantMetric(t, s, 1, "rocketmq_commit_messages_total", orders)
	wantMetric(t, s, 1, "rocketmq_finish_message_latency_count", orders)
	if st := story(t, s, "LETTER0"); st.Transaction.State != body.Discarded {
		t.Errorf("%s after the restart", st.Transaction.State)
	}
}

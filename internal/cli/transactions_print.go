// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twostage/twostage/internal/admin"
	"github.com/twostage/twostage/internal/cli/output"
	"github.com/twostage/twostage/internal/wire/body"
)

// transactionTable lists transactions, with their broker when there are several.
func transactionTable(list []admin.Transaction) *output.Table {
	several := slices.ContainsFunc(list, func(t admin.Transaction) bool { return t.Broker != list[0].Broker })
	columns := []output.Column{
		output.Text("OFFSET"), output.Text("STATE"), output.Text("AGE"), output.Text("CHECKS"), output.Text("NEXT"),
		output.Text("TOPIC").Cut(3), output.Text("GROUP").Cut(2), output.Text("KEY").Cut(1), output.Text("BROKER"),
	}
	if !several {
		columns[len(columns)-1] = columns[len(columns)-1].Wide()
	}
	t := output.NewTable(columns...).IfEmpty("no such transactions")
	for i := range list {
		x := &list[i]
		t.Row(x.QueueOffset, x.State, output.Span(time.Duration(x.Age)*time.Millisecond), x.Checks, nextText(&x.Transaction), x.Topic, x.Group, x.Key, x.Broker)
	}
	return t
}

// nextText says when the broker acts next, by its own clock.
func nextText(t *body.Transaction) string {
	if t.DueAt == 0 {
		return "-"
	}
	if left := t.DueAt - t.StoredAt - t.Age; left > 0 {
		return output.Span(time.Duration(left) * time.Millisecond)
	}
	return "due"
}

func stateText(t *body.Transaction) string {
	text := output.Printable(string(t.State))
	if t.Detail != "" {
		text += ": " + output.Printable(t.Detail)
	}
	return text
}

// storyView is all of a story.
func storyView(s *admin.Story) *output.View {
	t := &s.Transaction
	f := &output.Fields{}
	f.Addf("transaction", "%d on %s at %s", t.QueueOffset, output.Printable(s.Broker), s.Addr)
	f.Add("state", stateText(t))
	f.Addf("topic", "%s, queue %d", output.Printable(t.Topic), t.QueueID)
	f.Add("group", t.Group)
	f.Add("key", t.Key)
	f.Addf("stored", "%s, %s ago, at %d in the commit log", output.Millis(t.StoredAt), output.Span(time.Duration(t.Age)*time.Millisecond), t.CommitLogOffset)
	if len(t.Chain) > 0 {
		f.Add("half messages", strings.Trim(strings.ReplaceAll(fmt.Sprint(t.Chain), " ", ", "), "[]"))
	}
	checks := fmt.Sprint(t.Checks)
	if t.CheckedAt != 0 {
		checks += ", the last one " + output.Millis(t.CheckedAt)
	}
	if t.DueAt != 0 {
		checks += ", next: " + nextText(t)
	}
	f.Add("checks", checks)
	if t.DecidedAt != 0 {
		f.Add("decided", output.Millis(t.DecidedAt))
	}
	if t.CommittedOffset != 0 {
		f.Addf("committed", "at %d in the commit log", t.CommittedOffset)
	}
	if t.ParkedOffset != 0 {
		f.Addf("parked", "at %d in the commit log", t.ParkedOffset)
	}
	if t.ResumedAs != 0 {
		f.Addf("resumed as", "transaction %d", t.ResumedAs)
	}
	view := output.Of(s, f)
	if len(s.Events) == 0 {
		return view
	}
	events := output.NewTable(output.Text("TIME"), output.Text("AFTER"), output.Text("EVENT"), output.Text("WHO"), output.Text("NOTE"))
	for i := range s.Events {
		e := &s.Events[i]
		at, after := "-", "-"
		if e.At != 0 {
			at, after = output.Millis(e.At), output.Span(time.Duration(e.At-t.StoredAt)*time.Millisecond)
		}
		events.Row(at, after, eventText(e), e.Who, e.Note)
	}
	view.Parts = append(view.Parts, events)
	return view
}

// eventText says what happened.
func eventText(e *body.TransactionEvent) string {
	text := map[body.EventKind]string{
		body.EventStored: "half message stored", body.EventCheck: "check sent", body.EventAnswer: "answered", body.EventRefused: "refused",
		body.EventOperator: "operator decided", body.EventRechecked: "operator asked for a check", body.EventResumed: "operator resumed it",
		body.EventDecided: "outcome stored", body.EventDiscarded: "discarded",
	}[e.Kind]
	if text == "" {
		text = output.Printable(string(e.Kind))
	}
	if e.Kind == body.EventCheck && e.Count > 0 {
		text = fmt.Sprintf("check %d sent", e.Count)
	}
	if e.Outcome != "" && e.Kind != body.EventDiscarded {
		text += ": " + output.Printable(e.Outcome)
	}
	return text
}

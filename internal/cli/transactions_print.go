// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"github.com/twostage/twostage/internal/admin"
	"github.com/twostage/twostage/internal/wire/body"
)

// columnGap stands between columns, leastColumn is what a cut one keeps.
const (
	columnGap   = 2
	leastColumn = 8
)

// timeLayout is a time for people.
const timeLayout = "2006-01-02T15:04:05.000Z07:00"

// printTransactions prints a table, cut to a width unless that is 0.
func printTransactions(w io.Writer, list []admin.Transaction, width int) error {
	rows := [][]string{{"OFFSET", "STATE", "AGE", "CHECKS", "NEXT", "TOPIC", "GROUP", "KEY"}}
	brokers := map[string]bool{}
	for i := range list {
		brokers[list[i].Broker] = true
	}
	if len(brokers) > 1 {
		rows[0] = append(rows[0], "BROKER")
	}
	for i := range list {
		t := &list[i]
		row := []string{
			fmt.Sprint(t.QueueOffset), printable([]byte(t.State)), ageText(time.Duration(t.Age) * time.Millisecond), fmt.Sprint(t.Checks), nextText(&t.Transaction),
			printable([]byte(t.Topic)), printable([]byte(t.Group)), printable([]byte(t.Key)),
		}
		if len(brokers) > 1 {
			row = append(row, printable([]byte(t.Broker)))
		}
		rows = append(rows, row)
	}
	_, err := io.WriteString(w, layOut(rows, width, 7, 6, 5))
	return err
}

// layOut aligns rows of the same length. What is wider than width, unless that is
// 0, has its flexible columns cut, those named first before the others.
func layOut(rows [][]string, width int, flexible ...int) string {
	widths := make([]int, len(rows[0]))
	total := -columnGap
	for i := range widths {
		for _, row := range rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
		total += widths[i] + columnGap
	}
	for _, i := range flexible {
		if cut := min(total-width, widths[i]-leastColumn); width > 0 && cut > 0 {
			widths[i] -= cut
			total -= cut
		}
	}
	var b strings.Builder
	for _, row := range rows {
		line := ""
		for i, text := range row {
			line += pad(text, widths[i]+columnGap)
		}
		b.WriteString(strings.TrimRight(line, " "))
		b.WriteByte('\n')
	}
	return b.String()
}

// pad fills a text with blanks to a width that has the gap in it, or cuts it.
func pad(text string, width int) string {
	n := utf8.RuneCountInString(text)
	if most := width - columnGap; n > most {
		text, n = string([]rune(text)[:most-1])+"…", most
	}
	return text + strings.Repeat(" ", width-n)
}

// ageText is a span of time for people, in its two largest units.
func ageText(d time.Duration) string {
	if d < 0 {
		return "-" + ageText(-max(d, -1<<63+1))
	}
	s := int64(d / time.Second)
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%d.%ds", s, d/(100*time.Millisecond)%10)
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 3600:
		return fmt.Sprintf("%dm%02ds", s/60, s%60)
	case s < 86400:
		return fmt.Sprintf("%dh%02dm", s/3600, s/60%60)
	}
	return fmt.Sprintf("%dd%02dh", s/86400, s/3600%24)
}

// nextText says when the broker acts next, by its own clock.
func nextText(t *body.Transaction) string {
	if t.DueAt == 0 {
		return "-"
	}
	if left := t.DueAt - t.StoredAt - t.Age; left > 0 {
		return ageText(time.Duration(left) * time.Millisecond)
	}
	return "due"
}

func stateText(t *body.Transaction) string {
	text := printable([]byte(t.State))
	if t.Detail != "" {
		text += ": " + printable([]byte(t.Detail))
	}
	return text
}

func timeText(millis int64) string { return time.UnixMilli(millis).Format(timeLayout) }

// printStory prints all of a story.
func printStory(out io.Writer, s *admin.Story) error {
	t := &s.Transaction
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(name, format string, args ...any) { fmt.Fprintf(w, name+"\t"+format+"\n", args...) }
	line("transaction", "%d on %s at %s", t.QueueOffset, printable([]byte(s.Broker)), s.Addr)
	line("state", "%s", stateText(t))
	line("topic", "%s, queue %d", printable([]byte(t.Topic)), t.QueueID)
	line("group", "%s", printable([]byte(t.Group)))
	line("key", "%s", printable([]byte(t.Key)))
	line("stored", "%s, %s ago, at %d in the commit log", timeText(t.StoredAt), ageText(time.Duration(t.Age)*time.Millisecond), t.CommitLogOffset)
	if len(t.Chain) > 0 {
		line("half messages", "%s", strings.Trim(strings.ReplaceAll(fmt.Sprint(t.Chain), " ", ", "), "[]"))
	}
	checks := fmt.Sprint(t.Checks)
	if t.CheckedAt != 0 {
		checks += ", the last one " + timeText(t.CheckedAt)
	}
	if t.DueAt != 0 {
		checks += ", next: " + nextText(t)
	}
	line("checks", "%s", checks)
	if t.DecidedAt != 0 {
		line("decided", "%s", timeText(t.DecidedAt))
	}
	if t.CommittedOffset != 0 {
		line("committed", "at %d in the commit log", t.CommittedOffset)
	}
	if t.ParkedOffset != 0 {
		line("parked", "at %d in the commit log", t.ParkedOffset)
	}
	if t.ResumedAs != 0 {
		line("resumed as", "transaction %d", t.ResumedAs)
	}
	if err := w.Flush(); err != nil || len(s.Events) == 0 {
		return err
	}
	rows := [][]string{{"TIME", "AFTER", "EVENT", "WHO", "NOTE"}}
	for i := range s.Events {
		e := &s.Events[i]
		at, after := "-", "-"
		if e.At != 0 {
			at, after = timeText(e.At), ageText(time.Duration(e.At-t.StoredAt)*time.Millisecond)
		}
		rows = append(rows, []string{at, after, eventText(e), printable([]byte(e.Who)), printable([]byte(e.Note))})
	}
	_, err := io.WriteString(out, "\n"+layOut(rows, 0))
	return err
}

// eventText says what happened.
func eventText(e *body.TransactionEvent) string {
	text := map[body.EventKind]string{
		body.EventStored: "half message stored", body.EventCheck: "check sent", body.EventAnswer: "answered", body.EventRefused: "refused",
		body.EventOperator: "operator decided", body.EventRechecked: "operator asked for a check", body.EventResumed: "operator resumed it",
		body.EventDecided: "outcome stored", body.EventDiscarded: "discarded",
	}[e.Kind]
	if text == "" {
		text = printable([]byte(e.Kind))
	}
	if e.Kind == body.EventCheck && e.Count > 0 {
		text = fmt.Sprintf("check %d sent", e.Count)
	}
	if e.Outcome != "" && e.Kind != body.EventDiscarded {
		text += ": " + printable([]byte(e.Outcome))
	}
	return text
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/twostage/twostage/client"
	"github.com/twostage/twostage/internal/admin"
	"github.com/twostage/twostage/internal/cli/output"
	"github.com/twostage/twostage/message"
)

// shownBody is how much of a body a table shows, in characters.
const shownBody = 60

func messageCommand(p Process) *cobra.Command {
	return group("message", "Find messages, see what became of them, send them again",
		messageFind(p), messageShow(p), messageTrace(p), messageResend(p), messageConsume(p))
}

// search is what `message find` looks for.
type search struct {
	topic, key, unique, id, span, queue string
	offset                              int64
	limit                               int
}

func messageFind(p Process) *cobra.Command {
	c, s := &cluster{Process: p}, &search{}
	cmd := &cobra.Command{
		Use: "find --topic TOPIC", Short: "Find messages by key, id, unique key, time, or place", Args: args(0, 0),
		Long: `Find messages of a topic: by a key of theirs, by their id (that of the producer or that of the broker), by the time
at which they were stored, or by queue and offset. The oldest come first. Bodies are shown shortened; see
` + "`twostage message show`.",
		Example: `  twostage message find --topic orders --key 4711
  twostage message find --topic orders --time "1h ago..30m ago" --limit 20
  twostage message find --topic orders --queue broker-a/3 --offset 100`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			begin, end, err := s.check(cmd)
			if err != nil {
				return err
			}
			return c.look(cmd.Context(), func(ctx context.Context, a *admin.Admin) (*output.View, error) {
				list, note, err := s.find(ctx, a, begin, end)
				if len(list) == 0 && err != nil {
					return nil, err
				}
				view := messagesView(c, list)
				if note != "" {
					view.Note("%s", note)
				}
				return view, err
			})
		},
	}
	c.flags(cmd)
	f := cmd.Flags()
	c.topicFlag(cmd, &s.topic, "the `topic`; required but for the --id of a broker")
	f.StringVar(&s.key, "key", "", "`word` that the message was sent with as a key")
	f.StringVar(&s.id, "id", "", "message `id`, of the producer or of the broker")
	f.StringVar(&s.unique, "unique", "", "message `id` of the producer")
	f.StringVar(&s.span, "time", "", "stored between two `times`, FROM..UNTIL, or since FROM: "+output.TimeHelp)
	f.StringVar(&s.queue, "queue", "", "only the queue `BROKER/ID`; with --time or --offset")
	f.Int64Var(&s.offset, "offset", -1, "the message of --queue with this offset")
	f.IntVar(&s.limit, "limit", 32, "so many at most")
	return cmd
}

// check tells whether the flags go together, and gives the time span.
func (s *search) check(cmd *cobra.Command) (begin, end int64, err error) {
	ways := 0
	for _, name := range []string{"key", "id", "unique", "offset"} {
		if cmd.Flags().Changed(name) {
			ways++
		}
	}
	switch {
	case ways > 1:
		return 0, 0, usagef("say one of --key, --id, --unique and --offset")
	case ways == 0 && s.span == "":
		return 0, 0, usagef("say what to look for: --key, --id, --unique, --time or --queue with --offset")
	case s.topic == "" && s.id == "":
		return 0, 0, usagef("say which topic with --topic")
	case s.limit < 1:
		return 0, 0, usagef("--limit %d: at least 1", s.limit)
	case s.offset >= 0 && s.queue == "":
		return 0, 0, usagef("--offset needs --queue")
	case s.queue != "" && s.offset < 0 && (s.span == "" || ways > 0):
		return 0, 0, usagef("--queue goes with --offset or --time")
	case s.span != "" && (s.id != "" || s.unique != "" || s.offset >= 0):
		return 0, 0, usagef("--time goes with --key, or alone")
	}
	return parseTimes(s.span, time.Now())
}

// parseTimes reads FROM..UNTIL, FROM.. or FROM as milliseconds, both included; 0 is what
// was left out.
func parseTimes(text string, now time.Time) (begin, end int64, err error) {
	if text == "" {
		return 0, 0, nil
	}
	from, until, both := strings.Cut(text, "..")
	t, err := output.ParseTime(from, now)
	if err != nil {
		return 0, 0, usagef("--time: %w", err)
	}
	begin = max(t.UnixMilli(), 0)
	if !both || until == "" {
		return begin, 0, nil
	}
	if t, err = output.ParseTime(until, now); err != nil {
		return 0, 0, usagef("--time: %w", err)
	}
	if end = t.UnixMilli(); end < max(begin, 1) {
		return 0, 0, usagef("--time %s ends before it begins", text)
	}
	return begin, end, nil
}

// find finds messages, at most the limit; the note says whether there are others.
func (s *search) find(ctx context.Context, a *admin.Admin, begin, end int64) (list []*message.Received, note string, err error) {
	one := func(m *message.Received, err error) ([]*message.Received, string, error) {
		if err != nil {
			return nil, "", err
		}
		return []*message.Received{m}, "", nil
	}
	switch {
	case s.id != "":
		return one(a.Message(ctx, s.topic, s.id))
	case s.offset >= 0:
		q, err := parseQueue(s.topic, s.queue)
		if err != nil {
			return nil, "", err
		}
		return one(a.MessageAt(ctx, s.topic, q.Broker, q.ID, s.offset))
	case s.unique != "":
		list, err = a.MessagesByUniqueKey(ctx, s.topic, s.unique)
	case s.key != "":
		var more bool
		if list, more, err = a.MessagesByKey(ctx, s.topic, s.key, begin, end, s.limit+1); more && len(list) <= s.limit {
			note = "there may be others with this key, which brokers do not give: narrow it with --time"
		}
	default:
		span := admin.Span{Begin: begin, End: end}
		if s.queue != "" {
			q, err := parseQueue(s.topic, s.queue)
			if err != nil {
				return nil, "", err
			}
			span.Broker, span.Queue = q.Broker, q.ID
		}
		list, err = collect(ctx, s.limit+1, func(fn func(*message.Received) (bool, error)) error { return a.Scan(ctx, s.topic, span, fn) })
		if len(list) == 0 && err == nil {
			return nil, "", fmt.Errorf("%w: topic %s has none of that time", admin.ErrNoMessage, s.topic)
		}
	}
	if len(list) > s.limit {
		list, note = list[:s.limit], fmt.Sprintf("there are more than these %d: see --limit", s.limit)
	}
	return list, note, err
}

// collect gives the first messages of a scan.
func collect(ctx context.Context, most int, scan func(fn func(*message.Received) (stop bool, err error)) error) (list []*message.Received, err error) {
	err = scan(func(m *message.Received) (bool, error) {
		list = append(list, m)
		return len(list) >= most, ctx.Err()
	})
	return list, err
}

// messagesView is a table of messages.
func messagesView(c *cluster, list []*message.Received) *output.View {
	t := output.NewTable(output.Text("STORED"), output.Text("BROKER").Drop(3), output.Num("QUEUE").Drop(3), output.Num("OFFSET").Drop(3), output.Text("ID"), output.Text("TAG").Cut(3).Drop(1),
		output.Text("KEYS").Cut(2).Drop(2), output.Text("BODY").Cut(1).Drop(4), output.Text("OFFSET ID").Wide())
	all := []shown{}
	for _, m := range list {
		unpack(c, m)
		all = append(all, show(m))
		t.Row(output.Time(m.StoreTime), m.BrokerName, m.QueueID, m.QueueOffset, m.ID(), m.Tags(), strings.Join(m.Keys(), ","), c.bodyText(m.Body), m.OffsetID())
	}
	return output.Of(all, t)
}

// unpack decompresses a body where that is possible.
func unpack(c *cluster, m *message.Received) {
	if err := client.Decompress(m, client.MaxBody); err != nil {
		c.logger().Warn("a body is shown as it is stored", "message", m.ID(), "err", err)
	}
}

// bodyText is a body on one line: with -o wide all of it, else its begin.
func (c *cluster) bodyText(body []byte) string {
	if c.format == output.FormatWide {
		return printable(body)
	}
	return shortBody(body)
}

// shortBody is the begin of a body on one line.
func shortBody(body []byte) string {
	text := printable(body[:min(len(body), 4*shownBody)])
	if utf8.RuneCountInString(text) > shownBody {
		return string([]rune(text)[:shownBody-1]) + "…"
	}
	return text
}

func messageShow(p Process) *cobra.Command {
	c := &cluster{Process: p}
	topic, raw := "", false
	cmd := &cobra.Command{
		Use: "show ID", Short: "Show a message whole, and which groups have consumed it", Args: args(1, 1),
		Long: `Show a message whole, and how far each consumer group is with it. ID is that of the producer, for which --topic is
needed, or that of the broker.`,
		Example: `  twostage message show 7F000001000012345678ABCDEF010000 --topic orders
  twostage message show 7F00000100002A9F0000000000000000 --raw > body`,
		RunE: func(cmd *cobra.Command, given []string) error {
			return c.admin(func(a *admin.Admin) error {
				m, err := a.Message(cmd.Context(), topic, given[0])
				if err != nil {
					return err
				}
				unpack(c, m)
				if raw {
					_, err := c.Stdout.Write(m.Body)
					return err
				}
				tracks, err := a.Tracks(cmd.Context(), m)
				return errors.Join(c.write(p, messageView(m, tracks)), err)
			})
		},
	}
	c.flags(cmd)
	c.topicFlag(cmd, &topic, "the `topic`; needed for the id of a producer")
	cmd.Flags().BoolVar(&raw, "raw", false, "write only the body, byte for byte")
	return cmd
}

// trackedMessage is a message as JSON.
type trackedMessage struct {
	shown
	Groups []admin.Track `json:"groups"`
}

func messageView(m *message.Received, tracks []admin.Track) *output.View {
	f := &output.Fields{}
	f.Add("topic", m.Topic)
	f.Add("id", m.ID())
	f.Add("offset id", m.OffsetID())
	f.Addf("place", "%s/%d@%d", m.BrokerName, m.QueueID, m.QueueOffset)
	f.Add("stored", output.Time(m.StoreTime))
	f.Add("born", fmt.Sprintf("%s at %s", output.Time(m.BornTime), m.BornHost))
	f.Add("tried before", m.ReconsumeTimes)
	f.Add("size", output.Size(int64(m.Size)))
	props := output.NewTable(output.Text("PROPERTY"), output.Text("VALUE").Cut(1))
	for _, name := range slices.Sorted(maps.Keys(m.Properties)) {
		props.Row(name, m.Properties[name])
	}
	groups := output.NewTable(output.Text("GROUP"), output.Text("STATE"))
	for _, t := range tracks {
		groups.Row(t.Group, t.State)
	}
	if tracks == nil {
		tracks = []admin.Track{}
	}
	view := output.Of(trackedMessage{show(m), tracks}, f)
	for _, t := range []*output.Table{props, groups} {
		if t.Len() > 0 {
			view.Parts = append(view.Parts, t)
		}
	}
	text := output.Lines{string(m.Body)}
	if utf8.Valid(m.Body) {
		text = strings.Split(strings.TrimSuffix(string(m.Body), "\n"), "\n")
	}
	view.Parts = append(view.Parts, text)
	return view
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/twostage/twostage/client"
	"github.com/twostage/twostage/internal/cli/output"
	"github.com/twostage/twostage/message"
)

// maxBody bounds what is read from standard input as a body.
const maxBody = 16 << 20

// letter is a message as flags describe it.
type letter struct {
	group, tag string
	keys       []string
	properties []string
	delay      int
	after      time.Duration // 0: not said
	at         time.Time     // zero: not said
}

func (l *letter) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&l.tag, "tag", "", "`tag` that subscriptions select by")
	f.StringArrayVar(&l.keys, "key", nil, "`word` that the message can be found by; may be repeated")
	f.StringArrayVar(&l.properties, "property", nil, "`name=value`; may be repeated")
}

// message makes the message; the body is the second argument or standard input.
func (l *letter) message(p Process, given []string) (*message.Message, error) {
	var text []byte
	if len(given) > 1 && given[1] != "-" {
		text = []byte(given[1])
	} else {
		var err error
		if text, err = io.ReadAll(io.LimitReader(p.Stdin, maxBody+1)); err != nil {
			return nil, fmt.Errorf("reading the body from standard input: %w", err)
		}
		if len(text) > maxBody {
			return nil, fmt.Errorf("the body on standard input has more than %d bytes", maxBody)
		}
	}
	m := message.New(given[0], text)
	m.SetTags(l.tag)
	m.SetKeys(l.keys...)
	m.SetDelayLevel(l.delay)
	if l.delay != 0 && (l.after != 0 || !l.at.IsZero()) || l.after != 0 && !l.at.IsZero() {
		return nil, usagef("--delay-level, --delay and --deliver-at exclude each other")
	}
	m.SetDeliverTime(l.at)
	if l.after > 0 {
		m.SetDeliverTime(time.Now().Add(l.after))
	}
	for _, kv := range l.properties {
		name, value, ok := strings.Cut(kv, "=")
		if !ok {
			return nil, usagef("--property %q is not name=value", kv)
		}
		if err := m.SetProperty(name, value); err != nil {
			return nil, usagef("--property: %w", err)
		}
	}
	return m, m.Check()
}

func topicSend(p Process) *cobra.Command {
	c, l := &cluster{Process: p}, &letter{}
	count, queue := 1, ""
	cmd := &cobra.Command{
		Use: "send TOPIC [BODY]", Short: "Send a message; the body is read from standard input when it is - or not given", Args: args(1, 2),
		RunE: func(cmd *cobra.Command, given []string) error {
			if count < 1 {
				return usagef("--count %d: at least 1", count)
			}
			m, err := l.message(p, given)
			if err != nil {
				return err
			}
			return send(cmd.Context(), c, l.group, m, count, queue)
		},
	}
	c.flags(cmd)
	c.completeArgs(cmd, topicNames)
	l.flags(cmd)
	cmd.Flags().IntVar(&l.delay, "delay-level", 0, "deliver it after the delay of this `level`, as RocketMQ's messageDelayLevel numbers them from 1")
	spanFlag(cmd.Flags(), &l.after, "delay", 0, "deliver it after this `span`, such as 90s")
	timeFlag(cmd.Flags(), &l.at, "deliver-at", "deliver it at this `time`, such as 2026-01-02T15:04:05Z")
	cmd.Flags().StringVar(&l.group, "group", "twostage_cli", "producer `group`")
	cmd.Flags().IntVar(&count, "count", 1, "send it so many times")
	cmd.Flags().StringVar(&queue, "queue", "", "`BROKER/ID` of the queue to send to; all of them in turn when not given")
	return cmd
}

func send(ctx context.Context, c *cluster, group string, m *message.Message, count int, queue string) (err error) {
	opts, err := c.client()
	if err != nil {
		return err
	}
	deliver := (*client.Producer).Send
	if queue != "" {
		q, err := parseQueue(m.Topic, queue)
		if err != nil {
			return err
		}
		deliver = func(p *client.Producer, ctx context.Context, m *message.Message) (*client.SendResult, error) {
			return p.SendTo(ctx, q, m)
		}
	}
	p, err := client.NewProducer(group, opts...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	unsafe := 0
	for range count {
		sent, err := deliver(p, ctx, m)
		if errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("%w; the message may be stored all the same", err)
		}
		if err != nil {
			return err
		}
		if sent.Status != client.Stored {
			unsafe++
		}
		if err := c.did(c.Process, "sent", place(sent)...); err != nil {
			return err
		}
	}
	return lessSafe(unsafe, count)
}

// lessSafe is the error about messages that are not stored as safely as the broker is set
// up for.
func lessSafe(n, of int) error {
	if n == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d messages are stored, but less safely than the broker is set up for: see their status; sending them again stores them twice", n, of)
}

func parseQueue(topic, text string) (client.Queue, error) {
	at := strings.LastIndexByte(text, '/')
	id, err := strconv.ParseInt(text[at+1:], 10, 32)
	if at < 1 || err != nil || id < 0 {
		return client.Queue{}, usagef("--queue %q is not BROKER/ID", text)
	}
	return client.Queue{Topic: topic, Broker: text[:at], ID: int32(id)}, nil
}

// place is where a message was stored, as fields, and how, where that is not as it
// should be.
func place(s *client.SendResult) []any {
	fields := []any{"id", s.MessageID, "broker", s.Queue.Broker, "queue", s.Queue.ID, "offset", s.QueueOffset, "offset-id", s.OffsetID}
	if s.Status != client.Stored {
		fields = append(fields, "status", s.Status.String())
	}
	return fields
}

func topicTail(p Process) *cobra.Command {
	c, o, only := &cluster{Process: p}, client.TailOptions{}, &picked{}
	cmd := &cobra.Command{
		Use: "tail TOPIC", Short: "Print the last messages of a topic, or all, or what comes", Args: args(1, 1),
		Long: `Print the messages of a topic in the order in which they were stored: the last ones, with --from-start all of
them, with --since those from a time on, with --follow also those that come, until it is interrupted. No consumer
group is touched.`,
		Example: `  twostage topic tail orders --follow
  twostage topic tail orders --since "10m ago" --tag paid -o json`,
		RunE: func(cmd *cobra.Command, given []string) error {
			if o.Last < 0 {
				return usagef("--last %d: at least 0", o.Last)
			}
			if !o.Since.IsZero() && cmd.Flags().Changed("last") {
				return usagef("--last and --since: say one of them")
			}
			return tail(cmd.Context(), c, given[0], o, only)
		},
	}
	c.flags(cmd)
	c.completeArgs(cmd, topicNames)
	jsonFlag(cmd, &c.format)
	cmd.Flags().IntVarP(&o.Last, "last", "n", 10, "how many of the messages that are there")
	timeFlag(cmd.Flags(), &o.Since, "since", "those stored then or later: "+output.TimeHelp)
	cmd.Flags().StringVar(&only.tag, "tag", "", "of those, only messages with this `tag`")
	cmd.Flags().StringVar(&only.key, "key", "", "of those, only messages with this `word` as a key")
	cmd.Flags().BoolVar(&o.FromStart, "from-start", false, "all messages that are there")
	cmd.Flags().BoolVarP(&o.Follow, "follow", "f", false, "go on with those that come")
	return cmd
}

// picked says which messages of a tail are shown.
type picked struct{ tag, key string }

func (s *picked) has(m *message.Received) bool {
	return (s.tag == "" || m.Tags() == s.tag) && (s.key == "" || slices.Contains(m.Keys(), s.key))
}

func tail(ctx context.Context, c *cluster, topic string, o client.TailOptions, only *picked) (err error) {
	opts, err := c.client()
	if err != nil {
		return err
	}
	p, err := client.NewPuller(opts...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	err = p.Tail(ctx, topic, o, func(m *message.Received) error {
		if !only.has(m) {
			return nil
		}
		return showMessage(c.Stdout, c.format, m)
	})
	if o.Follow && ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil // being interrupted is how it ends
	}
	return err
}

// showLine prints a message for people.
func showLine(w io.Writer, m *message.Received) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s/%d@%d id=%s", output.Time(m.StoreTime), m.BrokerName, m.QueueID, m.QueueOffset, output.Printable(m.ID()))
	if tag := m.Tags(); tag != "" {
		fmt.Fprintf(&b, " tag=%s", output.Printable(tag))
	}
	if keys := m.Keys(); len(keys) > 0 {
		fmt.Fprintf(&b, " keys=%s", output.Printable(strings.Join(keys, ",")))
	}
	fmt.Fprintf(&b, " %s\n", printable(m.Body))
	_, err := io.WriteString(w, b.String())
	return err
}

// printable is a body on one line, see output.Printable.
func printable(body []byte) string { return output.Printable(string(body)) }

// shown is a message as JSON.
type shown struct {
	Topic      string             `json:"topic"`
	Broker     string             `json:"broker"`
	Queue      int32              `json:"queue"`
	Offset     int64              `json:"offset"`
	ID         string             `json:"id"`
	OffsetID   string             `json:"offsetId"`
	Stored     time.Time          `json:"stored"`
	Born       time.Time          `json:"born"`
	Reconsumed int32              `json:"reconsumed,omitempty"`
	Properties message.Properties `json:"properties"`
	Body       *string            `json:"body,omitempty"`       // when it is UTF-8
	BodyBytes  []byte             `json:"bodyBase64,omitempty"` // when it is not
}

// showMessage prints one message of several: a line for people, an object a line
// as JSON, a document as YAML.
func showMessage(w io.Writer, f output.Format, m *message.Received) error {
	if f.ForPeople() {
		return showLine(w, m)
	}
	return output.WriteItem(w, f, show(m))
}

func show(m *message.Received) shown {
	s := shown{
		Topic: m.Topic, Broker: m.BrokerName, Queue: m.QueueID, Offset: m.QueueOffset, ID: m.ID(), OffsetID: m.OffsetID(),
		Stored: m.StoreTime.UTC(), Born: m.BornTime.UTC(), Reconsumed: m.ReconsumeTimes, Properties: m.Properties,
	}
	if text := string(m.Body); utf8.ValidString(text) {
		s.Body = &text
	} else {
		s.BodyBytes = m.Body
	}
	return s
}

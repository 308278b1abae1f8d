// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/twostage/twostage/internal/admin"
	"github.com/twostage/twostage/internal/cli/output"
	"github.com/twostage/twostage/internal/wire/body"
)

func groupClients(p Process) *cobra.Command {
	c := &cluster{Process: p}
	name := ""
	cmd := &cobra.Command{
		Use: "clients GROUP", Short: "Show the clients of a consumer group and the queues that each has", Args: args(1, 1),
		Long: "Show the clients of a consumer group, and ask each which queues it has and how many messages of them it holds.\nA client that does not tell within 10 s is shown without.",
		RunE: func(cmd *cobra.Command, given []string) error {
			return c.look(cmd.Context(), func(ctx context.Context, a *admin.Admin) (*output.View, error) {
				return clientsView(ctx, a, name, given[0])
			})
		},
	}
	c.flags(cmd)
	c.watchFlag(cmd)
	c.clusterFlag(cmd, &name)
	c.completeArgs(cmd, groupNames)
	return cmd
}

func clientsView(ctx context.Context, a *admin.Admin, cluster, group string) (*output.View, error) {
	members, err := a.Members(ctx, cluster, group, true, false)
	if len(members) == 0 {
		return nil, err
	}
	return membersView(group, members), err
}

// membersView shows clients and the queues that they have.
func membersView(group string, members []admin.Member) *output.View {
	shown := []shownMember{}
	clients := memberTable(output.Num("QUEUES"))
	view := output.Of(nil, clients)
	for _, m := range members {
		s := showMember(group, &m)
		shown = append(shown, s)
		count := any(len(s.Queues))
		if m.Info == nil {
			count = nil
			view.Note("%s does not tell what it has: %v", output.Printable(m.ClientID), m.Err)
		}
		clients.Row(m.ClientID, m.ClientAddr, m.Language, m.Version, strings.Join(m.Brokers, ","), count)
	}
	view.Value = shown
	type owned struct {
		heldQueue
		client string
	}
	var all []owned
	for _, s := range shown {
		for _, q := range s.Queues {
			all = append(all, owned{q, s.ClientID})
		}
	}
	slices.SortStableFunc(all, func(x, y owned) int { return x.compare(y.heldQueue) })
	queues := output.NewTable(output.Text("TOPIC").Cut(1), output.Text("BROKER"), output.Num("QUEUE"), output.Text("CLIENT"), output.Num("NEXT"), output.Num("HELD").Drop(2), output.Text("LOCKED").Drop(1))
	for _, o := range all {
		queues.Row(o.Topic, o.Broker, o.ID, o.client, o.next(), o.Held, yesNo(o.Locked))
	}
	if len(all) > 0 {
		view.Parts = append(view.Parts, queues)
	}
	return view
}

// shownMember is a client of a group as JSON.
type shownMember struct {
	Group string `json:"group"`
	admin.Member
	Properties    map[string]string             `json:"properties,omitempty"`
	Subscriptions []body.SubscriptionData       `json:"subscriptions,omitempty"`
	Queues        []heldQueue                   `json:"queues,omitempty"`
	Rates         map[string]body.ConsumeStatus `json:"rates,omitempty"` // by topic
	Stack         string                        `json:"stack,omitempty"`
	Error         string                        `json:"error,omitempty"` // why there is nothing of the above
}

// heldQueue is a queue that a client has.
type heldQueue struct {
	Topic    string    `json:"topic"`
	Broker   string    `json:"broker"`
	ID       int32     `json:"queue"`
	Pop      bool      `json:"pop,omitempty"`
	Next     int64     `json:"next"` // offset; not of a queue that is popped
	Held     int32     `json:"held"` // messages
	Locked   bool      `json:"locked"`
	Dropped  bool      `json:"dropped"`
	Pulled   time.Time `json:"pulled,omitzero"` // or popped, the last time
	Consumed time.Time `json:"consumed,omitzero"`
}

func (q heldQueue) compare(other heldQueue) int {
	return cmp.Or(cmp.Compare(q.Topic, other.Topic), cmp.Compare(q.Broker, other.Broker), cmp.Compare(q.ID, other.ID))
}

func (q heldQueue) next() any {
	if q.Pop {
		return nil
	}
	return q.Next
}

func showMember(group string, m *admin.Member) shownMember {
	s := shownMember{Group: group, Member: *m}
	if m.Err != nil {
		s.Error = m.Err.Error()
	}
	if m.Info == nil {
		return s
	}
	s.Properties, s.Subscriptions, s.Rates, s.Stack = m.Info.Properties, m.Info.SubscriptionSet, m.Info.StatusTable, m.Info.Jstack
	for q, i := range m.Info.MqTable {
		s.Queues = append(s.Queues, heldQueue{
			Topic: q.Topic, Broker: q.BrokerName, ID: q.QueueID, Next: i.CommitOffset, Held: i.CachedMsgCount, Locked: i.Locked, Dropped: i.Droped,
			Pulled: moment(i.LastPullTimestamp), Consumed: moment(i.LastConsumeTimestamp),
		})
	}
	for q, i := range m.Info.MqPopTable {
		s.Queues = append(s.Queues, heldQueue{Topic: q.Topic, Broker: q.BrokerName, ID: q.QueueID, Pop: true, Held: i.WaitAckCount, Dropped: i.Droped, Pulled: moment(i.LastPopTimestamp)})
	}
	slices.SortFunc(s.Queues, heldQueue.compare)
	return s
}

// moment is a time of milliseconds, the zero time for none.
func moment(millis int64) time.Time {
	if millis <= 0 {
		return time.Time{}
	}
	return time.UnixMilli(millis)
}

// memberTable is a table of clients, with more columns.
func memberTable(more ...output.Column) *output.Table {
	return output.NewTable(append([]output.Column{
		output.Text("CLIENT"), output.Text("ADDRESS"), output.Text("LANGUAGE").Drop(2), output.Num("VERSION").Drop(1), output.Text("BROKERS").Cut(1).Drop(3),
	}, more...)...)
}

func consumerCommand(p Process) *cobra.Command {
	return group("consumer", "Look at the clients of consumer groups", consumerList(p), consumerShow(p))
}

func consumerList(p Process) *cobra.Command {
	c := &cluster{Process: p}
	name := ""
	cmd := &cobra.Command{
		Use: "list [GROUP]", Short: "List the clients of all consumer groups, or of one", Args: args(0, 1),
		RunE: func(cmd *cobra.Command, given []string) error {
			return c.look(cmd.Context(), func(ctx context.Context, a *admin.Admin) (*output.View, error) {
				return consumersView(ctx, a, name, given)
			})
		},
	}
	c.flags(cmd)
	c.watchFlag(cmd)
	c.clusterFlag(cmd, &name)
	c.completeArgs(cmd, groupNames)
	return cmd
}

func consumerTable() *output.Table {
	return output.NewTable(output.Text("GROUP"), output.Text("CLIENT"), output.Text("ADDRESS").Drop(4), output.Text("LANGUAGE").Drop(2), output.Num("VERSION").Drop(1),
		output.Text("BROKERS").Cut(1).Drop(3)).IfEmpty("no client of a consumer group is online")
}

func consumersView(ctx context.Context, a *admin.Admin, cluster string, groups []string) (*output.View, error) {
	var errs []error
	if len(groups) == 0 {
		list, err := a.Groups(ctx, cluster)
		if len(list) == 0 && err != nil {
			return nil, err
		}
		errs = append(errs, err)
		for _, g := range list {
			groups = append(groups, g.Name)
		}
	}
	t := consumerTable()
	all := []shownMember{}
	for _, name := range groups {
		members, err := a.Members(ctx, cluster, name, false, false)
		if err != nil && !errors.Is(err, admin.ErrNotOnline) {
			errs = append(errs, err)
		}
		for _, m := range members {
			all = append(all, showMember(name, &m))
			t.Row(name, m.ClientID, m.ClientAddr, m.Language, m.Version, strings.Join(m.Brokers, ","))
		}
	}
	err := errors.Join(errs...)
	if len(all) == 0 && err != nil {
		return nil, err
	}
	return output.Of(all, t), err
}

func consumerShow(p Process) *cobra.Command {
	c := &cluster{Process: p}
	name, stacks := "", false
	cmd := &cobra.Command{
		Use: "show GROUP CLIENT", Short: "Ask a client of a consumer group how it is doing", Args: args(2, 2),
		Long: `Ask a client of a consumer group, through a broker, how it is doing: its settings, the queues it has, its rates, and
with --stack what its threads do. What the client says is shown as it says it.`,
		RunE: func(cmd *cobra.Command, given []string) error {
			return c.look(cmd.Context(), func(ctx context.Context, a *admin.Admin) (*output.View, error) {
				m, err := a.Member(ctx, name, given[0], given[1], stacks)
				if err != nil {
					return nil, err
				}
				return memberView(given[0], m), nil
			})
		},
	}
	c.flags(cmd)
	c.watchFlag(cmd)
	c.clusterFlag(cmd, &name)
	cmd.Flags().BoolVar(&stacks, "stack", false, "also what its threads do")
	c.completeArgs(cmd, groupNames)
	return cmd
}

func memberView(group string, m *admin.Member) *output.View {
	shown := showMember(group, m)
	about := &output.Fields{}
	about.Add("client", m.ClientID)
	about.Add("address", m.ClientAddr)
	about.Add("language", m.Language)
	about.Add("version", m.Version)
	about.Add("brokers", strings.Join(m.Brokers, ","))
	for _, key := range slices.Sorted(maps.Keys(m.Info.Properties)) {
		about.Add(output.Printable(key), m.Info.Properties[key])
	}
	topics := output.NewTable(output.Text("TOPIC"), output.Text("TYPE"), output.Text("EXPRESSION").Cut(1))
	for _, s := range m.Info.SubscriptionSet {
		topics.Row(s.Topic, cmp.Or(s.ExpressionType, "TAG"), s.SubString)
	}
	queues := output.NewTable(output.Text("TOPIC").Cut(1), output.Text("BROKER"), output.Num("QUEUE"), output.Num("NEXT"), output.Num("HELD"), output.Text("LOCKED").Drop(1),
		output.Text("DROPPED").Drop(1), output.Text("LAST PULL").Drop(3), output.Text("LAST CONSUMED").Drop(2))
	for _, q := range shown.Queues {
		queues.Row(q.Topic, q.Broker, q.ID, q.next(), q.Held, yesNo(q.Locked), yesNo(q.Dropped), output.Time(q.Pulled), output.Time(q.Consumed))
	}
	rates := output.NewTable(output.Text("TOPIC").Cut(1), output.Num("PULLS/s"), output.Num("PULL ms"), output.Num("OK/s"), output.Num("FAILED/s"), output.Num("CONSUME ms"), output.Num("FAILED/h"))
	for _, topic := range slices.Sorted(maps.Keys(m.Info.StatusTable)) {
		s := m.Info.StatusTable[topic]
		one := func(f float64) string { return fmt.Sprintf("%.1f", f) }
		rates.Row(topic, one(s.PullTPS), one(s.PullRT), one(s.ConsumeOKTPS), one(s.ConsumeFailedTPS), one(s.ConsumeRT), s.ConsumeFailedMsgs)
	}
	view := output.Of(shown, about)
	for _, t := range []*output.Table{topics, queues, rates} {
		if t.Len() > 0 {
			view.Parts = append(view.Parts, t)
		}
	}
	if m.Info.Jstack != "" {
		view.Parts = append(view.Parts, output.Lines(strings.Split(strings.TrimRight(strings.ReplaceAll(m.Info.Jstack, "\t", "    "), "\n"), "\n")))
	}
	return view
}

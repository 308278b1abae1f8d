// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/admin"
	"github.com/twostage/twostage/internal/cli/output"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/message"
)

// What commands show of brokers, messages and clients fits a terminal of 80 characters,
// and has the ids whole.
func TestViewsFit(t *testing.T) {
	const (
		id     = "0A0000070001B4AAC2A1234567890ABC"
		client = "10.20.30.40@31337#1234567890123456"
		addr   = "10.20.30.40:10911"
	)
	m := &message.Received{BrokerName: "broker-a", StoreTime: time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("there", 3600))}
	m.StoreHost, m.BornHost = netip.MustParseAddrPort(addr), netip.MustParseAddrPort(addr)
	m.QueueID, m.QueueOffset, m.Body = 3, 123456789, []byte(strings.Repeat("text ", 40))
	m.Properties = message.Properties{message.PropertyUniqueKey: id, message.PropertyTags: "paid-in-full", message.PropertyKeys: "order-4711 customer-815"}
	node := admin.Node{Cluster: "DefaultCluster", Broker: "broker-a", Addr: addr}
	figures := &admin.Figures{Version: "V5_3_3", In: [3]float64{1, 12345.6}, Out: [3]float64{1, 98765.4}, InToday: 123456789, OutToday: 123456789, Disk: .42, Started: time.Now().Add(-50 * time.Hour)}
	connection := body.Connection{ClientID: client, ClientAddr: addr, Language: "JAVA"}
	connection.Version = 477
	member := admin.Member{Connection: connection, Brokers: []string{"broker-a", "broker-b", "broker-c"}, Info: &body.ConsumerRunningInfo{
		MqTable: map[body.MessageQueue]body.ProcessQueueInfo{{Topic: "orders-of-the-north", BrokerName: "broker-a", QueueID: 11}: {CommitOffset: 1234567890, CachedMsgCount: 1024}},
	}}
	online := []admin.OnlineGroup{{Node: node, ConsumerConnection: &body.ConsumerConnection{
		ConnectionSet: []body.Connection{connection}, ConsumeType: body.ConsumePassively, MessageModel: body.Clustering,
		SubscriptionTable: map[string]body.SubscriptionData{"orders-of-the-north": {SubString: strings.Repeat("tag || ", 20)}},
	}}}
	consumers := consumerTable()
	consumers.Row("billing-of-orders", client, addr, "JAVA", 477, "broker-a,broker-b")
	for name, c := range map[string]struct {
		view *output.View
		ids  []string
	}{
		"broker list":   {output.Of(nil, statusTable([]admin.Status{{Node: node, Figures: figures}, {Node: node}})), []string{"broker-a", addr}},
		"message find":  {messagesView(&cluster{}, []*message.Received{m}), []string{id}},
		"group clients": {membersView("g", []admin.Member{member}), []string{client}},
		"group show":    {output.Of(nil, onlineParts(online)...), []string{client}},
		"consumer list": {output.Of(nil, consumers), []string{client}},
	} {
		var b strings.Builder
		if err := c.view.Write(&b, output.FormatTable, 80); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(b.String()) {
			if n := len([]rune(line)) - 1; n > 80 {
				t.Errorf("%s: a line of %d characters: %s", name, n, line)
			}
		}
		if i := slices.IndexFunc(c.ids, func(id string) bool { return !strings.Contains(b.String(), id) }); i >= 0 {
			t.Errorf("%s: %s is not there:\n%s", name, c.ids[i], &b)
		}
	}
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package orders

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twostage/twostage/client"
	"github.com/twostage/twostage/examples/shop/event"
	"github.com/twostage/twostage/examples/shop/service"
	"github.com/twostage/twostage/message"
	"github.com/twostage/twostage/mqtest"
)

// TestRequestsMadeAgain: a buyer whose answer got lost asks again, perhaps an instance
// that knows no prices yet, and hears what became of the request.
func TestRequestsMadeAgain(t *testing.T) {
	t.Parallel()
	cluster := mqtest.Start(t)
	for _, topic := range event.Topics() {
		cluster.CreateTopic(topic, 4)
	}
	database := service.Database("sqlite:" + filepath.Join(t.TempDir(), "orders.db"))
	at := instance(t, cluster, database)
	const order = `{"id": "o1", "buyer": "ann", "product": "tea", "quantity": 1}`
	const again = `{"id": "o1", "buyer": "ann", "product": "no price is known", "quantity": 1}`

	code, _ := post(t, at+"/orders", order)
	if code != http.StatusServiceUnavailable {
		t.Errorf("an order before the price is known: %d", code)
	}
	if code, _ := post(t, at+"/orders/o1/cancel", ""); code != http.StatusNotFound {
		t.Errorf("cancelling what there is not: %d", code)
	}
	tell(t, cluster, event.Price{Product: "tea", Cents: 300, Version: 1})
	const patience, pause = 30 * time.Second, 10 * time.Millisecond // the price comes when it is consumed
	for end := time.Now().Add(patience); code == http.StatusServiceUnavailable && time.Now().Before(end); time.Sleep(pause) {
		code, _ = post(t, at+"/orders", order)
	}
	if code != http.StatusOK {
		t.Fatalf("an order: %d", code)
	}
	for _, request := range []struct{ path, want string }{
		{"/orders", Placed},
		{"/orders/o1/cancel", Cancelled},
		{"/orders/o1/cancel", Cancelled},
		{"/orders", Cancelled},
	} {
		if code, st := post(t, at+request.path, again); code != http.StatusOK || st.Status != request.want {
			t.Errorf("%s, made again: %d, %q, want %q", request.path, code, st.Status, request.want)
		}
	}
}

// instance runs an instance of orders until the test ends, and gives its URL.
func instance(t *testing.T, cluster *mqtest.Cluster, database service.Database) string {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	said, ready := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := Run(ctx, service.Config{
			Name: "orders", Replica: 1, NameServer: cluster.NameServer(), Database: database, Listen: "127.0.0.1:0", Log: slog.New(slog.DiscardHandler),
		}, time.Minute, ready)
		ready.CloseWithError(err)
		ended <- err
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	line, err := bufio.NewReader(said).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return "http://" + strings.TrimPrefix(strings.TrimSpace(line), "ready http=")
}

// tell sends what stock would.
func tell(t *testing.T, cluster *mqtest.Cluster, price event.Price) {
	t.Helper()
	producer, err := client.NewProducer("shop-stock", client.WithNameServers(cluster.NameServer()))
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	body, err := json.Marshal(price)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := producer.Send(t.Context(), message.New(event.Prices, body)); err != nil {
		t.Fatal(err)
	}
}

func post(t *testing.T, url, body string) (code int, st Status) {
	t.Helper()
	res, err := http.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&st); err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, st
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"

	"github.com/twostage/twostage/internal/auth"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
)

const accounts = `accounts:
- accessKey: orders-app
  secretKey: top-secret-1
  topicPerms: [orders=PUB|SUB]
  groupPerms: [readers=SUB]
- accessKey: administrator
  secretKey: top-secret-2
  admin: true
`

// TestACL: the official client against name server and broker with access control.
func TestACL(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "plain_acl.yml")
	if err := os.WriteFile(file, []byte(accounts), 0o600); err != nil {
		t.Fatal(err)
	}
	inner := `innerClientAuthenticationCredentials={"accessKey":"servers-inner","secretKey":"top-secret-3"}`
	c := start(t, "--set", "listenPort=0", "--namesrv-set", "listenPort=0", "--set", "aclEnable=true", "--namesrv-set", "aclEnable=true",
		"--set", "aclFile="+file, "--namesrv-set", "aclFile="+file, "--set", inner, "--namesrv-set", inner)
	app := primitive.Credentials{AccessKey: "orders-app", SecretKey: "top-secret-1"}
	admin := primitive.Credentials{AccessKey: "administrator", SecretKey: "top-secret-2"}
	sent := func(c *cluster, as primitive.Credentials, topic, body string) error {
		p := c.producer(t, producer.WithCredentials(as), producer.WithGroupName("senders"), producer.WithRetry(0))
		ctx, cancel := context.WithTimeout(t.Context(), soon)
		defer cancel()
		_, err := p.SendSync(ctx, primitive.NewMessage(topic, []byte(body)))
		return err
	}
	for _, topic := range []string{"orders", "secrets"} { // an admin makes both
		if err := sent(c, admin, topic, "first"); err != nil {
			t.Fatalf("an admin's message to %s: %v", topic, err)
		}
	}
	if err := sent(c, app, "orders", "second"); err != nil {
		t.Fatal(err)
	}
	in := &inbox{}
	c.consumer(t, "readers", "orders", in, consumer.WithCredentials(app))
	in.await(t, patient, "first", "second")
	tx := c.transactions(t, "deciders", &local{
		execute: always(primitive.UnknowState),
		check:   func(*primitive.MessageExt, int) primitive.LocalTransactionState { return primitive.CommitMessageState },
	}, producer.WithCredentials(app))
	sendTx(t, tx, primitive.NewMessage("orders", []byte("decided when asked")))
	in.await(t, patient, "first", "second", "decided when asked")

	c.readByPlace(t, admin, app)

	refused := func(reason string, fn func() error) {
		t.Helper()
		before := c.refusals(t, reason)
		if err := fn(); err == nil {
			t.Errorf("%s: it was sent", reason)
		}
		if after := c.refusals(t, reason); after <= before {
			t.Errorf("%s: counted %d before and %d after", reason, before, after)
		}
	}
	refused("bad_signature", func() error {
		return sent(c, primitive.Credentials{AccessKey: "orders-app", SecretKey: "not the secret"}, "orders", "wrong key")
	})
	refused("unknown_user", func() error {
		return sent(c, primitive.Credentials{AccessKey: "stranger-app", SecretKey: "top-secret-1"}, "orders", "stranger")
	})
	refused("no_credentials", func() error { return sent(c, primitive.Credentials{}, "orders", "unsigned") })
	refused("no_permission", func() error { return sent(c, app, "secrets", "not allowed") })
	for what, change := range map[string][2]string{"body": {"to be changed", "was changed!!"}, "field": {"UNIQ_KEY", "UNIQ_KEX"}} {
		changed := c.behind(t, change[0], change[1])
		before := c.refusals(t, "bad_signature")
		if err := sent(changed, app, "orders", "to be changed"); err == nil {
			t.Errorf("a message whose %s was changed on the way was stored", what)
		}
		if after := c.refusals(t, "bad_signature"); after <= before {
			t.Errorf("changed %s: counted %d before and %d after", what, before, after)
		}
	}
	if log := c.Log(); strings.Contains(log, "top-secret") {
		t.Error("a secret is in the log")
	}
}

// readByPlace has an admin and an application look at a record of a topic that is not
// the application's.
func (c *cluster) readByPlace(t *testing.T, admin, app primitive.Credentials) {
	t.Helper()
	p := c.producer(t, producer.WithCredentials(admin), producer.WithGroupName("senders"), producer.WithRetry(0))
	id, err := primitive.UnmarshalMsgID([]byte(send(t, p, primitive.NewMessage("secrets", []byte("hidden"))).OffsetMsgID))
	if err != nil {
		t.Fatal(err)
	}
	for as, want := range map[primitive.Credentials]int32{admin: wire.Success, app: wire.SystemError} {
		client := remoting.NewClient(remoting.ClientConfig{Sign: remoting.Signer(auth.Credentials{AccessKey: as.AccessKey, SecretKey: as.SecretKey})})
		answer, err := client.Invoke(within(t, soon), c.Broker, &wire.Request{Code: wire.ReqViewMessageByID, Header: &header.ViewMessageRequest{Offset: id.Offset}})
		if err != nil {
			t.Fatal(err)
		}
		if answer.Code != want {
			t.Errorf("%s looks at a record of secrets: %d %s", as.AccessKey, answer.Code, answer.Remark)
		}
		client.Close()
	}
}

// refusals gives a counter of both servers.
func (c *cluster) refusals(t *testing.T, reason string) (n int64) {
	t.Helper()
	resp, err := http.Get("http://" + c.HTTP + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "top-secret") {
		t.Error("a secret is in the metrics")
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "twostage_refused_requests_total{") && strings.Contains(line, `reason="`+reason+`"`) {
			v, err := strconv.ParseFloat(strings.Fields(line)[1], 64)
			if err != nil {
				t.Fatal(err)
			}
			n += int64(v)
		}
	}
	return n
}

// behind is the cluster as it is seen through somebody who changes requests to the
// broker: routes lead to them.
func (c *cluster) behind(t *testing.T, from, to string) *cluster {
	t.Helper()
	broker := relay(t, c.Broker, func(request []byte) []byte { return bytes.ReplaceAll(request, []byte(from), []byte(to)) }, nil)
	_, port, err := net.SplitHostPort(c.Broker)
	if err != nil {
		t.Fatal(err)
	}
	_, ours, err := net.SplitHostPort(broker)
	if err != nil {
		t.Fatal(err)
	}
	names := relay(t, c.Namesrv, nil, func(answer []byte) []byte {
		out := bytes.ReplaceAll(answer, []byte(":"+port), []byte(":"+ours))
		binary.BigEndian.PutUint32(out, uint32(len(out)-4))
		return out
	})
	seen := *c.Server
	seen.Namesrv = names
	return &cluster{&seen}
}

// relay hands frames on, changed.
func relay(t *testing.T, target string, request, answer func([]byte) []byte) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	pump := func(to, from net.Conn, change func([]byte) []byte) {
		defer wg.Done()
		defer to.Close()
		for {
			size := make([]byte, 4)
			if _, err := io.ReadFull(from, size); err != nil {
				return
			}
			frame := append(size, make([]byte, binary.BigEndian.Uint32(size))...)
			if _, err := io.ReadFull(from, frame[4:]); err != nil {
				return
			}
			if change != nil {
				frame = change(frame)
			}
			if _, err := to.Write(frame); err != nil {
				return
			}
		}
	}
	wg.Add(1)
	go func() {
		defer wg.Done()
		for {
			in, err := ln.Accept()
			if err != nil {
				return
			}
			out, err := net.DialTimeout("tcp", target, 5*time.Second)
			if err != nil {
				in.Close()
				continue
			}
			mu.Lock()
			conns = append(conns, in, out)
			mu.Unlock()
			wg.Add(2)
			go pump(out, in, request)
			go pump(in, out, answer)
		}
	}()
	t.Cleanup(func() {
		ln.Close()
		mu.Lock()
		for _, c := range conns {
			c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return ln.Addr().String()
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package sqltx

import (
	"context"
	"database/sql"
	"net/netip"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	_ "modernc.org/sqlite"

	"github.com/twostage/twostage/client"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// broker is a name server and a broker on a network in memory, which keeps half
// messages and what it is told of them.
type broker struct {
	t   *testing.T
	net *remoting.MemNetwork

	mu     sync.Mutex
	halves []*message.Received
	ends   []header.EndTransactionRequest
	status int32                          // of the answers to half messages
	before func(r *remoting.Request) bool // when it returns true the request is not answered
}

const (
	namesAddr  = "127.0.0.1:9876"
	brokerAddr = "127.0.0.1:10911"
)

func newBroker(t *testing.T) *broker {
	b := &broker{t: t, net: remoting.NewMemNetwork()}
	b.serve(namesAddr, func(r *remoting.Request) {
		r.Reply(&wire.Response{Body: body.MarshalStandard(&body.TopicRouteData{
			FilterServerTable: map[string][]string{},
			QueueDatas:        []body.QueueData{{BrokerName: "b", ReadQueueNums: 1, WriteQueueNums: 1, Perm: 6}},
			BrokerDatas:       []body.BrokerData{{Cluster: "C", BrokerName: "b", BrokerAddrs: map[int64]string{0: brokerAddr}}},
		})})
	})
	b.serve(brokerAddr, b.handle)
	return b
}

func (b *broker) serve(addr string, handle remoting.Handler) {
	s := remoting.NewServer(remoting.ServerConfig{Addr: addr, Listen: b.net.Listen, Unknown: handle})
	if err := s.Listen(); err != nil {
		b.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.Run(context.Background())
	}()
	b.t.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.t.Error(err)
		}
		<-ended
	})
}

func (b *broker) handle(r *remoting.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.before != nil && b.before(r) {
		return
	}
	switch r.Code {
	case wire.ReqSendMessageV2:
		var h header.SendRequest
		if err := h.DecodeV2(r.Ext); err != nil {
			b.t.Error(err)
		}
		at := int64(len(b.halves))
		store := netip.MustParseAddrPort(brokerAddr)
		b.halves = append(b.halves, message.NewReceived(&message.Record{
			Topic: h.Topic, Properties: h.Properties, Body: r.Body, SysFlag: message.SysFlag(h.SysFlag), BornTimestamp: h.BornTimestamp,
			QueueOffset: at, PhysicalOffset: 100 * at, StoreHost: store,
		}))
		id := message.AppendOffsetID(nil, store, 100*at)
		r.Reply(&wire.Response{Code: b.status, Header: &header.SendResponse{MsgID: id, QueueOffset: at}})
	case wire.ReqEndTransaction:
		var h header.EndTransactionRequest
		if err := h.DecodeExt(r.Ext); err != nil {
			b.t.Error(err)
		}
		b.ends = append(b.ends, h)
		if h.CommitOrRollback != 0 {
			r.Reply(&wire.Response{})
		}
	default:
		r.Reply(&wire.Response{})
	}
}

// half gives the last half message.
func (b *broker) half() *message.Received {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.halves) == 0 {
		b.t.Fatal("no half message has come")
	}
	return b.halves[len(b.halves)-1]
}

// told gives what the broker was told, one word for each end.
func (b *broker) told() (all []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, h := range b.ends {
		all = append(all, map[int32]string{0: "unknown", 8: "commit", 12: "rollback"}[h.CommitOrRollback])
	}
	return all
}

func (b *broker) producer(check client.Checker, opts ...client.Option) *client.TransactionProducer {
	b.t.Helper()
	opts = append([]client.Option{client.WithNameServers(namesAddr), client.WithDialer(b.net.Dial)}, opts...)
	p, err := client.NewTransactionProducer("g", check, opts...)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		if err := p.Close(); err != nil {
			b.t.Error(err)
		}
	})
	return p
}

// process is what a process has: its own connections to a database that others
// have open as well, and its own clock.
type process struct {
	*DB
	p     *client.TransactionProducer
	clock time.Duration // added to the time
}

// world is a broker, a SQLite file, and the processes that use them.
type world struct {
	*broker
	t    *testing.T
	file string
}

func newWorld(t *testing.T) *world {
	return &world{broker: newBroker(t), t: t, file: filepath.Join(t.TempDir(), "db")}
}

// open connects to the file.
func (w *world) open(pragmas string) *sql.DB {
	w.t.Helper()
	db, err := sql.Open("sqlite", "file:"+w.file+"?_pragma=journal_mode(WAL)&_pragma=synchronous(0)&_pragma=busy_timeout(2000)"+pragmas)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if err := db.Close(); err != nil {
			w.t.Error(err)
		}
	})
	return db
}

// process starts one.
func (w *world) process(opts ...Option) *process {
	w.t.Helper()
	return w.processOn(w.open(""), opts...)
}

func (w *world) processOn(db *sql.DB, opts ...Option) *process {
	w.t.Helper()
	d, err := Open(w.t.Context(), db, SQLite, append([]Option{WithLockWait(50 * time.Millisecond)}, opts...)...)
	if err != nil {
		w.t.Fatal(err)
	}
	proc := &process{DB: d}
	d.now = func() time.Time { return time.Now().Add(proc.clock) }
	proc.p = w.producer(d.Check)
	if _, err := db.ExecContext(w.t.Context(), "CREATE TABLE IF NOT EXISTS work (what TEXT NOT NULL)"); err != nil {
		w.t.Fatal(err)
	}
	return proc
}

func (p *process) run(ctx context.Context, fn func(ctx context.Context, tx *sql.Tx) error) (*client.TransactionResult, error) {
	return Run(ctx, p.DB, p.p, message.New("T", []byte("order")), fn)
}

// writes inserts a row of work.
func writes(what string) func(ctx context.Context, tx *sql.Tx) error {
	return func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO work VALUES (?)", what)
		return err
	}
}

// work is how many rows of work are committed.
func (w *world) work(p *process) (n int) {
	w.t.Helper()
	if err := p.db.QueryRow("SELECT COUNT(*) FROM work").Scan(&n); err != nil {
		w.t.Fatal(err)
	}
	return n
}

// rows counts the rows of a table.
func (w *world) rows(p *process, table string) (n int) {
	w.t.Helper()
	if err := p.db.QueryRow("SELECT COUNT(*) FROM " + table).Scan(&n); err != nil {
		w.t.Fatal(err)
	}
	return n
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twostage/twostage/examples/shop/accounts"
	"github.com/twostage/twostage/examples/shop/books"
	"github.com/twostage/twostage/examples/shop/coupons"
	"github.com/twostage/twostage/examples/shop/event"
	"github.com/twostage/twostage/examples/shop/service"
	"github.com/twostage/twostage/examples/shop/stock"
	"github.com/twostage/twostage/internal/cli"
)

// services are how many instances there are of each.
var services = []struct {
	name     string
	replicas int
}{{"accounts", 1}, {"stock", 1}, {"coupons", 1}, {"payments", 1}, {"orders", 2}, {"notifications", 1}}

// What the shop opens with.
const (
	products = 6
	quantity = 40     // of each product for each second; the last has a tenth, and runs out
	pocket   = 30_000 // cents of a buyer for each second
	coins    = 2      // coupons for each second
	discount = 150    // of each, cents
)

// world is the shop while it runs.
type world struct {
	*flags
	out     io.Writer
	dir     string
	host    string // that all processes listen on
	http    *http.Client
	broker  *process
	by      map[string][]*process               // instances by service
	dbs     map[string]*sql.DB                  // by service, for the books
	drop    []func(context.Context, bool) error // of databases on a server, or its connection only
	buying  tally
	mu      sync.Mutex
	told    books.Told   // guarded by mu
	kills   atomic.Int64 // of services
	crashes atomic.Int64 // of the broker
}

// open starts everything.
func open(ctx context.Context, f *flags, out io.Writer) (*world, error) {
	w := &world{flags: f, out: out, dir: f.dir, host: ownHost(), by: map[string][]*process{}, dbs: map[string]*sql.DB{}}
	w.http = &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: f.buyers}}
	if err := w.begin(ctx); err != nil {
		return nil, errors.Join(err, w.close(w.broker == nil || ctx.Err() != nil))
	}
	return w, nil
}

func (w *world) begin(ctx context.Context) (err error) {
	if w.dir == "" {
		w.dir, err = os.MkdirTemp("", "shop-")
	} else {
		w.keep = true
		err = emptyDir(w.dir)
	}
	if err != nil {
		w.dir = "" // there is nothing of ours in it
		return err
	}
	began := time.Now()
	at := map[string]service.Database{}
	for _, s := range services {
		if at[s.name], err = w.database(ctx, s.name); err != nil {
			return err
		}
	}
	if err := w.startBroker(ctx); err != nil {
		return err
	}
	for _, s := range services {
		if err := w.startService(ctx, s.name, s.replicas, at[s.name]); err != nil {
			return err
		}
	}
	if err := w.stockUp(ctx); err != nil {
		return err
	}
	fmt.Fprintf(w.out, "open after %.1fs: %d processes, databases and logs in %s\n", time.Since(began).Seconds(), len(w.all()), w.dir)
	return nil
}

// emptyDir makes a directory, or takes one with nothing in it.
func emptyDir(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	switch there, err := os.ReadDir(dir); {
	case err != nil:
		return err
	case len(there) > 0:
		return fmt.Errorf("--dir %s is not empty: each run needs a directory of its own", dir)
	}
	return nil
}

// startBroker starts the broker with times of seconds where it has minutes, and
// makes the topics.
func (w *world) startBroker(ctx context.Context) (err error) {
	w.broker, err = newProcess(w.dir, "broker", func(known map[string]string) []string {
		return []string{"broker", "--data", filepath.Join(w.dir, "broker"), "--log-level", "warn",
			"--namesrv-set", "bindAddress=" + w.host, "--set", "bindAddress=" + w.host, "--set", "brokerIP1=" + w.host,
			"--namesrv-set", "listenPort=" + port(known["namesrv"]), "--set", "listenPort=" + port(known["broker"]), "--set", "httpListenPort=0",
			"--set", "mappedFileSizeCommitLog=67108864", "--set", "transactionTimeOut=1000", "--set", "transactionCheckInterval=1000",
			// How full the disk is, is not the shop's matter: it is small.
			"--set", "diskMaxUsedSpaceRatio=100", "--set", "diskSpaceCleanForciblyRatio=100", "--set", "diskSpaceWarningLevelRatio=100"}
	})
	if err != nil {
		return err
	}
	if err := w.broker.start(ctx); err != nil {
		return err
	}
	for _, topic := range event.Topics() {
		var said bytes.Buffer
		code := cli.Run(ctx, cli.Process{Args: []string{"topic", "create", topic, "--queues", "4", "--namesrv", w.broker.addr("namesrv")}, Stdout: &said, Stderr: &said})
		if code != 0 {
			return fmt.Errorf("making topic %s: %s", topic, said.String())
		}
	}
	return nil
}

// ownHost is an address of the loopback for one run. A process that was killed comes
// back to the port that it had, and the system takes the local end of a connection,
// that of another process or of a buyer, from the same range; but its address is
// 127.0.0.1, so the port of this one stays free.
func ownHost() string {
	return fmt.Sprintf("127.%d.%d.%d", 1+rand.IntN(254), rand.IntN(256), 1+rand.IntN(254))
}

// port is that of an address, 0 of none: any that is free.
func port(addr string) string {
	if addr == "" {
		return "0"
	}
	return addr[strings.LastIndexByte(addr, ':')+1:]
}

func (w *world) startService(ctx context.Context, name string, replicas int, at service.Database) (err error) {
	if w.dbs[name], _, err = at.Open(); err != nil {
		return err
	}
	for n := 1; n <= replicas; n++ {
		p, err := newProcess(w.dir, name+"-"+strconv.Itoa(n), func(known map[string]string) []string {
			return []string{"service", "--name", name, "--replica", strconv.Itoa(n), "--namesrv", w.broker.addr("namesrv"),
				"--listen", w.host + ":" + port(known["http"]), "--pay-within", w.payWithin.String(), "--chaos=" + strconv.FormatBool(w.chaos), "--break", w.broken}
		}, databaseVariable+"="+string(at))
		if err != nil {
			return err
		}
		w.by[name] = append(w.by[name], p)
		if err := p.start(ctx); err != nil {
			return err
		}
	}
	return nil
}

// database makes the database of a service: a file, or one on the server of --db
// with a name that no other run has.
func (w *world) database(ctx context.Context, name string) (service.Database, error) {
	if w.db == "" {
		return service.Database("sqlite:" + filepath.Join(w.dir, name+".db")), nil
	}
	server, _, err := service.Database(w.db).Open()
	if err != nil {
		return "", err
	}
	own := fmt.Sprintf("shop_%s_%s", strconv.FormatInt(time.Now().UnixMilli(), 36), name)
	if _, err := server.ExecContext(ctx, "CREATE DATABASE "+own); err != nil {
		return "", errors.Join(fmt.Errorf("--db: making database %s: %w", own, err), server.Close())
	}
	w.drop = append(w.drop, func(ctx context.Context, remove bool) error {
		defer server.Close() //nolint:errcheck // nothing is kept in it
		if !remove {
			fmt.Fprintf(w.out, "database %s is kept\n", own)
			return nil
		}
		if _, err := server.ExecContext(ctx, "DROP DATABASE "+own); err != nil {
			return fmt.Errorf("--db: dropping database %s: %w", own, err)
		}
		return nil
	})
	return service.Database(w.db).Named(own)
}

// stockUp fills shelves, pockets and the drawer of coupons.
func (w *world) stockUp(ctx context.Context) error {
	seconds := w.seconds()
	for i := range products {
		p := stock.Product{ID: product(i), Quantity: int64(quantity * seconds), Price: int64(500 * (i + 1))}
		if i == products-1 {
			p.Quantity /= 10
		}
		if err := w.must(ctx, "stock", "/products", p); err != nil {
			return err
		}
	}
	for i := range coins * seconds {
		if err := w.must(ctx, "coupons", "/coupons", coupons.Coupon{ID: coupon(i), Discount: discount}); err != nil {
			return err
		}
	}
	if err := w.must(ctx, "accounts", "/accounts", accounts.Account{ID: accounts.Shop}); err != nil {
		return err
	}
	for i := range w.buyers {
		if err := w.must(ctx, "accounts", "/accounts", accounts.Account{ID: buyer(i), Balance: int64(pocket * seconds)}); err != nil {
			return err
		}
	}
	return nil
}

// seconds are those of the load: for each there is so much more of everything.
func (w *world) seconds() int { return int(w.duration/time.Second) + 1 }

func product(i int) string { return "product-" + strconv.Itoa(i) }
func coupon(i int) string  { return "coupon-" + strconv.Itoa(i) }
func buyer(i int) string   { return "buyer-" + strconv.Itoa(i) }

// all are the processes, the broker first.
func (w *world) all() []*process {
	var all []*process
	if w.broker != nil {
		all = append(all, w.broker)
	}
	for _, s := range services {
		all = append(all, w.by[s.name]...)
	}
	return all
}

// failed names the processes that ended though nobody killed them.
func (w *world) failed() error {
	var errs []error
	for _, p := range w.all() {
		errs = append(errs, p.failed())
	}
	return errors.Join(errs...)
}

// close stops everything, the broker last, and removes what was written, unless
// --keep says otherwise.
func (w *world) close(remove bool) error {
	var errs []error
	remove = remove && !w.keep
	all := w.all()
	for i := len(all) - 1; i >= 0; i-- {
		errs = append(errs, all[i].stop())
	}
	for _, db := range w.dbs {
		errs = append(errs, db.Close())
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for _, drop := range w.drop {
		errs = append(errs, drop(ctx, remove))
	}
	switch {
	case remove:
		errs = append(errs, os.RemoveAll(w.dir))
	case w.dir != "":
		fmt.Fprintf(w.out, "logs and data are kept in %s\n", w.dir)
	}
	return errors.Join(errs...)
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

var (
	// ErrNoTransaction: no broker that answers knows the transaction.
	ErrNoTransaction = errors.New("no such transaction")
	// ErrWhichBroker: several brokers know a transaction of that id.
	ErrWhichBroker = errors.New("which broker")
)

// Place is a broker and where it is reached. Where Broker is empty, it is the one
// that listens there, whatever its name.
type Place struct {
	Broker string `json:"broker"`
	Addr   string `json:"-"` // host:port
}

// Transaction is a transaction and the broker that has it.
type Transaction struct {
	Place
	body.Transaction
}

// Story is all that is known of a transaction.
type Story struct {
	Place
	Transaction body.Transaction        `json:"transaction"`
	Events      []body.TransactionEvent `json:"events"`
}

// places are the masters of all clusters, or the broker at an address.
func (a *Admin) places(ctx context.Context, addr string) ([]Place, error) {
	if addr != "" {
		return []Place{{Addr: addr}}, nil
	}
	all, err := a.Brokers(ctx)
	if err != nil {
		return nil, err
	}
	var found []Place
	for _, b := range all {
		if master := b.Addrs[0]; master != "" {
			found = append(found, Place{b.Name, master})
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%w: no master is registered at %s", ErrCluster, strings.Join(a.servers, ";"))
	}
	return found, nil
}

// at calls fn with the broker's address. Brokers without access control answer about
// transactions on their own machine only: where one refuses that runs on this one, but
// sees us come from another (behind a published port), fn is called again with its
// port on the loopback, if something listens.
func (a *Admin) at(ctx context.Context, p Place, fn func(ctx context.Context, addr string) error) error {
	err := a.request(ctx, p.Addr, fn)
	if !errors.Is(err, rpc.NoPermission) {
		return err
	}
	local := a.loopback(p.Addr)
	if local == "" {
		return err
	}
	again := a.request(ctx, local, fn)
	if _, answered := rpc.CodeOf(again); again != nil && !answered {
		return err
	}
	return again
}

// loopback is the port of an address of this machine on the loopback, "" for
// other addresses.
func (a *Admin) loopback(addr string) string {
	to, err := netip.ParseAddrPort(addr)
	if err != nil || to.Addr().IsLoopback() {
		return ""
	}
	own, err := a.addrs()
	if err != nil {
		return ""
	}
	host := net.IPv6loopback.String()
	if to.Addr().Unmap().Is4() {
		host = "127.0.0.1"
	}
	for _, o := range own {
		if p, err := netip.ParsePrefix(o.String()); err == nil && p.Addr().Unmap() == to.Addr().Unmap() {
			return net.JoinHostPort(host, strconv.Itoa(int(to.Port())))
		}
	}
	return ""
}

// Transactions lists transactions of the broker at addr, or of all masters when
// that is empty, oldest first: at most limit, of the oldest of each broker by half
// queue offset; 0 is all. more says that there are others. f.Limit is not looked
// at. With an error come those of the brokers that answered.
func (a *Admin) Transactions(ctx context.Context, addr string, f body.TransactionFilter, limit int) (list []Transaction, more bool, err error) {
	places, err := a.places(ctx, addr)
	if err != nil {
		return nil, false, err
	}
	var errs []error
	for _, p := range places {
		some, rest, err := a.listAt(ctx, p, f, limit)
		if err != nil {
			errs = append(errs, p.wrap(err))
		}
		list, more = append(list, some...), more || rest
	}
	slices.SortStableFunc(list, func(x, y Transaction) int { return cmp.Compare(x.StoredAt, y.StoredAt) })
	if limit > 0 && len(list) > limit {
		list, more = list[:limit], true
	}
	return list, more, errors.Join(errs...)
}

// listAt lists transactions of one broker, page by page.
func (a *Admin) listAt(ctx context.Context, p Place, f body.TransactionFilter, limit int) (list []Transaction, more bool, err error) {
	h := &header.TxListRequest{
		BrokerName: p.Broker, Topic: f.Topic, Group: f.Group, State: string(f.State), MinAge: f.MinAge.Milliseconds(), MaxAge: f.MaxAge.Milliseconds(), From: f.From,
	}
	for {
		h.Limit = body.MaxTransactionLimit
		if limit > 0 {
			h.Limit = int32(min(limit-len(list), body.MaxTransactionLimit))
		}
		var page *body.TransactionList
		if err := a.at(ctx, p, func(ctx context.Context, addr string) (err error) {
			page, err = rpc.Transactions(ctx, a.caller, addr, h)
			return err
		}); err != nil {
			return list, more, err
		}
		for _, t := range page.Transactions {
			list = append(list, Transaction{Place{page.Broker, p.Addr}, t})
		}
		switch {
		case page.Next < 0:
			return list, false, nil
		case limit > 0 && len(list) >= limit:
			return list, true, nil
		case page.Next <= h.From:
			return list, false, fmt.Errorf("TX_LIST to %s: the page from %d goes on at %d", p.Addr, h.From, page.Next)
		}
		h.From = page.Next
	}
}

// Transaction gives all that is known of a transaction, which id names as in
// TX_SHOW: of the broker at addr, or of the one master that knows it.
func (a *Admin) Transaction(ctx context.Context, addr, id string) (*Story, error) {
	places, err := a.places(ctx, addr)
	if err != nil {
		return nil, err
	}
	var found []*Story
	var errs []error
	for _, p := range places {
		switch s, err := a.showAt(ctx, p, id); {
		case err == nil:
			found = append(found, s)
		case !errors.Is(err, rpc.QueryNotFound):
			errs = append(errs, p.wrap(err))
		case addr != "":
			return nil, fmt.Errorf("%w: %w", ErrNoTransaction, err)
		}
	}
	if len(found) > 1 {
		if s := byAddress(found, id); s != nil {
			return s, nil
		}
		var names []string
		for _, s := range found {
			names = append(names, fmt.Sprintf("%s at %s", s.Broker, s.Addr))
		}
		return nil, fmt.Errorf("%w: there is a transaction %s on %s", ErrWhichBroker, id, strings.Join(names, ", "))
	}
	if len(found) == 1 {
		return found[0], nil
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return nil, fmt.Errorf("%w: no broker knows %s", ErrNoTransaction, id)
}

func (a *Admin) showAt(ctx context.Context, p Place, id string) (*Story, error) {
	var s *body.TransactionStory
	err := a.at(ctx, p, func(ctx context.Context, addr string) (err error) {
		s, err = rpc.Transaction(ctx, a.caller, addr, &header.TxRequest{BrokerName: p.Broker, ID: id})
		return err
	})
	if err != nil {
		return nil, err
	}
	p.Broker = s.Broker
	return &Story{Place: p, Transaction: s.Transaction, Events: s.Events}, nil
}

// byAddress is the story of the broker whose address an offset message id holds.
func byAddress(list []*Story, id string) *Story {
	host, _, err := message.ParseOffsetID(id)
	if err != nil {
		return nil
	}
	for _, s := range list {
		if s.Addr == host.String() {
			return s
		}
	}
	return nil
}

// DecideTransaction commits a transaction or rolls it back. One that has that
// outcome stays as it is; rpc.IllegalOperation when it has another.
func (a *Admin) DecideTransaction(ctx context.Context, p Place, queueOffset int64, commit bool) error {
	h := &header.TxDecideRequest{BrokerName: p.Broker, ID: strconv.FormatInt(queueOffset, 10), Outcome: header.TxRollback}
	if commit {
		h.Outcome = header.TxCommit
	}
	return a.at(ctx, p, func(ctx context.Context, addr string) error {
		_, err := rpc.DecideTransaction(ctx, a.caller, addr, h)
		return err
	})
}

// RecheckTransaction has a transaction checked at once.
func (a *Admin) RecheckTransaction(ctx context.Context, p Place, queueOffset int64) error {
	h := &header.TxRequest{BrokerName: p.Broker, ID: strconv.FormatInt(queueOffset, 10)}
	return a.at(ctx, p, func(ctx context.Context, addr string) error {
		_, err := rpc.RecheckTransaction(ctx, a.caller, addr, h)
		return err
	})
}

// ResumeTransaction has a parked transaction taken up again, and gives where and
// the half queue offset of its new half message. id is as for Transaction; the
// offset message id of a parked copy will do even where its transaction is not
// known any more, at addr or else at the address in it.
func (a *Admin) ResumeTransaction(ctx context.Context, addr, id string) (p Place, queueOffset int64, err error) {
	switch s, err := a.Transaction(ctx, addr, id); {
	case err == nil:
		p, id = s.Place, strconv.FormatInt(s.Transaction.QueueOffset, 10)
	case !errors.Is(err, ErrNoTransaction):
		return Place{}, 0, err
	default:
		host, _, bad := message.ParseOffsetID(id)
		if bad != nil {
			return Place{}, 0, err
		}
		places, failed := a.places(ctx, addr)
		if failed != nil {
			return Place{}, 0, failed
		}
		at := slices.IndexFunc(places, func(p Place) bool { return addr != "" || p.Addr == host.String() })
		if at < 0 {
			return Place{}, 0, err
		}
		p = places[at]
	}
	err = a.at(ctx, p, func(ctx context.Context, addr string) (err error) {
		queueOffset, err = rpc.ResumeTransaction(ctx, a.caller, addr, &header.TxRequest{BrokerName: p.Broker, ID: id})
		return err
	})
	return p, queueOffset, err
}

// wrap names the broker in an error.
func (p Place) wrap(err error) error {
	if p.Broker == "" {
		return err
	}
	return fmt.Errorf("broker %s: %w", p.Broker, err)
}

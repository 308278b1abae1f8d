// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twostage/twostage/internal/access"
	"github.com/twostage/twostage/internal/broker/handler"
	"github.com/twostage/twostage/internal/wire/body"
)

const (
	// transactionPatience is how long a request waits for an outcome to be stored.
	transactionPatience = 30 * time.Second
	// maxTransactionBody bounds the body of a POST, which says nothing.
	maxTransactionBody = 1 << 10
)

var (
	errStarting = errors.New("the broker is starting")
	errPatience = errors.New("no answer yet: the outcome may be stored or not, look at the transaction")
)

// transactions is the inspector over HTTP: what the wire has as TX_LIST and its
// kin, as JSON. It serves the loopback only, and no page of another site: see
// local. The zero value answers 503 until it has an inspector.
type transactions struct {
	broker atomic.Pointer[inspected]
}

// inspected is a broker's transactions.
type inspected struct {
	handler.Inspector
	broker string // name
	access *access.Guard
}

// inspect sets what is served.
func (t *transactions) inspect(broker string, in handler.Inspector, guard *access.Guard) {
	t.broker.Store(&inspected{in, broker, guard})
}

// allowed refuses who may not administer the cluster.
func (t *transactions) allowed(r *http.Request) error {
	name, secret, _ := r.BasicAuth()
	from, _ := netip.ParseAddrPort(r.RemoteAddr) // local has seen that it can be read
	return t.broker.Load().access.Password(name, secret, from.Addr())
}

// mount adds the paths.
func (t *transactions) mount(mux *http.ServeMux) {
	routes := map[string]http.HandlerFunc{
		"/api/transactions":               t.list,
		"/api/transactions/{id}":          t.show,
		"/api/transactions/{id}/commit":   t.act(commit),
		"/api/transactions/{id}/rollback": t.act(rollback),
		"/api/transactions/{id}/recheck":  t.act(recheck),
		"/api/transactions/{id}/resume":   t.act(resume),
	}
	for path, h := range routes {
		method := http.MethodGet
		if strings.Count(path, "/") == 4 {
			method = http.MethodPost
		}
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			switch err := local(r); {
			case err != nil:
				refuse(w, http.StatusForbidden, err)
			case r.Method != method && (method != http.MethodGet || r.Method != http.MethodHead):
				w.Header().Set("Allow", method)
				refuse(w, http.StatusMethodNotAllowed, fmt.Errorf("%s: only %s is served here", r.Method, method))
			case t.broker.Load() == nil:
				refuse(w, http.StatusServiceUnavailable, errStarting)
			default:
				if err := t.allowed(r); err != nil {
					w.Header().Set("WWW-Authenticate", `Basic realm="twostage"`)
					refuse(w, http.StatusUnauthorized, err)
					return
				}
				h(w, r)
			}
		})
	}
	mux.HandleFunc("/api/transactions/", func(w http.ResponseWriter, r *http.Request) {
		if err := local(r); err != nil {
			refuse(w, http.StatusForbidden, err)
			return
		}
		refuse(w, http.StatusNotFound, errors.New("there is GET /api/transactions, GET /api/transactions/ID and POST /api/transactions/ID/commit, rollback, recheck, resume"))
	})
}

// local refuses what does not come from a program of this machine: another
// address, one behind a proxy, another name for this one (a page whose name was
// made to lead here), and what a browser says comes from another site.
func local(r *http.Request) error {
	const why = "only the loopback is answered"
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !from.Addr().Unmap().IsLoopback() {
		return fmt.Errorf("%s, and this request came from %s: send it from the broker's machine, or through an SSH tunnel to there", why, r.RemoteAddr)
	}
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Real-Ip"} {
		if r.Header.Get(name) != "" {
			return fmt.Errorf("%s, and a proxy handed this request on (%s %.60q)", why, name, r.Header.Get(name))
		}
	}
	if !loopbackHost(r.Host) {
		return fmt.Errorf("%s, and this request is for host %.100q: use 127.0.0.1, [::1] or localhost", why, r.Host)
	}
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
		return fmt.Errorf("a page of another site sent this request (Sec-Fetch-Site %.40q)", site)
	}
	for _, origin := range r.Header.Values("Origin") {
		if u, err := url.Parse(origin); err != nil || u.Host != r.Host || u.Scheme != "http" && u.Scheme != "https" {
			return fmt.Errorf("a page of another site sent this request (Origin %.100q)", origin)
		}
	}
	return nil
}

// loopbackHost tells whether a Host header, with a port or without, names the
// loopback.
func loopbackHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	} else if inner, ok := strings.CutPrefix(host, "["); ok {
		host = strings.TrimSuffix(inner, "]")
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

func (t *transactions) list(w http.ResponseWriter, r *http.Request) {
	f, err := parseFilter(r.URL.RawQuery)
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	b := t.broker.Load()
	all, next, err := b.List(f)
	if err != nil {
		refuse(w, status(err), err)
		return
	}
	reply(w, body.MarshalStandard(&body.TransactionList{Broker: b.broker, Transactions: all, Next: next}))
}

func (t *transactions) show(w http.ResponseWriter, r *http.Request) {
	b := t.broker.Load()
	offset, err := handler.FindTransaction(b, r.PathValue("id"))
	if err != nil {
		refuse(w, status(err), err)
		return
	}
	s, err := b.Show(offset)
	if err != nil {
		refuse(w, status(err), err)
		return
	}
	answer := *s
	answer.Broker = b.broker
	reply(w, body.MarshalStandard(&answer))
}

// done is the answer to a POST.
type done struct {
	Broker      string `json:"broker"`
	QueueOffset int64  `json:"queueOffset"` // of the transaction; after resume that of its new half message
}

// action does something to a transaction and hands its half queue offset on.
type action func(b *inspected, id, who string, done func(int64, error))

// act serves an action.
func (t *transactions) act(do action) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if code, err := plain(w, r); err != nil {
			refuse(w, code, err)
			return
		}
		type result struct {
			offset int64
			err    error
		}
		b, results := t.broker.Load(), make(chan result, 1)
		do(b, r.PathValue("id"), "http "+r.RemoteAddr, func(offset int64, err error) { results <- result{offset, err} })
		ctx, cancel := context.WithTimeout(r.Context(), transactionPatience)
		defer cancel()
		select {
		case <-ctx.Done():
			refuse(w, http.StatusGatewayTimeout, errPatience)
		case res := <-results:
			if res.err != nil {
				refuse(w, status(res.err), res.err)
				return
			}
			text, err := json.Marshal(done{b.broker, res.offset})
			if err != nil {
				refuse(w, http.StatusInternalServerError, err)
				return
			}
			reply(w, text)
		}
	}
}

// plain checks that a POST is one that no form of a web page can send, and that
// it says nothing that would be overlooked.
func plain(w http.ResponseWriter, r *http.Request) (code int, err error) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return http.StatusUnsupportedMediaType, fmt.Errorf("Content-Type %.60q: it must be application/json, which no form of a web page can send", r.Header.Get("Content-Type"))
	}
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxTransactionBody))
	if err != nil {
		return http.StatusBadRequest, fmt.Errorf("reading the body, which should be empty or {}: %w", err)
	}
	if rest := strings.TrimSpace(string(text)); rest != "" && rest != "{}" {
		return http.StatusBadRequest, fmt.Errorf("the body is %.40q: it should be empty or {}", rest)
	}
	if r.URL.RawQuery != "" {
		return http.StatusBadRequest, fmt.Errorf("the query %.60q means nothing here", r.URL.RawQuery)
	}
	return 0, nil
}

func commit(b *inspected, id, who string, done func(int64, error))   { decide(b, id, true, who, done) }
func rollback(b *inspected, id, who string, done func(int64, error)) { decide(b, id, false, who, done) }

func decide(b *inspected, id string, commit bool, who string, done func(int64, error)) {
	offset, err := handler.FindTransaction(b, id)
	if err != nil {
		done(0, err)
		return
	}
	b.Decide(offset, commit, who, func(err error) { done(offset, err) })
}

func recheck(b *inspected, id, who string, done func(int64, error)) {
	offset, err := handler.FindTransaction(b, id)
	if err == nil {
		err = b.Recheck(offset, who)
	}
	done(offset, err)
}

func resume(b *inspected, id, who string, done func(int64, error)) {
	physical, err := handler.FindParked(b, id)
	if err != nil {
		done(0, err)
		return
	}
	b.Resume(physical, who, done)
}

// parseFilter reads the query of a list.
func parseFilter(query string) (f body.TransactionFilter, err error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return f, fmt.Errorf("the query can't be read: %w", err)
	}
	known := []string{"topic", "group", "state", "minAge", "maxAge", "from", "limit"}
	for name, all := range values {
		if !slices.Contains(known, name) {
			return f, fmt.Errorf("there is no parameter %.40q, only %s", name, strings.Join(known, ", "))
		}
		if len(all) > 1 {
			return f, fmt.Errorf("%s is there %d times", name, len(all))
		}
	}
	f.Topic, f.Group, f.State = values.Get("topic"), values.Get("group"), body.TransactionState(values.Get("state"))
	limit := int64(0)
	for _, err := range []error{
		parseAge(values, "minAge", &f.MinAge), parseAge(values, "maxAge", &f.MaxAge),
		parseNumber(values, "from", &f.From, math.MaxInt64), parseNumber(values, "limit", &limit, body.MaxTransactionLimit),
	} {
		if err != nil {
			return f, err
		}
	}
	f.Limit = int(limit)
	return f, f.Check()
}

// parseAge reads a span such as 10m, or milliseconds.
func parseAge(values url.Values, name string, d *time.Duration) error {
	text := values.Get(name)
	if text == "" {
		return nil
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && n <= math.MaxInt64/int64(time.Millisecond) && n >= 0 {
		*d = time.Duration(n) * time.Millisecond
		return nil
	}
	v, err := time.ParseDuration(text)
	if err != nil || v < 0 {
		return fmt.Errorf("%s=%.40q is no span of time: write it as 90s, 10m or 36h, or in milliseconds", name, text)
	}
	*d = v
	return nil
}

func parseNumber(values url.Values, name string, n *int64, most int64) error {
	text := values.Get(name)
	if text == "" {
		return nil
	}
	v, err := strconv.ParseInt(text, 10, 64)
	if err != nil || v < 0 || v > most {
		return fmt.Errorf("%s=%.40q is no whole number from 0 to %d", name, text, most)
	}
	*n = v
	return nil
}

// status is the HTTP status for an error of the inspector.
func status(err error) int {
	switch {
	case errors.Is(err, body.ErrNoHalf):
		return http.StatusNotFound
	case errors.Is(err, body.ErrDecided):
		return http.StatusConflict
	case errors.Is(err, body.ErrFilter), errors.Is(err, handler.ErrTransactionID):
		return http.StatusBadRequest
	}
	return http.StatusInternalServerError
}

// refuse answers with an error.
func refuse(w http.ResponseWriter, code int, err error) {
	text, failed := json.Marshal(map[string]string{"error": err.Error()})
	if failed != nil { // a map of strings is always JSON
		code, text = http.StatusInternalServerError, []byte(`{"error":"the error can't be written"}`)
	}
	write(w, code, text)
}

func reply(w http.ResponseWriter, text []byte) { write(w, http.StatusOK, text) }

func write(w http.ResponseWriter, code int, text []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	_, _ = w.Write(append(text, '\n')) // whoever asked is gone
}

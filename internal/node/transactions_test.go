// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/access"
	"github.com/twostage/twostage/internal/config"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/message"
)

// ledger is an inspector with transactions at 3 and 5.
type ledger struct {
	calls  []string
	filter body.TransactionFilter
	found  map[string][]int64
	err    error // of everything
	mute   bool  // decisions get no answer
}

func (l *ledger) called(format string, args ...any) error {
	l.calls = append(l.calls, fmt.Sprintf(format, args...))
	return l.err
}

func (l *ledger) List(f body.TransactionFilter) ([]body.Transaction, int64, error) {
	l.filter = f
	return []body.Transaction{{QueueOffset: 3, State: body.Undecided}}, 4, l.called("list")
}

func (l *ledger) Show(offset int64) (*body.TransactionStory, error) {
	if offset != 3 && offset != 5 {
		return nil, fmt.Errorf("%w at queue offset %d", body.ErrNoHalf, offset)
	}
	return &body.TransactionStory{Transaction: body.Transaction{QueueOffset: offset, ParkedOffset: offset * 100}}, l.called("show %d", offset)
}

func (l *ledger) Find(id string) ([]int64, error) { return l.found[id], l.called("find %s", id) }

func (l *ledger) Decide(offset int64, commit bool, who string, done func(error)) {
	if err := l.called("decide %d %t by %s", offset, commit, who); !l.mute {
		done(err)
	}
}

func (l *ledger) Recheck(offset int64, who string) error {
	return l.called("recheck %d by %s", offset, who)
}

func (l *ledger) Resume(physical int64, who string, done func(int64, error)) {
	done(77, l.called("resume %d by %s", physical, who))
}

// api serves a ledger.
func api(l *ledger) http.Handler {
	mux, t := http.NewServeMux(), &transactions{}
	if l != nil {
		t.inspect("broker-a", l, access.New(access.Options{}))
	}
	t.mount(mux)
	return mux
}

// send sends a request as a program of this machine does, changed by edit.
func send(h http.Handler, method, target string, edit func(r *http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://127.0.0.1:8082"+target, nil)
	r.RemoteAddr = "127.0.0.1:5000"
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/json")
	}
	if edit != nil {
		edit(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// failure is the error that an answer carries.
func failure(t *testing.T, w *httptest.ResponseRecorder) string {
	t.Helper()
	var e struct{ Error string }
	if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || e.Error == "" || w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("%d %s %q: %v", w.Code, w.Header(), w.Body, err)
	}
	return e.Error
}

func TestTransactionsRead(t *testing.T) {
	l := &ledger{found: map[string][]int64{"a key/with%": {5}}}
	h := api(l)
	w := send(h, "GET", "/api/transactions?topic=t&group=g%201&state=discarded&minAge=90s&maxAge=120000&from=2&limit=7", nil)
	if want := `{"broker":"broker-a","next":4,"transactions":[{"age":0,"checks":0,"commitLogOffset":0,"group":"","key":"","queueId":0,"queueOffset":3,"state":"undecided","storedAt":0,"topic":""}]}` + "\n"; w.Code != 200 || w.Body.String() != want || w.Header().Get("Content-Type") != "application/json" || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%d %s %s", w.Code, w.Header(), w.Body)
	}
	if want := (body.TransactionFilter{Topic: "t", Group: "g 1", State: body.Discarded, MinAge: 90 * time.Second, MaxAge: 2 * time.Minute, From: 2, Limit: 7}); l.filter != want {
		t.Errorf("%+v", l.filter)
	}
	if w := send(h, "GET", "/api/transactions", nil); w.Code != 200 || l.filter != (body.TransactionFilter{Limit: body.TransactionLimit}) {
		t.Errorf("%d %+v", w.Code, l.filter)
	}
	for path, want := range map[string]int64{"/api/transactions/3": 3, "/api/transactions/a%20key%2Fwith%25": 5} {
		var s body.TransactionStory
		w := send(h, "GET", path, nil)
		if err := body.Unmarshal(w.Body.Bytes(), &s); err != nil || w.Code != 200 || s.Transaction.QueueOffset != want || s.Broker != "broker-a" {
			t.Errorf("%s: %d %s, %v", path, w.Code, w.Body, err)
		}
	}
	if w := send(h, "HEAD", "/api/transactions/3", nil); w.Code != 200 {
		t.Errorf("HEAD: %d", w.Code)
	}
}

func TestTransactionsErrors(t *testing.T) {
	l := &ledger{found: map[string][]int64{"again": {3, 5}}}
	h := api(l)
	for _, c := range []struct {
		method, target string
		code           int
		want           string
	}{
		{"GET", "/api/transactions?state=lost", 400, "accepted are undecided, committed"},
		{"GET", "/api/transactions?minAge=old", 400, `minAge="old" is no span of time: write it as 90s`},
		{"GET", "/api/transactions?maxAge=-5", 400, "maxAge"},
		{"GET", "/api/transactions?maxAge=-5s", 400, "maxAge"},
		{"GET", "/api/transactions?minAge=9223372036854775807", 400, "minAge"},
		{"GET", "/api/transactions?minAge=2s&maxAge=1s", 400, "ages from 2s to 1s"},
		{"GET", "/api/transactions?from=-1", 400, "from"},
		{"GET", "/api/transactions?limit=1001", 400, "from 0 to 1000"},
		{"GET", "/api/transactions?limit=x", 400, "limit"},
		{"GET", "/api/transactions?older=1s", 400, `no parameter "older", only topic, group`},
		{"GET", "/api/transactions?topic=a&topic=b", 400, "topic is there 2 times"},
		{"GET", "/api/transactions?topic=%zz", 400, "the query can't be read"},
		{"GET", "/api/transactions/4", 404, "no such half message at queue offset 4"},
		{"GET", "/api/transactions/other", 404, "other is neither"},
		{"GET", "/api/transactions/again", 400, "names several, name one of them by its half queue offset: 3, 5"},
		{"POST", "/api/transactions/other/commit", 404, "other is neither"},
		{"POST", "/api/transactions/other/recheck", 404, "other is neither"},
		{"POST", "/api/transactions/4/resume", 404, "queue offset 4"},
		{"POST", "/api/transactions/3/commit?force=1", 400, `the query "force=1" means nothing`},
		{"POST", "/api/transactions/3", 405, "only GET"},
		{"DELETE", "/api/transactions", 405, "only GET"},
		{"GET", "/api/transactions/3/commit", 405, "only POST"},
		{"HEAD", "/api/transactions/3/commit", 405, "only POST"},
		{"OPTIONS", "/api/transactions/3/commit", 405, "only POST"},
		{"GET", "/api/transactions/3/forget", 404, "POST /api/transactions/ID/commit"},
		{"GET", "/api/transactions/", 404, "there is GET /api/transactions"},
	} {
		w := send(h, c.method, c.target, nil)
		if got := failure(t, w); w.Code != c.code || !strings.Contains(got, c.want) {
			t.Errorf("%s %s: %d %s, want %d %s", c.method, c.target, w.Code, got, c.code, c.want)
		}
		if w.Code == 405 && w.Header().Get("Allow") == "" {
			t.Errorf("%s %s: nothing is allowed", c.method, c.target)
		}
	}
	for err, code := range map[error]int{
		fmt.Errorf("%w: committed", body.ErrDecided): 409, fmt.Errorf("%w: gone", body.ErrNoHalf): 404, errors.New("bad disk"): 500,
	} {
		l.err = err
		for _, w := range []*httptest.ResponseRecorder{
			send(h, "GET", "/api/transactions", nil), send(h, "GET", "/api/transactions/3", nil), send(h, "POST", "/api/transactions/3/commit", nil),
			send(h, "POST", "/api/transactions/3/recheck", nil), send(h, "POST", "/api/transactions/3/resume", nil),
		} {
			if got := failure(t, w); w.Code != code || got != err.Error() {
				t.Errorf("%d %s, want %d", w.Code, got, code)
			}
		}
	}
	if w := send(api(nil), "GET", "/api/transactions", nil); w.Code != 503 || failure(t, w) != "the broker is starting" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestTransactionsActs(t *testing.T) {
	parked := string(message.AppendOffsetID(nil, netip.MustParseAddrPort("10.0.0.1:10911"), 4711))
	l := &ledger{found: map[string][]int64{"key": {5}, parked: {5}}}
	h := api(l)
	const who = "http 127.0.0.1:5000"
	for _, c := range []struct {
		target string
		offset int64
		calls  []string
	}{
		{"3/commit", 3, []string{"decide 3 true by " + who}},
		{"key/rollback", 5, []string{"find key", "decide 5 false by " + who}},
		{"3/recheck", 3, []string{"recheck 3 by " + who}},
		{"5/resume", 77, []string{"show 5", "resume 500 by " + who}},
		{parked + "/resume", 77, []string{"find " + parked, "show 5", "resume 500 by " + who}},
	} {
		l.calls = nil
		w := send(h, "POST", "/api/transactions/"+c.target, nil)
		if want := fmt.Sprintf(`{"broker":"broker-a","queueOffset":%d}`+"\n", c.offset); w.Code != 200 || w.Body.String() != want || !reflect.DeepEqual(l.calls, c.calls) {
			t.Errorf("%s: %d %s, called %q", c.target, w.Code, w.Body, l.calls)
		}
	}
}

// What a page in a browser can send, or what comes from elsewhere, does nothing.
func TestTransactionsLocalOnly(t *testing.T) {
	l := &ledger{}
	h := api(l)
	set := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	from := func(addr string) func(*http.Request) { return func(r *http.Request) { r.RemoteAddr = addr } }
	to := func(host string) func(*http.Request) { return func(r *http.Request) { r.Host = host } }
	for want, edits := range map[string][]func(*http.Request){
		"this request came from":         {from("10.0.0.9:5000"), from("[2001:db8::1]:5000"), from("[::ffff:10.0.0.9]:1"), from("@"), from("")},
		"this request is for host":       {to("broker.example:8082"), to("10.0.0.7:8082"), to("127.0.0.1.example"), to("localhost.example:8082"), to(""), to("0.0.0.0:8082"), to("[2001:db8::1]")},
		"a page of another site":         {set("Origin", "http://evil.example"), set("Origin", "null"), set("Origin", "http://127.0.0.1:9999"), set("Origin", "ftp://127.0.0.1:8082"), set("Origin", "http://%zz"), set("Sec-Fetch-Site", "cross-site"), set("Sec-Fetch-Site", "same-site")},
		"a proxy handed this request on": {set("X-Forwarded-For", "10.0.0.9"), set("Forwarded", "for=10.0.0.9"), set("X-Real-Ip", "10.0.0.9")},
	} {
		for i, edit := range edits {
			for _, request := range []string{"GET /api/transactions", "GET /api/transactions/3", "POST /api/transactions/3/commit", "GET /api/transactions/3/other"} {
				method, target, _ := strings.Cut(request, " ")
				w := send(h, method, target, edit)
				if got := failure(t, w); w.Code != 403 || !strings.Contains(got, want) {
					t.Errorf("%s %d, %s: %d %s", want, i, request, w.Code, got)
				}
			}
		}
	}
	text := func(kind, text string) func(*http.Request) {
		return func(r *http.Request) {
			with := httptest.NewRequest("POST", "/", strings.NewReader(text))
			r.Body, r.ContentLength = with.Body, with.ContentLength
			r.Header.Set("Content-Type", kind)
		}
	}
	for _, c := range []struct {
		edit func(*http.Request)
		code int
		want string
	}{
		{set("Content-Type", ""), 415, "it must be application/json"},
		{text("application/x-www-form-urlencoded", ""), 415, "it must be application/json"},
		{text("text/plain", "{}"), 415, "it must be application/json"},
		{text("multipart/form-data; boundary=x", ""), 415, "it must be application/json"},
		{text("application/json, text/plain", ""), 415, "it must be application/json"},
		{text("application/json", `{"outcome":"rollback"}`), 400, "it should be empty or {}"},
		{text("application/json", strings.Repeat(" ", 2000)), 400, "reading the body"},
	} {
		w := send(h, "POST", "/api/transactions/3/commit", c.edit)
		if got := failure(t, w); w.Code != c.code || !strings.Contains(got, c.want) {
			t.Errorf("%d %s, want %d %s", w.Code, got, c.code, c.want)
		}
	}
	if l.calls != nil {
		t.Errorf("called %q", l.calls)
	}
	for i, edit := range []func(*http.Request){
		from("127.0.0.2:1"), from("[::1]:1"), to("localhost"), to("LOCALHOST:8082"), to("[::1]:8082"), to("[::1]"), to("127.0.0.1"), set("Origin", "http://127.0.0.1:8082"),
		set("Sec-Fetch-Site", "same-origin"), set("Sec-Fetch-Site", "none"), text("application/json; charset=utf-8", " {}\n"),
	} {
		if w := send(h, "POST", "/api/transactions/3/commit", edit); w.Code != 200 {
			t.Errorf("%d: %d %s", i, w.Code, w.Body)
		}
	}
}

// A request does not wait for ever, and one that was given up is answered to
// nobody.
func TestTransactionsPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := api(&ledger{mute: true})
		start := time.Now()
		w := send(h, "POST", "/api/transactions/3/commit", nil)
		if got := failure(t, w); w.Code != 504 || !strings.Contains(got, "look at the transaction") || time.Since(start) != transactionPatience {
			t.Errorf("after %v: %d %s", time.Since(start), w.Code, got)
		}
		w = send(h, "POST", "/api/transactions/3/commit", func(r *http.Request) {
			ctx, cancel := context.WithCancel(r.Context())
			cancel()
			*r = *r.WithContext(ctx)
		})
		if w.Code != 504 {
			t.Errorf("%d", w.Code)
		}
	})
}

// Only a process with a broker serves the inspector.
func TestTransactionsByRole(t *testing.T) {
	r := start(t, load(t, config.RoleAll), config.RoleAll, vfs.NewMem())
	if status, text := get(t, r.fields["http"], "/api/transactions"); status == 404 || !json.Valid([]byte(text)) {
		t.Errorf("with a broker: %d %q", status, text)
	}
	if status, text := get(t, r.fields["http"], "/api/transactions?state=lost"); status == 200 || !strings.HasPrefix(text, `{"error":`) {
		t.Errorf("with a broker: %d %q", status, text)
	}
	n := start(t, load(t, config.RoleNamesrv), config.RoleNamesrv, vfs.NewMem())
	if status, _ := get(t, n.fields["http"], "/api/transactions"); status != 404 {
		t.Errorf("of a name server: %d", status)
	}
}

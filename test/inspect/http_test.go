// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/twostage/twostage/internal/proctest"
	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
	"github.com/twostage/twostage/test/rig"
)

// post does something over HTTP, which must be answered with the code and words.
func post(t *testing.T, s *proctest.Server, id any, verb string, code int, words ...string) string {
	t.Helper()
	have, _, text := api(t, s, http.MethodPost, fmt.Sprintf("/api/transactions/%v/%s", id, verb), nil)
	if have != code {
		t.Errorf("%s of %v: %d %s, want %d", verb, id, have, text, code)
	}
	wantWords(t, text, words...)
	return text
}

// TestHTTP does over HTTP what TestCommandLine does with commands.
func TestHTTP(t *testing.T) {
	t.Parallel()
	s, p := serve(t), newProducer(t, "shop")
	l := leave(t, s, p)
	for query, want := range map[string][]string{
		"":                                   {"DISCARDED", "COMMITTED", "ROLLED", "OPEN", "SECOND", "THIRD"},
		"?state=undecided":                   {"OPEN", "SECOND", "THIRD"},
		"?state=discarded&group=shop":        {"DISCARDED"},
		"?topic=Orders&maxAge=1h&limit=2":    {"DISCARDED", "COMMITTED"},
		"?minAge=1h":                         nil,
		fmt.Sprint("?from=", l.third.offset): {"THIRD"},
	} {
		code, _, text := api(t, s, http.MethodGet, "/api/transactions"+query, nil)
		if code != http.StatusOK {
			t.Fatalf("%s: %d %s", query, code, text)
		}
		var list body.TransactionList
		decode(t, text, &list)
		var keys []string
		for _, one := range list.Transactions {
			keys = append(keys, one.Key)
		}
		if !slices.Equal(keys, want) || list.Broker != "inspected" || (list.Next == -1) == strings.Contains(query, "limit") {
			t.Errorf("%s: %q of %s, then %d; want %q", query, keys, list.Broker, list.Next, want)
		}
	}

	done := fmt.Sprintf(`{"broker":"inspected","queueOffset":%d}`, l.open.offset)
	post(t, s, l.open.offset, "commit", 200, done)
	post(t, s, "OPEN", "commit", 200, done) // no news
	post(t, s, l.open.id, "rollback", 409, "committed")
	post(t, s, "SECOND", "rollback", 200, fmt.Sprint(l.second.offset))
	post(t, s, "SECOND", "commit", 409, "rolled back")
	p.answer("THIRD", message.TransactionRollback)
	post(t, s, "THIRD", "recheck", 200, fmt.Sprint(l.third.offset))
	await(t, s, "THIRD", body.RolledBack)
	p.answer("DISCARDED", message.TransactionCommit)
	post(t, s, "DISCARDED", "commit", 409, "discarded")
	var resumed struct {
		Broker      string
		QueueOffset int64
	}
	decode(t, post(t, s, "DISCARDED", "resume", 200), &resumed)
	await(t, s, resumed.QueueOffset, body.Committed)
	post(t, s, "NONE", "recheck", 404, "NONE")
	post(t, s, 4711, "commit", 404, "4711")

	st := story(t, s, "OPEN")
	who := operator(t, st)
	if !strings.HasPrefix(who, "http 127.0.0.1:") {
		t.Errorf("the operator is %q", who)
	}
	killed(t, s, who)
	wantSame(t, story(t, s, "OPEN"), st)
	p.meet(s.Broker)
	post(t, s, "SECOND", "commit", 409, "rolled back")
	wantBodies(t, s.Broker, "Orders", "COMMITTED", "OPEN", "DISCARDED")
}

// TestRefused holds that what does not come from a program of this machine
// neither sees nor does anything.
func TestRefused(t *testing.T) {
	t.Parallel()
	s, p := serve(t), newProducer(t, "shop")
	p.meet(s.Broker)
	h := p.send(s.Broker, "Orders", "SECRET", immune)
	set := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	for _, c := range []struct {
		code int
		word string
		edit func(*http.Request)
	}{
		{403, "evil.example", func(r *http.Request) { r.Host = "evil.example" }},
		{403, "evil.example:8082", func(r *http.Request) { r.Host = "evil.example:8082" }},
		{403, "127.0.0.1.nip.example", func(r *http.Request) { r.Host = "127.0.0.1.nip.example" }},
		{403, "Origin", set("Origin", "http://evil.example")},
		{403, "Origin", set("Origin", "null")},
		{403, "Origin", set("Origin", "http://127.0.0.1:1")},
		{403, "Sec-Fetch-Site", set("Sec-Fetch-Site", "cross-site")},
		{403, "Sec-Fetch-Site", set("Sec-Fetch-Site", "same-site")},
		{403, "proxy", set("X-Forwarded-For", "127.0.0.1")},
		{403, "proxy", set("Forwarded", "for=127.0.0.1")},
		{403, "proxy", set("X-Real-Ip", "127.0.0.1")},
	} {
		for _, path := range []string{"/api/transactions", fmt.Sprint("/api/transactions/", h.offset), "/api/transactions/SECRET/commit", "/api/transactions/"} {
			method := http.MethodGet
			if strings.HasSuffix(path, "commit") {
				method = http.MethodPost
			}
			code, head, text := api(t, s, method, path, c.edit)
			if code != c.code || !strings.Contains(text, c.word) || strings.Contains(text, "SECRET") || head.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s %s with %s: %d %s %v", method, path, c.word, code, text, head)
			}
		}
	}
	commit := fmt.Sprintf("/api/transactions/%d/commit", h.offset)
	for _, c := range []struct {
		code         int
		method, path string
		edit         func(*http.Request)
	}{
		{415, http.MethodPost, commit, set("Content-Type", "text/plain")},
		{415, http.MethodPost, commit, set("Content-Type", "application/x-www-form-urlencoded")},
		{400, http.MethodPost, commit + "?yes=1", nil},
		{405, http.MethodGet, commit, nil},
		{405, http.MethodPut, commit, nil},
		{405, http.MethodOptions, commit, set("Origin", "http://"+local(t, s.HTTP))},
		{405, http.MethodPost, "/api/transactions", nil},
		{404, http.MethodPost, fmt.Sprintf("/api/transactions/%d/forget", h.offset), nil},
		{400, http.MethodGet, "/api/transactions?state=lost", nil},
		{400, http.MethodGet, "/api/transactions?older=1h", nil},
	} {
		if code, head, text := api(t, s, c.method, c.path, c.edit); code != c.code || head.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s %s: %d %s, want %d", c.method, c.path, code, text, c.code)
		}
	}
	wantKinds(t, story(t, s, h.offset), "stored")
	// The page of this very server, and other names of the loopback, are no others.
	own := set("Origin", "http://"+local(t, s.HTTP))
	for _, edit := range []func(*http.Request){own, func(r *http.Request) { r.Host = "localhost" }, func(r *http.Request) { r.Host = "[::1]:8082" }} {
		if code, _, text := api(t, s, http.MethodGet, "/api/transactions", edit); code != http.StatusOK {
			t.Errorf("%d %s", code, text)
		}
	}
	if code, _, text := api(t, s, http.MethodPost, commit, own); code != http.StatusOK {
		t.Errorf("%d %s", code, text)
	}
}

// elsewhere is an address of this machine that is not on the loopback, and
// reaches a port; "" when there is none.
func elsewhere(t *testing.T, port string) string {
	t.Helper()
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		ip, err := netip.ParsePrefix(a.String())
		if err != nil || ip.Addr().IsLoopback() || !ip.Addr().Is4() {
			continue
		}
		if addr := net.JoinHostPort(ip.Addr().String(), port); dialled(rig.Context(t), addr) {
			return addr
		}
	}
	return ""
}

// TestNotOnTheLoopback comes from another address of this machine.
func TestNotOnTheLoopback(t *testing.T) {
	t.Parallel()
	s, p := serve(t), newProducer(t, "shop")
	p.meet(s.Broker)
	h := p.send(s.Broker, "Orders", "SECRET", immune)
	ports := func(addr string) string {
		_, port, err := net.SplitHostPort(addr)
		if err != nil {
			t.Fatal(err)
		}
		return port
	}
	broker, page := elsewhere(t, ports(s.Broker)), elsewhere(t, ports(s.HTTP))
	if broker == "" || page == "" {
		t.Log("this machine has no address but the loopback's, so nobody could be refused for his address")
		return
	}
	for _, path := range []string{"/api/transactions", "/api/transactions/SECRET"} {
		// Naming the loopback as the host does not help.
		for _, host := range []string{page, "127.0.0.1"} {
			r, err := http.NewRequestWithContext(rig.Context(t), http.MethodGet, "http://"+page+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Host = host
			resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(r)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if resp.StatusCode != http.StatusForbidden {
				t.Errorf("%s for %s: %s", r.URL, host, resp.Status)
			}
		}
	}
	// Requests are taken from who has the address that he called: he is on this
	// machine. Who is not is refused by the guard, which package broker tests.
	if list, err := rpc.Transactions(rig.Context(t), rig.Client(t), broker, &header.TxListRequest{}); err != nil || len(list.Transactions) != 1 {
		t.Errorf("listed by way of %s: %+v, %v", broker, list, err)
	}
	wantKinds(t, story(t, s, h.offset), "stored")
	// The command finds the way to the loopback by itself: it is on this machine.
	if rows, _ := table(t, tx(t, s, 0, []string{"list", "--broker", broker})); rows["SECRET"]["OFFSET"] != fmt.Sprint(h.offset) {
		t.Errorf("listed by way of %s are %v", broker, rows)
	}
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"maps"
	"math"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/twostage/twostage/internal/access"
	"github.com/twostage/twostage/internal/config"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire"
)

// documented is a row of the table of requests in docs/compatibility.md.
type documented struct{ name, asked, state, why string }

var requestRow = regexp.MustCompile(`(?m)^\| (\d+) \| ([A-Z0-9_]+) \| ([^|]+) \| ([^|]+) \| ([^|]*) \|$`)

func documentedRequests(t *testing.T) map[int32]documented {
	t.Helper()
	text, err := os.ReadFile("../../docs/compatibility.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[int32]documented{}
	for _, m := range requestRow.FindAllStringSubmatch(string(text), -1) {
		code, err := strconv.ParseInt(m[1], 10, 32)
		if err != nil {
			t.Fatal(err)
		}
		if _, twice := rows[int32(code)]; twice {
			t.Errorf("request %d stands there twice", code)
		}
		rows[int32(code)] = documented{m[2], m[3], m[4], m[5]}
	}
	return rows
}

// TestRequestsAreDocumented compares docs/compatibility.md with what broker and
// name server answer to a request without a header: 3 when they know it not.
func TestRequestsAreDocumented(t *testing.T) {
	rows := documentedRequests(t)
	if len(rows) < 150 {
		t.Fatalf("%d rows were found", len(rows))
	}
	r := start(t, load(t, config.RoleAll), config.RoleAll, vfs.NewMem())
	client := remoting.NewClient(remoting.ClientConfig{Version: wire.Version, Language: wire.LanguageJava})
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	serves := func(addr string, code int32, encoding wire.Encoding, why string) bool {
		answer, err := client.Invoke(ctx, addr, &wire.Request{Code: code, Encoding: encoding})
		if err != nil {
			t.Fatalf("request %d to %s: %v", code, addr, err)
		}
		if !strings.Contains(string(answer.Remark), why) {
			t.Errorf("request %d to %s is answered %q, which does not say why it is refused: %s", code, addr, answer.Remark, why)
		}
		return answer.Code != wire.RequestCodeNotSupported
	}
	codes := slices.Sorted(maps.Keys(rows))
	for code := int32(0); code < 6000; code++ {
		codes = append(codes, code)
	}
	for code := int32(200_000); code < 200_200; code++ {
		codes = append(codes, code)
	}
	for code := int32(30_000); code < 30_010; code++ {
		codes = append(codes, code)
	}
	slices.Sort(codes)
	for _, code := range slices.Compact(codes) {
		row, there := rows[code]
		done := there && row.state == "done"
		why := ""
		if row.state == "refused" {
			why = strings.ReplaceAll(row.why, "`", "")
		}
		broker, namesrv := serves(r.fields["broker"], code, wire.JSON, why), serves(r.fields["namesrv"], code, wire.JSON, why)
		if code > math.MaxInt16 && serves(r.fields["broker"], code, wire.Binary, why) != broker { // which has 16 bits of it
			t.Errorf("request %d: the broker serves it: %v; with a binary header not so", code, broker)
		}
		if broker != (done && strings.HasPrefix(row.asked, "broker")) && !(30_001 <= code && code <= 30_005) {
			t.Errorf("request %d: the broker serves it: %v; documented: %+v", code, broker, row)
		}
		if namesrv != (done && strings.HasSuffix(row.asked, "name server")) {
			t.Errorf("request %d: the name server serves it: %v; documented: %+v", code, namesrv, row)
		}
		if done && !access.Known(code) {
			t.Errorf("request %d (%s) is served, and internal/access/needs.go does not say what it needs", code, row.name)
		}
		if name := wire.CodeName(code); there && (row.why == "" || name != "" && name != row.name) {
			t.Errorf("request %d is called %s, by the code %s: %q", code, row.name, name, row.why)
		}
	}
}

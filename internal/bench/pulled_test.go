// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
)

// pieces is a connection whose bytes come so many at a time.
type pieces struct {
	net.Conn
	r    io.Reader
	step int
}

func (p *pieces) Read(b []byte) (int, error) { return p.r.Read(b[:min(len(b), p.step)]) }

// walk tells what answers are in b when it comes in pieces, up to the first error.
func walk(b []byte, step int) (answers []string, err error) {
	in := newPulled(&pieces{r: bytes.NewReader(b), step: max(step, 1)})
	for {
		whole, err := in.next()
		if err != nil {
			return answers, err
		}
		if whole {
			answers = append(answers, fmt.Sprintf("%d %d %v %v %q %d %d", in.opaque, in.code, in.response, in.header, in.remark, in.bytes, in.records.count))
			continue
		}
		if err := in.fill(); err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return answers, err
		}
	}
}

func TestPulledInPieces(t *testing.T) {
	body := func(sizes ...int) (b []byte) {
		for _, n := range sizes {
			b = append(b, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
			b = append(b, make([]byte, n-4)...)
		}
		return b
	}
	long := strings.Repeat("x", pulledBuffer+1)
	for _, enc := range []wire.Encoding{wire.JSON, wire.Binary} {
		var all []byte
		for i, r := range []wire.Response{
			{Header: &header.PullResponse{NextBeginOffset: 7, MaxOffset: 9}, Body: body(5, 1000, 70000, 6)},
			{Code: wire.PullNotFound, Header: &header.PullResponse{MaxOffset: 3}},
			{Code: wire.SystemError, Remark: "why", Body: []byte("no records")},
			{Code: wire.SystemError, Remark: long},
			{Header: &header.PullResponse{NextBeginOffset: 8}, Body: body(5)},
		} {
			all = wire.AppendResponse(all, enc, firstOpaque+int32(i), &r)
		}
		all = wire.AppendRequest(all, &wire.Request{Code: wire.ReqNotifyConsumerIDsChanged, Opaque: 5, Encoding: enc, Body: []byte("abc")})
		want, err := walk(all, len(all))
		if err != nil || len(want) != 6 || !strings.HasSuffix(want[0], fmt.Sprint(" ", 5+1000+70000+6, " 4")) || !strings.Contains(want[2], ` "why" 10 0`) || !strings.HasSuffix(want[4], " 5 1") {
			t.Fatalf("%.200q, %v", want, err)
		}
		for _, step := range []int{1, 3, 1000, 65536} {
			if got, err := walk(all, step); err != nil || !slices.Equal(got, want) {
				t.Errorf("pieces of %d: %.200q, %v", step, got, err)
			}
		}
	}
}

func TestPulledRefuses(t *testing.T) {
	answer := func(body string) []byte {
		return wire.AppendResponse(nil, wire.JSON, 1, &wire.Response{Header: &header.PullResponse{}, Body: []byte(body)})
	}
	for want, b := range map[string][]byte{
		"a record of 4 bytes":             answer("\x00\x00\x00\x04"),
		"a record of -1 bytes":            answer("\xff\xff\xff\xff"),
		"ends within a record":            answer("\x00\x00\x00\x09xxxx"),
		"a frame of -1 bytes":             []byte("\xff\xff\xff\xff\x00\x00\x00\x00"),
		"a header of 16777215":            []byte("\x00\x00\x00\x10\x00\xff\xff\xff"),
		"neither 0 (JSON) nor":            []byte("\x00\x00\x00\x06\x07\x00\x00\x02{}"),
		"suggestWhichBrokerId is missing": wire.AppendResponse(nil, wire.JSON, 1, &wire.Response{}),
		"a frame of 1 bytes":              []byte("\x00\x00\x00\x01\x00\x00\x00\x00"),
		"a pull's answer ends within a r": answer("\x00\x00"),
	} {
		for _, step := range []int{1, len(b)} {
			if got, err := walk(b, step); err == nil || !strings.Contains(err.Error(), want) || len(got) > 0 {
				t.Errorf("%q: %q, %v; want %s", b, got, err, want)
			}
		}
	}
}

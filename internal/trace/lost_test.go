// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/twostage/twostage/message"
)

// Text of a message or a client that is no UTF-8, or very long, costs nobody else's
// spans, and no more than itself.
func TestTextFromOutside(t *testing.T) {
	c := newCollector(t)
	tr := newTracer(t, c, nil)
	long := strings.Repeat("x", textLimit-1) + "é" + strings.Repeat("x", 1<<13)
	for _, property := range []string{message.PropertyKeys, message.PropertyTags, message.PropertyUniqueKey, message.PropertyRealTopic} {
		tr.Delivered("pull", "billing", tr.Now(), [][]byte{record(message.AppendProperty(properties(parent), property, "k\xff"))})
	}
	tr.Delivered("pull", "bill\xffing", tr.Now(), [][]byte{record(message.AppendProperty(properties(parent), message.PropertyKeys, long))})
	tr.Decided(true, "till\xffs", tr.Now(), record(properties(parent)), errors.New("it is \xff"))
	s := tr.Sending("ord\xffers", properties(parent), 1, netip.MustParseAddrPort("10.0.0.1:99"))
	s.Appending()
	s.Answered(1, "refused \xff")
	if err := tr.Close(); err != nil {
		t.Fatal(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if st := tr.Stats(); len(c.spans) != 8 || st != (Stats{Spans: 8}) {
		t.Errorf("%d spans came, %+v", len(c.spans), st)
	}
	for _, s := range c.spans {
		for _, a := range s.Attributes {
			if v := a.Value.GetStringValue(); len(v) > textLimit {
				t.Errorf("%s has %d bytes of %s", s.Name, len(v), a.Key)
			}
		}
	}
	if got := text(long); len(got) != textLimit-1 || !utf8.ValidString(got) {
		t.Errorf("cut to %d bytes", len(got))
	}
}

// Spans that there is no room for while the collector hangs are counted as what it
// did not take: none is lost without a word.
func TestSpansWithoutRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr, err := New(Config{Endpoint: "http://collector/v1/traces", PerSecond: 1 << 20, Logger: slog.New(slog.DiscardHandler), Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		tr.exporter.http.Transport = hanging{}
		const spans = waitingSpans + 3*batchSpans
		rec := record(properties(parent))
		for range spans {
			tr.Delivered("pull", "billing", tr.Now(), [][]byte{rec})
		}
		if err := tr.Close(); err != nil {
			t.Error(err)
		}
		if st := tr.Stats(); st != (Stats{Spans: spans, Failed: spans}) {
			t.Errorf("%+v", st)
		}
	})
}

// What a collector that takes a batch says it rejects of it is counted and logged.
func TestPartialSuccess(t *testing.T) {
	for _, c := range []struct {
		answer, log string
		failed      int64
	}{
		{"", "", 0},
		{"\x0a\x00", "", 0},
		{"\x0a\x04\x12\x02ok", "", 0}, // a warning
		{"\x0a\x02\x08\x01", "it rejects 1 spans", 1},
		{"\x0a\x09\x08\x01\x12\x05large", "it rejects 1 spans: large", 1},
		{"\x0a\x03\x08\xe8\x07", "it rejects 1000 spans", 2}, // of two
		{"\x0a\xff\x01", "", 0},
		{"<html>", "", 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			var log bytes.Buffer
			tr, err := New(Config{Endpoint: "http://collector/v1/traces", PerSecond: 10, Logger: slog.New(slog.NewTextHandler(&log, nil)), Now: time.Now})
			if err != nil {
				t.Fatal(err)
			}
			tr.exporter.http.Transport = answering(c.answer)
			for range 2 {
				tr.Delivered("pull", "billing", tr.Now(), [][]byte{record(properties(parent))})
			}
			if err := tr.Close(); err != nil {
				t.Error(err)
			}
			if st := tr.Stats(); st.Failed != c.failed || !strings.Contains(log.String(), c.log) || c.log == "" && log.Len() > 0 {
				t.Errorf("%q: %+v\n%s", c.answer, st, &log)
			}
		})
	}
}

// A collector that sends the spans elsewhere does not take them: the headers, which
// hold its secrets, go nowhere else.
func TestRedirects(t *testing.T) {
	other := newCollector(t)
	first := httptest.NewServer(http.RedirectHandler(other.URL+"/v1/traces", http.StatusTemporaryRedirect))
	defer first.Close()
	var log bytes.Buffer
	tr := newTracer(t, other, func(cfg *Config) {
		cfg.Endpoint, cfg.Headers, cfg.Logger = first.URL+"/v1/traces", map[string]string{"X-Api-Key": "secret"}, slog.New(slog.NewTextHandler(&log, nil))
	})
	tr.Delivered("pull", "billing", tr.Now(), [][]byte{record(properties(parent))})
	if err := tr.Close(); err != nil {
		t.Fatal(err)
	}
	if st := tr.Stats(); other.asked != 0 || st.Failed != 1 || !strings.Contains(log.String(), "307") {
		t.Errorf("the other was asked %d times with %v, %+v\n%s", other.asked, other.headers, st, &log)
	}
}

type answering string

func (a answering) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(string(a)))}, nil
}

func FuzzPartialSuccess(f *testing.F) {
	f.Add([]byte("\x0a\x09\x08\x01\x12\x05large"))
	f.Add([]byte("\x0a\xff\x01"))
	f.Fuzz(func(t *testing.T, answer []byte) {
		var some *rejected
		if err := partial(answer); err != nil && (!errors.As(err, &some) || some.spans <= 0 || !utf8.ValidString(some.why)) {
			t.Errorf("%q: %v", answer, err)
		}
	})
}

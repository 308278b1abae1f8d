// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"io"
	"regexp"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/admin"
)

// What is told when a broker stops answering can be given to --time, and begins with
// the letter that was tried last.
func TestResendTellsWhereToGoOn(t *testing.T) {
	last := time.UnixMilli(1700000000123)
	for _, span := range []string{"", "2023-11-01", "2023-11-01..", "2023-11-01..2023-12-24T10:00:00Z"} {
		r := &revival{span: span, sent: 3, last: last}
		err := r.end(r.stopped(io.ErrUnexpectedEOF))
		found := regexp.MustCompile(`--time "(.+)"`).FindStringSubmatch(err.Error())
		if found == nil || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("%q: %v", span, err)
		}
		_, wanted, _ := parseTimes(span, last)
		if begin, end, err := parseTimes(found[1], last); err != nil || begin != last.UnixMilli() || end != wanted {
			t.Errorf("%q: %s is %d to %d, %v", span, found[1], begin, end, err)
		}
	}
	r := &revival{failed: []error{admin.ErrPopped}}
	if err := r.end(r.stopped(io.EOF)); !errors.Is(err, io.EOF) || !errors.Is(err, admin.ErrPopped) || regexp.MustCompile("--time").MatchString(err.Error()) {
		t.Errorf("nothing was sent: %v", err)
	}
	if err := r.end(r.stopped(nil)); !errors.Is(err, admin.ErrPopped) {
		t.Errorf("%v", err)
	}
	if r.failed = nil; r.end(r.stopped(nil)) != nil {
		t.Error("all was sent")
	}
}

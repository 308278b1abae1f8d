// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"strings"
	"testing"

	"github.com/twostage/twostage/client"
	"github.com/twostage/twostage/internal/cli/output"
	"github.com/twostage/twostage/message"
)

// A message that is stored less safely than it should be says so in every format, and is
// a failure; one that is stored says nothing of it.
func TestSendStatus(t *testing.T) {
	for status, want := range map[client.SendStatus]string{client.Stored: "", client.FlushDiskTimeout: "not yet on disk", client.SlaveNotAvailable: "no slave available"} {
		for _, format := range []output.Format{output.FormatTable, output.FormatJSON, output.FormatYAML} {
			var b bytes.Buffer
			d := &display{format: format}
			if err := d.did(Process{Stdout: &b}, "sent", place(&client.SendResult{Status: status})...); err != nil {
				t.Fatal(err)
			}
			if has := strings.Contains(b.String(), "status"); has != (want != "") || !strings.Contains(b.String(), want) {
				t.Errorf("%v as %v: %s", status, format, &b)
			}
		}
	}
	if err := lessSafe(0, 3); err != nil {
		t.Error(err)
	}
	if err := lessSafe(1, 3); err == nil || !strings.Contains(err.Error(), "1 of 3 messages") {
		t.Error(err)
	}
}

// -o wide has bodies whole, a table their begin.
func TestWideBodies(t *testing.T) {
	m := &message.Received{}
	m.Body = []byte(strings.Repeat("0123456789", 20))
	for format, whole := range map[output.Format]bool{output.FormatTable: false, output.FormatWide: true} {
		c := &cluster{}
		c.format = format
		var b strings.Builder
		if err := messagesView(c, []*message.Received{m}).Write(&b, format, 0); err != nil || strings.Contains(b.String(), string(m.Body)) != whole {
			t.Errorf("%v: %v\n%s", format, err, &b)
		}
	}
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/twostage/twostage/internal/admin"
	"github.com/twostage/twostage/internal/cli/output"
	"github.com/twostage/twostage/message"
)

// exportFormats are what --format takes.
var exportFormats = map[string]func(w io.Writer) exporter{
	"jsonl": func(w io.Writer) exporter { return &jsonLines{w} },
	"csv":   func(w io.Writer) exporter { return &csvLines{csv.NewWriter(w), false} },
}

// exporter writes dead letters.
type exporter interface {
	put(d deadLetter) error
	end() error
}

func dlqExport(p Process) *cobra.Command {
	c := &cluster{Process: p}
	span, format, file := "", "jsonl", ""
	cmd := &cobra.Command{
		Use: "export GROUP", Short: "Write the dead letters of a group as JSON lines or CSV", Args: args(1, 1),
		Long: `Write the dead letters of a group, whole, the oldest first: as JSON, an object a line, or as CSV with a heading.
A body that is no UTF-8 is in base64, in a field of its own. The dead letters stay where they are.

The CSV has bodies and keys as they are: a spreadsheet takes what begins with = for a formula, so import it as text.`,
		Example: `  twostage dlq export billing > billing.jsonl
  twostage dlq export billing --format csv --file billing.csv --time "7d ago"`,
		RunE: func(cmd *cobra.Command, given []string) error {
			begin, end, err := parseTimes(span, time.Now())
			if err != nil {
				return err
			}
			if exportFormats[format] == nil {
				return usagef("--format %q: accepted are jsonl, csv", format)
			}
			return c.admin(func(a *admin.Admin) error {
				return export(cmd.Context(), c, a, given[0], admin.Span{Begin: begin, End: end}, format, file)
			})
		},
	}
	c.flag(cmd)
	timesFlag(cmd, &span)
	cmd.Flags().StringVar(&format, "format", format, "jsonl or csv")
	cmd.Flags().StringVar(&file, "file", "", "new `file` to write to; standard output when not given")
	complete(cmd, "format", "jsonl", "csv")
	c.completeArgs(cmd, groupNames)
	return cmd
}

func export(ctx context.Context, c *cluster, a *admin.Admin, group string, s admin.Span, format, name string) (err error) {
	to := c.Stdout
	if name != "" {
		f, failed := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if errors.Is(failed, fs.ErrExist) {
			return fmt.Errorf("%w: give the name of a file that is not there yet", failed)
		}
		if failed != nil {
			return failed
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		to = f
	}
	buffer := bufio.NewWriter(to)
	e := exportFormats[format](buffer)
	count := 0
	err = a.ScanDeadLetters(ctx, group, s, func(m *message.Received) (bool, error) {
		unpack(c, m)
		count++
		return false, errors.Join(e.put(deadLetter{group, admin.OriginTopic(m), show(m)}), ctx.Err())
	})
	if err = errors.Join(err, e.end(), buffer.Flush()); err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.Stderr, "exported %d dead letters\n", count)
	return err
}

type jsonLines struct{ w io.Writer }

func (j *jsonLines) put(d deadLetter) error { return output.WriteJSON(j.w, d, "") }
func (j *jsonLines) end() error             { return nil }

type csvLines struct {
	*csv.Writer
	begun bool
}

func (c *csvLines) heading() error {
	if c.begun {
		return nil
	}
	c.begun = true
	return c.Write([]string{"group", "originTopic", "id", "offsetId", "broker", "queue", "offset", "stored", "born", "reconsumed", "tag", "keys", "properties", "body", "bodyBase64"})
}

func (c *csvLines) put(d deadLetter) error {
	if err := c.heading(); err != nil {
		return err
	}
	body := ""
	if d.Body != nil {
		body = *d.Body
	}
	// The text of properties has bytes that a CSV should not; as JSON it is readable.
	var props strings.Builder
	if err := output.WriteJSON(&props, d.Properties, ""); err != nil {
		return err
	}
	return c.Write([]string{
		d.Group, d.Origin, d.ID, d.OffsetID, d.Broker, strconv.Itoa(int(d.Queue)), strconv.FormatInt(d.Offset, 10), output.Time(d.Stored), output.Time(d.Born),
		strconv.Itoa(int(d.Reconsumed)), d.Properties[message.PropertyTags], d.Properties[message.PropertyKeys], strings.TrimSpace(props.String()),
		strings.ToValidUTF8(body, string(utf8.RuneError)), base64.StdEncoding.EncodeToString(d.BodyBytes),
	})
}

func (c *csvLines) end() error {
	err := c.heading()
	c.Flush()
	return errors.Join(err, c.Error())
}

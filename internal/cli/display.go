// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/twostage/twostage/internal/cli/output"
)

const (
	watchEvery  = "2s"                   // --watch without a value
	leastWatch  = 100 * time.Millisecond // between two looks
	clearScreen = "\x1b[H\x1b[2J"        // the cursor to the top, nothing below it
)

// display is how a command shows what it found: -o and --watch.
type display struct {
	format output.Format
	every  time.Duration // 0: once
	line   string        // the command and its arguments, without flags: some are secret
}

// formatFlag adds -o.
func (d *display) formatFlag(cmd *cobra.Command) {
	cmd.Flags().VarP(&d.format, "output", "o", strings.Join(output.FormatNames(), ", ")+": wide has all columns and cuts nothing")
	complete(cmd, "output", output.FormatNames()...)
}

// jsonFlag adds --json, which is short for -o json.
func jsonFlag(cmd *cobra.Command, to *output.Format) {
	cmd.Flags().Var(&value[output.Format]{to: to, kind: "bool", text: "false", parse: func(text string) (f output.Format, err error) {
		yes, err := strconv.ParseBool(text)
		if yes {
			f = output.FormatJSON
		}
		return f, err
	}}, "json", "short for -o json")
	cmd.Flags().Lookup("json").NoOptDefVal = "true"
}

// watchFlag adds --watch.
func (d *display) watchFlag(cmd *cobra.Command) {
	cmd.Flags().Var(&watch{&d.every}, "watch", "look again every so often until interrupted; as JSON an object a line")
	cmd.Flags().Lookup("watch").NoOptDefVal = watchEvery
	cmd.PreRunE = func(cmd *cobra.Command, given []string) error {
		if len(given) > 0 && cmd.Flags().Changed("watch") && d.every.String() == watchEvery {
			if span, err := output.ParseSpan(given[len(given)-1]); err == nil && span > 0 {
				return usagef("%s is not of --watch: say --watch=%s", given[len(given)-1], given[len(given)-1])
			}
		}
		d.line = output.Visible(strings.Join(append([]string{cmd.CommandPath()}, given...), " "))
		return nil
	}
}

type watch struct{ every *time.Duration }

func (w *watch) String() string {
	if w.every == nil || *w.every == 0 {
		return ""
	}
	return w.every.String()
}
func (w *watch) Type() string { return "interval" }
func (w *watch) Set(text string) error {
	d, err := output.ParseSpan(text)
	switch {
	case err != nil:
		return err
	case d < leastWatch:
		return fmt.Errorf("at least %v", leastWatch)
	}
	*w.every = d
	return nil
}

// look finds out what is to be shown. A view beside an error is what could be
// found.
type look func(ctx context.Context) (*output.View, error)

// show shows what fn finds, with --watch again and again. Being interrupted is
// how watching ends.
func (d *display) show(ctx context.Context, p Process, fn look) error {
	view, err := fn(ctx)
	if d.every == 0 || view == nil {
		return errors.Join(d.write(p, view), err)
	}
	again := time.NewTicker(d.every)
	defer again.Stop()
	for first := true; ; first = false {
		if failed := d.writeNext(p, view, first); failed != nil {
			return failed
		}
		if err != nil {
			complain(p.Stderr, err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-again.C:
		}
		if view, err = fn(ctx); ctx.Err() != nil {
			return nil
		}
	}
}

// write shows one view, nil for none.
func (d *display) write(p Process, v *output.View) error {
	if v == nil {
		return nil
	}
	if err := v.Write(p.Stdout, d.format, terminalWidth(p.Stdout)); err != nil {
		return err
	}
	return d.writeNotes(p, v)
}

// writeNotes writes what is said beside a result, whatever its format; that a list is
// empty programs see without.
func (d *display) writeNotes(p Process, v *output.View) error {
	notes := v.Notes
	if d.format.ForPeople() {
		notes = v.AllNotes()
	}
	for _, note := range notes {
		if _, err := fmt.Fprintln(p.Stderr, note); err != nil {
			return err
		}
	}
	return nil
}

// writeNext shows a view of several.
func (d *display) writeNext(p Process, v *output.View, first bool) error {
	if v == nil {
		return nil
	}
	between := ""
	switch {
	case !d.format.ForPeople():
		return errors.Join(output.WriteItem(p.Stdout, d.format, v.Value), d.writeNotes(p, v))
	case isTerminal(p.Stdout):
		between = fmt.Sprintf("%s%s, every %v: %s\n\n", clearScreen, time.Now().Format(time.TimeOnly), d.every, d.line)
	case !first:
		between = "\n"
	}
	if _, err := io.WriteString(p.Stdout, between); err != nil {
		return err
	}
	return d.write(p, v)
}

// result writes one result: text for people writes what they see.
func (d *display) result(w io.Writer, v any, text func(io.Writer) error) error {
	if d.format.ForPeople() {
		return text(w)
	}
	return output.Of(v).Write(w, d.format, 0)
}

// did says that something was done: a word, then names and values in turn.
func (d *display) did(p Process, done string, fields ...any) error {
	return output.Did(done, fields...).Write(p.Stdout, d.format)
}

// consent is the flag --yes of commands that destroy or decide.
type consent struct{ yes bool }

func (s *consent) flag(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&s.yes, "yes", false, "do not ask")
}

// possible fails when nobody said yes and nobody can be asked.
func (s *consent) possible(p Process, why string) error {
	if !s.yes && !isTerminal(p.Stdin) {
		return usagef("%s, and there is no terminal to ask on: say that you mean it with --yes", why)
	}
	return nil
}

// ask asks, unless --yes was given: why says what cannot be undone, question ends
// with what yes does, otherwise says what is not done then.
func (s *consent) ask(ctx context.Context, p Process, why, question, otherwise string) error {
	if err := s.possible(p, why); err != nil || s.yes {
		return err
	}
	return confirm(ctx, p, question, otherwise)
}

// value is a flag that is read as people write it.
type value[T any] struct {
	to    *T
	parse func(text string) (T, error)
	text  string
	kind  string
}

func (v *value[T]) String() string { return v.text }
func (v *value[T]) Type() string   { return v.kind }
func (v *value[T]) Set(text string) error {
	got, err := v.parse(text)
	if err == nil {
		*v.to, v.text = got, text
	}
	return err
}

// timeFlag adds a flag that takes a time, see output.TimeHelp.
func timeFlag(f *pflag.FlagSet, to *time.Time, name, usage string) {
	f.Var(&value[time.Time]{to: to, kind: "time", parse: func(text string) (time.Time, error) { return output.ParseTime(text, time.Now()) }}, name, usage)
}

// spanFlag adds a flag that takes a span of time, days and weeks included.
func spanFlag(f *pflag.FlagSet, to *time.Duration, name string, otherwise time.Duration, usage string) {
	*to = otherwise
	text := ""
	if otherwise != 0 {
		text = otherwise.String()
	}
	f.Var(&value[time.Duration]{to: to, kind: "span", parse: output.ParseSpan, text: text}, name, usage)
}

// sizeFlag adds a flag that takes a number of bytes.
func sizeFlag[T int | int64](f *pflag.FlagSet, to *T, name string, otherwise T, usage string) {
	*to = otherwise
	text := ""
	if otherwise != 0 {
		text = output.Size(int64(otherwise))
	}
	f.Var(&value[T]{to: to, kind: "size", text: text, parse: func(text string) (T, error) {
		n, err := output.ParseSize(text)
		if err == nil && int64(T(n)) != n {
			err = fmt.Errorf("%q is too much", text)
		}
		return T(n), err
	}}, name, usage)
}

// complete has the shell complete a flag with words.
func complete(cmd *cobra.Command, flag string, words ...string) {
	if err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err) // the flag is defined, once
	}
}

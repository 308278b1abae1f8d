// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/proctest"
)

// TestScenarios plays testdata/*.txt with the real binary. A scenario is lines:
//
//	# ...                    a comment
//	@ server KEY=VALUE ...   starts a server with these keys of the broker or, after namesrv:, of the name server
//	@ NAME ARGUMENT ...      something else of directives, see there
//	$ twostage ...           runs a command; words may be quoted with ' and "
//	$~ twostage ...          again and again, until the output is as expected
//	< ...                    below a command: a line of its standard input
//
// What follows a command is what it prints: standard output, then the lines of
// standard error, each after "! ", then "exit CODE" unless that is 0. Empty
// lines at its end do not count, and two blanks or more stand for as many as
// there are: widths of columns follow from what is in them.
//
// What changes from run to run is named: <id>, <addr> and what else patterns has.
// <id:one> also keeps it, as $one, for what follows; $namesrv, $broker, $http and
// $data are the server's.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scenarios", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s := &stage{bin: proctest.Binary(t), vars: map[string]string{}}
			played := s.play(t, string(text))
			if *update && played != string(text) {
				if err := os.WriteFile(file, []byte(played), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// patterns are what may stand for what changes.
var patterns = map[string]string{
	"id":   `[0-9A-F]{16,}`,                // a message id, of any kind
	"addr": `[0-9a-fA-F.:\[\]]+:\d+`,       // host:port
	"num":  `-?\d+(?:\.\d+)?`,              // a number
	"age":  `\d[\d.dhms]*`,                 // a span of time
	"size": `\d+(?:\.\d+)?(?:[KMGTPE]i)?B`, // a number of bytes
	"time": `\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)`,
	"word": `\S+`,
	"any":  `.*`,
}

// stage is where a scenario plays.
type stage struct {
	bin    string
	server *proctest.Server
	vars   map[string]string
}

// step is a command or a directive with what is expected of it.
type step struct {
	line  string // as it stands there
	stdin []string
	want  []string
}

// play runs the steps, and gives the text with what came in place of what was
// expected, where it differs.
func (s *stage) play(t *testing.T, text string) string {
	var played strings.Builder
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i := 0; i < len(lines); {
		line := lines[i]
		i++
		played.WriteString(line + "\n")
		if strings.HasPrefix(line, "@ ") {
			s.direct(t, line)
		}
		if !begins(line, "$ ", "$~ ") {
			continue
		}
		at := step{line: line}
		for ; i < len(lines) && strings.HasPrefix(lines[i], "< "); i++ {
			at.stdin = append(at.stdin, lines[i][2:])
			played.WriteString(lines[i] + "\n")
		}
		for ; i < len(lines) && !begins(lines[i], "$ ", "$~ ", "@ ", "# "); i++ {
			at.want = append(at.want, lines[i])
		}
		want := strings.Join(at.want, "\n")
		if got, ok := s.perform(t, &at); ok || !*update {
			played.WriteString(want + "\n")
		} else {
			played.WriteString(got + "\n\n")
		}
	}
	return strings.TrimRight(played.String(), "\n") + "\n"
}

// begins tells whether a line begins with one of these.
func begins(line string, with ...string) bool {
	return slices.ContainsFunc(with, func(s string) bool { return strings.HasPrefix(line, s) })
}

// perform runs a command and compares.
func (s *stage) perform(t *testing.T, at *step) (got string, ok bool) {
	command, again := strings.CutPrefix(at.line, "$~ ")
	args, err := words(s.expand(strings.TrimPrefix(command, "$ ")))
	if err != nil || len(args) == 0 || args[0] != "twostage" {
		t.Fatalf("%s: a command is twostage with arguments: %v", at.line, err)
	}
	want := strings.TrimRight(strings.Join(at.want, "\n"), "\n")
	for deadline := time.Now().Add(patience); ; {
		got = s.run(t, args[1:], strings.Join(at.stdin, "\n"))
		if ok = s.match(t, want, got); ok {
			return got, true
		}
		if !again || time.Now().After(deadline) {
			t.Errorf("%s\nprints:\n%s\nwanted:\n%s", at.line, got, want)
			return got, false
		}
	}
}

// run gives all that a command prints.
func (s *stage) run(t *testing.T, args []string, stdin string) string {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.bin, args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "TZ=UTC"}
	if s.server != nil {
		cmd.Env = append(cmd.Env, "TWOSTAGE_NAMESRV="+s.server.Namesrv)
	}
	cmd.Stdin = strings.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	got := strings.TrimRight(out.String(), "\n")
	for line := range strings.Lines(errs.String()) {
		got += "\n! " + strings.TrimSuffix(line, "\n")
	}
	if code := cmd.ProcessState.ExitCode(); code != 0 {
		got += fmt.Sprintf("\nexit %d", code)
	} else if err != nil {
		t.Fatal(err)
	}
	return strings.TrimLeft(got, "\n")
}

var (
	volatile = regexp.MustCompile(`<(\w+)(?::(\w+))?>|\$(\w+)| {2,}`)
	named    = regexp.MustCompile(`\$(\w+)`)
)

// expand puts the values of variables in.
func (s *stage) expand(text string) string {
	return named.ReplaceAllStringFunc(text, func(v string) string {
		if value, ok := s.vars[v[1:]]; ok {
			return value
		}
		return v
	})
}

// match compares, and keeps what was named when it is the same.
func (s *stage) match(t *testing.T, want, got string) bool {
	var re strings.Builder
	re.WriteString(`\A`)
	last, names := 0, []string{}
	for _, m := range volatile.FindAllStringSubmatchIndex(want, -1) {
		re.WriteString(regexp.QuoteMeta(want[last:m[0]]))
		last = m[1]
		all := want[m[0]:m[1]]
		switch {
		case m[2] >= 0:
			pattern, ok := patterns[want[m[2]:m[3]]]
			if !ok {
				re.WriteString(regexp.QuoteMeta(all))
				continue
			}
			if m[4] < 0 {
				re.WriteString("(?:" + pattern + ")")
				continue
			}
			name := want[m[4]:m[5]]
			names = append(names, name)
			re.WriteString("(" + pattern + ")")
		case m[6] >= 0:
			re.WriteString(regexp.QuoteMeta(s.expand(all)))
		default:
			re.WriteString(" {2,}")
		}
	}
	re.WriteString(regexp.QuoteMeta(want[last:]) + `\z`)
	found := regexp.MustCompile(re.String()).FindStringSubmatch(got)
	if found == nil {
		return false
	}
	for i, name := range names {
		s.vars[name] = found[i+1]
	}
	return true
}

// words splits a command line.
func words(line string) (all []string, err error) {
	var word strings.Builder
	quote, open := rune(0), false
	for _, r := range line {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '\'' || r == '"'):
			quote, open = r, true
		case quote == 0 && r == ' ':
			if open || word.Len() > 0 {
				all = append(all, word.String())
			}
			open = false
			word.Reset()
		default:
			word.WriteRune(r)
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("a %c is open", quote)
	}
	if open || word.Len() > 0 {
		all = append(all, word.String())
	}
	return all, nil
}

// direct does what a line with @ says.
func (s *stage) direct(t *testing.T, line string) {
	args, err := words(s.expand(strings.TrimPrefix(line, "@ ")))
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	do, ok := directives[args[0]]
	if !ok {
		t.Fatalf("%s: no such directive", line)
	}
	do(t, s, args[1:])
}

// directives are what scenarios need beside commands.
var directives = map[string]func(t *testing.T, s *stage, args []string){
	"consumer": standIn, "producer": producerStandIn, "commit": commit, "giveup": giveUp, "popped": popped, "trace": trace,
	"server": func(t *testing.T, s *stage, keys []string) {
		args := []string{
			"server", "--data", filepath.Join(t.TempDir(), "data"), "--namesrv-set", "listenPort=0", "--namesrv-set", "bindAddress=127.0.0.1",
		}
		for _, key := range append([]string{
			"listenPort=0", "httpListenPort=0", "bindAddress=127.0.0.1", "brokerName=broker-a", "mappedFileSizeCommitLog=1048576", "mappedFileSizeConsumeQueue=6000",
		}, keys...) {
			if of, ok := strings.CutPrefix(key, "namesrv:"); ok {
				args = append(args, "--namesrv-set", of)
			} else {
				args = append(args, "--set", key)
			}
		}
		s.server = proctest.Start(t, args...)
		s.vars["namesrv"], s.vars["broker"], s.vars["http"], s.vars["data"] = s.server.Namesrv, s.server.Broker, s.server.HTTP, s.server.Data
	},
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twostage/twostage/internal/proctest"
	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/test/rig"
)

// block gives the first indented block of docs/deployment.md after a text, by lines.
func block(t *testing.T, after string) (lines []string) {
	t.Helper()
	_, rest, found := strings.Cut(text(t, "docs/deployment.md"), after)
	for line := range strings.Lines(rest) {
		line, inside := strings.CutPrefix(line, "    ")
		if inside {
			lines = append(lines, strings.TrimSpace(line))
		} else if len(lines) > 0 {
			break
		}
	}
	if !found || len(lines) < 4 {
		t.Fatalf("after %q: %q", after, lines)
	}
	return lines
}

// machine stands in for the one that the page's commands are typed on: its
// directories are below root, and systemctl starts and stops s.
type machine struct {
	s    *proctest.Server
	root string
}

// newMachine starts a server with the page's data directory and broker.conf.
func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{root: t.TempDir()}
	for _, dir := range []string{"var/lib", "etc/twostage", "backup", "usr/local/bin", "home"} {
		if err := os.MkdirAll(m.path(dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	m.write(t, "etc/twostage/broker.conf", strings.Join(small, "\n")+"\n", 0o644)
	m.write(t, "usr/local/bin/date", "#!/bin/sh\necho \"$NOW\"\n", 0o755)
	binary, err := os.ReadFile(proctest.Binary(t))
	if err != nil {
		t.Fatal(err)
	}
	m.write(t, "home/twostage", string(binary), 0o755) // the new version
	if err := os.Symlink(proctest.Binary(t), m.path("usr/local/bin/twostage")); err != nil {
		t.Fatal(err)
	}
	m.s = proctest.Start(t, "server", "--data", m.path("var/lib/twostage"), "-c", m.path("etc/twostage/broker.conf"), "--namesrv-set", "listenPort=0", "--namesrv-set", "bindAddress=127.0.0.1")
	return m
}

func (m *machine) path(name string) string { return filepath.Join(m.root, name) }

func (m *machine) write(t *testing.T, name, content string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(m.path(name), []byte(content), mode); err != nil {
		t.Fatal(err)
	}
}

// run types a block's lines one by one at a time of its own; variables go on from
// line to line.
func (m *machine) run(t *testing.T, now string, lines []string) {
	t.Helper()
	var vars []string
	for _, line := range lines {
		switch line {
		case "systemctl stop twostage":
			stopped(t, m.s)
			continue
		case "systemctl start twostage":
			m.s.Restart(t)
			continue
		}
		for _, dir := range []string{"/var/lib/", "/etc/twostage/", "/backup/", "/usr/local/bin/"} {
			line = strings.ReplaceAll(line, " "+dir, " "+m.root+dir)
			line = strings.ReplaceAll(line, "="+dir, "="+m.root+dir)
		}
		env := append([]string{"PATH=" + m.path("usr/local/bin") + ":" + os.Getenv("PATH"), "NOW=" + now}, vars...)
		name, _, assigned := strings.Cut(line, "=")
		if assigned = assigned && !strings.Contains(name, " "); assigned {
			line += `; printf %s "$` + name + `"`
		}
		out, errs, code := runIn(t, env, "sh", "-c", "cd "+m.path("home")+" && "+line)
		if code != 0 {
			t.Fatalf("%s: exit code %d\n%s%s", line, code, out, errs)
		}
		if assigned {
			vars = append(vars, name+"="+out)
		}
	}
}

func (m *machine) send(t *testing.T, text string) {
	t.Helper()
	if _, err := rpc.Send(rig.Context(t), rig.Client(t), m.s.Broker, rig.SendHeader(orders, 0, text), []byte(text)); err != nil {
		t.Fatal(err)
	}
}

// Two backups as the page makes them are two, and what it restores is the one that
// is named, each time.
func TestBackupBlocks(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	must(t, "topic", "create", orders, "--queues", "1", "--namesrv", m.s.Namesrv)
	backup, restore := block(t, "**Of a stopped server**"), block(t, "**Restore** into")
	stamp := strings.TrimPrefix(restore[0], "backup=/backup/twostage-")
	c := rig.Client(t)
	want := func(list ...string) {
		t.Helper()
		if have := texts(t, c, m.s.Broker, orders, 0); fmt.Sprint(have) != fmt.Sprint(list) {
			t.Errorf("%s has %q, want %q", orders, have, list)
		}
	}
	m.send(t, "one")
	m.run(t, "20260101T020000", backup)
	m.send(t, "two")
	m.run(t, stamp, backup)
	m.send(t, "three")
	want("one", "two", "three")
	m.run(t, "20260201T020000", restore)
	want("one", "two")
	m.send(t, "four")
	m.run(t, "20260202T020000", restore)
	want("one", "two")
	for dir, names := range map[string][]string{
		"backup":  {"twostage-20260101T020000", "twostage-" + stamp},
		"var/lib": {"twostage", "twostage.lost-20260201T020000", "twostage.lost-20260202T020000"},
	} {
		var have []string
		entries, err := os.ReadDir(m.path(dir))
		for _, e := range entries {
			have = append(have, e.Name())
			if inside, _ := filepath.Glob(m.path(dir + "/" + e.Name() + "/twostage*")); inside != nil {
				t.Errorf("%s has another one in it: %q", e.Name(), inside)
			}
		}
		if err != nil || fmt.Sprint(have) != fmt.Sprint(names) {
			t.Errorf("/%s has %q, %v", dir, have, err)
		}
	}
}

// Two upgrades as the page makes them: the binary is replaced, nothing is lost, and
// each has a copy of its own to go back to.
func TestUpgradeBlock(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	must(t, "topic", "create", orders, "--queues", "1", "--namesrv", m.s.Namesrv)
	lines := block(t, "## Upgrade")
	m.send(t, "one")
	m.run(t, "20260101T020000", lines)
	m.send(t, "two")
	m.run(t, "20260201T020000", lines)
	if have := texts(t, rig.Client(t), m.s.Broker, orders, 0); fmt.Sprint(have) != "[one two]" {
		t.Errorf("%s has %q", orders, have)
	}
	if have, _ := filepath.Glob(m.path("backup/*/store")); len(have) != 2 {
		t.Errorf("copies %q", have)
	}
	if fi, err := os.Lstat(m.path("usr/local/bin/twostage")); err != nil || !fi.Mode().IsRegular() {
		t.Errorf("the binary was not replaced: %v, %v", fi, err)
	}
}

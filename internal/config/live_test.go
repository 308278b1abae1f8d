// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"
)

// liveFile is a broker that was started with a file of that text.
func liveFile(t testing.TB, text string, edit func(*Sources)) (l *Live[Broker], name string) {
	t.Helper()
	name = filepath.Join(t.TempDir(), "broker.conf")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s := Sources{Role: RoleBroker, HostName: "box", BrokerFile: File{Name: name, Text: []byte(text)}}
	if edit != nil {
		edit(&s)
	}
	c, err := Load(s)
	if err != nil {
		t.Fatal(err)
	}
	return c.LiveBroker(), name
}

func readText(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A change is seen by who asks again, told, and written among what stood in the file.
func TestLiveUpdate(t *testing.T) {
	l, name := liveFile(t, "# mine\nbrokerName = a\nfileReservedTime=\\\n  48\n\n deleteWhen:04\r\nfileReservedTime=48", nil)
	l.Choose("listenPort", "4711")
	clock := int64(9)
	l.TimeBy(func() int64 { clock++; return clock })
	var told []time.Duration
	l.OnChange(func(b *Broker) error { told = append(told, b.Retention.Reserved); return nil })
	before := l.Now()
	got, err := l.Update([]byte("fileReservedTime=24\nmaxDelayTime=41\nbrokerPermission=4\ndeleteWhen=01;02\n"))
	if err != nil || got.Note != "" || !slices.Equal(got.Keys, []string{"brokerPermission", "deleteWhen", "fileReservedTime", "maxDelayTime"}) {
		t.Fatalf("%+v, %v", got, err)
	}
	now := l.Now()
	if now.Retention.Reserved != 24*time.Hour || now.Identity.Permission != 4 || !slices.Equal(now.Retention.Hours, []int{1, 2}) || now.Transactions.MaxAge != 24*time.Hour {
		t.Errorf("%+v", now)
	}
	if before.Retention.Reserved != 48*time.Hour || len(told) != 1 || told[0] != 24*time.Hour {
		t.Errorf("before %v, told %v", before.Retention.Reserved, told)
	}
	if want := "# mine\nbrokerName = a\nfileReservedTime=24\n\ndeleteWhen=01;02\nbrokerPermission=4\nmaxDelayTime=41\n"; readText(t, name) != want {
		t.Errorf("the file is\n%s", readText(t, name))
	}
	if info, _ := os.Stat(name); info.Mode() != 0o600 {
		t.Errorf("its mode is %v", info.Mode())
	}
	// The second change keeps the first one, and what somebody wrote meanwhile.
	if err := os.WriteFile(name, []byte(readText(t, name)+"#later\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Update([]byte("brokerPermission=6")); err != nil || l.Now().Identity.Permission != 6 || l.Now().Retention.Reserved != 24*time.Hour {
		t.Errorf("%+v, %v", l.Now(), err)
	}
	if text := readText(t, name); !strings.HasSuffix(text, "brokerPermission=6\nmaxDelayTime=41\n#later\n") {
		t.Errorf("the file is\n%s", text)
	}
	values, changes, at := l.Values()
	port, _ := values.Lookup("listenPort")
	perm, _ := values.Lookup("brokerPermission")
	if changes != 2 || at != 12 || port.Text != "4711" || perm.Text != "6" || perm.Source.String() != "changed at run time" {
		t.Errorf("%d changes, the last at %d, %+v, %+v", changes, at, port, perm)
	}
	// What it wrote is what it is after a restart.
	c := mustLoad(t, Sources{HostName: "box", BrokerFile: File{Name: name, Text: []byte(readText(t, name))}})
	if c.Broker.Retention.Reserved != 24*time.Hour || c.Broker.Identity.Permission != 6 {
		t.Errorf("after a restart: %+v", c.Broker.Retention)
	}
}

// One key that can't change refuses the others.
func TestLiveRefusals(t *testing.T) {
	const text = "brokerName=a\n"
	l, name := liveFile(t, text, nil)
	for _, tc := range []struct {
		body  string
		fixed bool
		words []string
	}{
		{"storePathRootDir=/etc", true, []string{"storePathRootDir", "restart"}},
		{"rocketmqHome=/tmp;touch x", true, []string{"rocketmqHome", "restart"}},
		{"brokerConfigPath=/root/.ssh/authorized_keys", true, []string{"brokerConfigPath", "never taken"}},
		{"configBlackList=x", true, []string{"configBlackList", "restart"}},
		{"kvConfigPath=x", false, []string{"kvConfigPath", "unknown"}},
		{"filterServerNums=1", true, []string{"filterServerNums"}},
		{"listenPort=1\nflushDiskType=SYNC_FLUSH", true, []string{"listenPort", "flushDiskType"}},
		{"namesrvAddr=evil:9876", true, []string{"namesrvAddr"}},
		{"aclEnable=false", true, []string{"aclEnable"}},
		{"tls.server.keyPath=/x", true, []string{"tls.server.keyPath", "restart"}},
		{"brokerPermision=4", false, []string{"did you mean brokerPermission"}},
		{"brokerPermission=4\nlistenPort=1\nnope=2", false, []string{"nope", "listenPort"}},
		{"brokerPermission=9", false, []string{"brokerPermission=9"}},
		{"brokerPermission=", false, []string{"brokerPermission", "no value"}},
		{"fileReservedTime=1d", false, []string{"fileReservedTime=1d", "whole number"}},
		{"deleteWhen=25", false, []string{"deleteWhen=25"}},
		{"diskSpaceCleanForciblyRatio=95", false, []string{"diskSpaceWarningLevelRatio"}},
		{"brokerPermission=4\nbrokerPermission=6", false, []string{"two values"}},
		{"maxDelayTime=soon", false, []string{"maxDelayTime=soon"}},
		{"a=\\u12", false, []string{"hex"}},
		{"# nothing\n", false, []string{"no line"}},
		{"", false, []string{"no line"}},
	} {
		body := tc.body
		if !strings.Contains(body, "brokerPermission") && body != "" && body[0] != '#' {
			body = "autoCreateTopicEnable=false\n" + body
		}
		_, err := l.Update([]byte(body))
		if err == nil || errors.Is(err, ErrFixed) != tc.fixed {
			t.Errorf("%q: %v", body, err)
			continue
		}
		for _, word := range tc.words {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("%q: %q lacks %q", body, err, word)
			}
		}
	}
	for _, body := range []string{strings.Repeat("nonsense=1\n", maxChanges+1), strings.Repeat("x", 1<<20), "deleteWhen=" + strings.Repeat("01;", 1<<17)} {
		if _, err := l.Update([]byte(body)); err == nil || len(err.Error()) > 1000 {
			t.Errorf("%d bytes: %.2000v", len(body), err)
		}
	}
	if _, changes, _ := l.Values(); changes != 0 || !l.Now().Topics.AutoCreate || l.Now().Identity.Permission != 6 || readText(t, name) != text {
		t.Errorf("something was changed: %d, %+v, %s", changes, l.Now().Topics, readText(t, name))
	}
	if _, err := Frozen(Broker{}, Values{}).Update([]byte("brokerPermission=4")); !errors.Is(err, ErrFixed) {
		t.Errorf("frozen: %v", err)
	}
}

// How long a change lasts is said, and no change is made that should last and can't.
func TestLiveLasts(t *testing.T) {
	none := mustLoad(t, Sources{HostName: "box"}).LiveBroker()
	over, _ := liveFile(t, "", func(s *Sources) {
		s.Flags = map[string]string{"brokerPermission": "2"}
		s.Environment = []string{"TWOSTAGE_DELETEWHEN=05"}
	})
	readOnly, _ := liveFile(t, "", nil)
	readOnly.write = func(name string, _ []byte) error { return &os.PathError{Op: "open", Path: name, Err: syscall.EROFS} }
	full, _ := liveFile(t, "", nil)
	full.write = func(name string, _ []byte) error { return &os.PathError{Op: "write", Path: name, Err: syscall.ENOSPC} }
	broken, name := liveFile(t, "", nil)
	if err := os.WriteFile(name, []byte("a=\\u1"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		what string
		l    *Live[Broker]
		note []string
		err  string
	}{
		{"no file", none, []string{"until the next start", "without a configuration file"}, ""},
		{"flags", over, []string{"brokerPermission (flag brokerPermission)", "deleteWhen (TWOSTAGE_DELETEWHEN)"}, ""},
		{"read-only", readOnly, []string{"until the next start", "read-only file system"}, ""},
		{"full", full, nil, "no space left"},
		{"broken", broken, nil, "hex"},
	} {
		got, err := tc.l.Update([]byte("brokerPermission=4\ndeleteWhen=07"))
		if tc.err != "" {
			if err == nil || !strings.Contains(err.Error(), tc.err) || tc.l.Now().Identity.Permission != 6 {
				t.Errorf("%s: %v, %+v", tc.what, err, tc.l.Now().Identity)
			}
			continue
		}
		if err != nil || tc.l.Now().Identity.Permission != 4 || tc.l.Now().Retention.Hours[0] != 7 {
			t.Errorf("%s: %v, %+v", tc.what, err, tc.l.Now().Identity)
		}
		for _, word := range tc.note {
			if !strings.Contains(got.Note, word) {
				t.Errorf("%s: note %q lacks %q", tc.what, got.Note, word)
			}
		}
	}
}

func TestLiveNamesrv(t *testing.T) {
	l := mustLoad(t, Sources{HostName: "box"}).LiveNamesrv()
	if got, err := l.Update([]byte("orderMessageEnable=true\nclientRequestThreadPoolNums=9")); err != nil || !l.Now().OrderMessages || !strings.Contains(got.Note, "name server") {
		t.Errorf("%+v, %v", got, err)
	}
	for _, key := range []string{"kvConfigPath", "configStorePath", "rocketmqHome", "listenPort", "productEnvName", "configBlackList"} {
		if _, err := l.Update([]byte("orderMessageEnable=false\n" + key + "=x")); !errors.Is(err, ErrFixed) || !strings.Contains(err.Error(), key) || !l.Now().OrderMessages {
			t.Errorf("%s: %v", key, err)
		}
	}
}

// A part that can't follow a change is heard of; the change is made.
func TestLiveChangeThatIsNotInForce(t *testing.T) {
	l, name := liveFile(t, "", nil)
	l.OnChange(func(*Broker) error { return errors.New("the disk is full") })
	followed := false
	l.OnChange(func(*Broker) error { followed = true; return nil })
	got, err := l.Update([]byte("autoCreateTopicEnable=false"))
	if outcome, text := got.Answer(err); outcome != Failed || strings.Contains(text, "nothing was changed") {
		t.Errorf("answered %d, %s", outcome, text)
	}
	if err == nil || !strings.Contains(err.Error(), "the change is made") || !strings.Contains(err.Error(), "the disk is full") || errors.Is(err, ErrNotWritten) {
		t.Errorf("%v", err)
	}
	if len(got.Keys) != 1 || !followed || l.Now().Topics.AutoCreate || readText(t, name) != "autoCreateTopicEnable=false\n" {
		t.Errorf("%+v, %v, %+v, %s", got, followed, l.Now().Topics, readText(t, name))
	}
}

// configBlackList takes keys out of the list.
func TestLiveBlackList(t *testing.T) {
	l, _ := liveFile(t, "configBlackList=brokerPermission;deleteWhen", nil)
	if _, err := l.Update([]byte("fileReservedTime=1\nbrokerPermission=4")); !errors.Is(err, ErrFixed) || !strings.Contains(err.Error(), "configBlackList forbids it") {
		t.Errorf("%v", err)
	}
	if _, err := l.Update([]byte("fileReservedTime=1")); err != nil {
		t.Error(err)
	}
}

// The keys that change are those of the documentation.
func TestLiveKeysAreDocumented(t *testing.T) {
	text := readText(t, "../../docs/configuration.md")
	_, section, found := strings.Cut(text, "## Changing a running server")
	if !found {
		t.Fatal("docs/configuration.md has no section about it")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	for _, key := range slices.Concat(liveBroker, liveNamesrv) {
		if !strings.Contains(section, "`"+key+"`") {
			t.Errorf("%s is not documented", key)
		}
	}
	brokers, servers := brokerTable(), namesrvTable()
	table, _, _ := strings.Cut(section, "\n\nThe request")
	for _, word := range strings.Split(table, "`") {
		if (brokers.named[word] != nil || servers.named[word] != nil) && !slices.Contains(liveBroker, word) && !slices.Contains(liveNamesrv, word) {
			t.Errorf("%s is documented, but does not change", word)
		}
	}
}

// Every key of the list is one that Twostage acts on, and no text but hours.
func TestLiveKeys(t *testing.T) {
	for _, list := range []struct {
		table *table
		keys  []string
	}{{brokerTable(), liveBroker}, {namesrvTable(), liveNamesrv}} {
		for _, name := range list.keys {
			k := list.table.named[name]
			if k == nil || k.class != Used || k.kind == kindText && name != "deleteWhen" || k.secret {
				t.Errorf("%s can't be among the keys that change at run time: %+v", name, k)
			}
		}
	}
}

// A link to the file stays one, a directory is none, and what is there stays when it fails.
func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	name, link := filepath.Join(dir, "a.conf"), filepath.Join(dir, "link.conf")
	if err := errors.Join(os.WriteFile(name, []byte("old"), 0o640), os.Chmod(name, 0o640), os.Symlink("a.conf", link)); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(link, []byte("new")); err != nil || readText(t, name) != "new" {
		t.Errorf("%v, %s", err, readText(t, name))
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is %v, %v", info, err)
	}
	if info, err := os.Stat(name); err != nil || info.Mode() != 0o640 {
		t.Errorf("the mode is %v, %v", info, err)
	}
	for what, err := range map[string]error{
		"missing": WriteFile(filepath.Join(dir, "missing"), nil), "directory": WriteFile(dir, nil), "large": WriteFile(name, make([]byte, MaxFileSize+1)),
	} {
		if err == nil {
			t.Errorf("%s: no error", what)
		}
	}
	if names, err := os.ReadDir(dir); err != nil || len(names) != 2 {
		t.Errorf("left over: %v, %v", names, err)
	}
}

// FuzzRewrite: the keys have their values, once, and all others are as they were.
func FuzzRewrite(f *testing.F) {
	for _, text := range []string{"", "deleteWhen=04", "# c\\\ndeleteWhen=1\r\n\\\n\\\na=b\\", "\ufeffbrokerPermission : 6\rx=\\u0041\ny", "deleteWhen=1\ndeleteWhen=1", "\xff=\xfe\n", "maped\\\n FileSizeCommitLog=7", "a=1\rb=\\\r",
		"a=1\n\ufeffdeleteWhen=1", "\ufeffdeleteWhen=1\na=\xe9", "deleteWhen=\xe9\né=1"} {
		f.Add([]byte(text))
	}
	values := map[string]string{"deleteWhen": "01;02", "brokerPermission": "4", "mappedFileSizeCommitLog": "8"}
	f.Fuzz(func(t *testing.T, text []byte) {
		before, err := ParseProperties(text)
		if err != nil {
			return
		}
		table := brokerTable()
		written := rewrite(text, table, values)
		if utf8.Valid(written) != utf8.Valid(text) {
			return // refused by who writes it
		}
		after, err := ParseProperties(written)
		if err != nil {
			t.Fatal(err)
		}
		others := func(list []Entry, seen map[string]int) (rest []string) {
			for _, e := range list {
				if k := table.named[e.Key]; k != nil && values[k.name] != "" {
					if seen != nil && e.Value != values[k.name] {
						t.Fatalf("%s is %q", e.Key, e.Value)
					} else if seen != nil {
						seen[k.name]++
					}
					continue
				}
				rest = append(rest, e.Key+"="+e.Value)
			}
			return rest
		}
		seen := map[string]int{}
		if a, b := others(before, nil), others(after, seen); !slices.Equal(a, b) {
			t.Fatalf("%q becomes %q", a, b)
		}
		for name := range values {
			if seen[name] != 1 {
				t.Fatalf("%s stands there %d times", name, seen[name])
			}
		}
	})
}

// FuzzUpdate: a body changes keys of the list or nothing.
func FuzzUpdate(f *testing.F) {
	for _, text := range []string{"brokerPermission=4", "maxDelayTime=41\n", "rocketmqHome=x\nbrokerPermission=4", "deleteWhen=01;02\\\n;03", "a:b", "fileReservedTime=-1", "\\u0062rokerPermission=2"} {
		f.Add([]byte(text))
	}
	c, err := Load(Sources{Role: RoleBroker, HostName: "box"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		l := c.LiveBroker()
		before, _, _ := l.Values()
		got, err := l.Update(text)
		after, changes, _ := l.Values()
		if err != nil && (changes != 0 || len(err.Error()) == 0) {
			t.Fatalf("%d changes with %v", changes, err)
		}
		for i, v := range after.list {
			if v != before.list[i] && (err != nil || !slices.Contains(got.Keys, v.Key) || !slices.Contains(liveBroker, v.Key) && v.Class != Ignored || v.Class == Ignored && strings.Contains(v.Key, "Path")) {
				t.Fatalf("%+v was %+v after %q", v, before.list[i], text)
			}
		}
	})
}

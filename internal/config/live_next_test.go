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
)

// A change with which the file would not start a server again is not made.
func TestLiveChangeThatFailsTheNextStart(t *testing.T) {
	l, name := liveFile(t, "brokerName=a\n", nil)
	const edited = "brokerName=a\ndiskSpaceCleanForciblyRatio=70\ndiskSpaceWarningLevelRatio=80\n" // for the next start: good by itself
	if err := os.WriteFile(name, []byte(edited), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := l.Update([]byte("diskSpaceCleanForciblyRatio=88"))
	if !errors.Is(err, ErrNotWritten) || !strings.Contains(err.Error(), "next start") || !strings.Contains(err.Error(), "diskSpaceWarningLevelRatio=80") {
		t.Errorf("%v", err)
	}
	if l.Now().Retention.CleanForcibly != 85 || readText(t, name) != edited {
		t.Errorf("changed to %d: %s", l.Now().Retention.CleanForcibly, readText(t, name))
	}
	// What only a flag makes good is said.
	l, name = liveFile(t, "brokerName=a\n", func(s *Sources) { s.Flags = map[string]string{"diskSpaceWarningLevelRatio": "99"} })
	got, err := l.Update([]byte("diskSpaceCleanForciblyRatio=95"))
	if err != nil || !strings.Contains(got.Note, "without its variables and flags") || !strings.Contains(got.Note, "diskSpaceWarningLevelRatio") {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err = l.Update([]byte("deleteWhen=05")); err != nil || got.Note != "" {
		t.Errorf("a change that has nothing to do with it: %+v, %v", got, err)
	}
	if text := readText(t, name); text != "brokerName=a\ndiskSpaceCleanForciblyRatio=95\ndeleteWhen=05\n" {
		t.Errorf("the file is %q", text)
	}
}

// Lines keep their meaning where the one that changes decides how the text is read.
func TestLiveTextThatIsNotUTF8(t *testing.T) {
	l, name := liveFile(t, "", nil)
	const edited = "brokerName=\u00e9\ndeleteWhen=\xe9\n"
	if err := os.WriteFile(name, []byte(edited), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Update([]byte("deleteWhen=05")); err == nil || !strings.Contains(err.Error(), "UTF-8") || readText(t, name) != edited {
		t.Errorf("%v: %q", err, readText(t, name))
	}
}

// The file of tls.config.file is read at the start: a change needs it no more.
func TestLiveWithoutTheTLSFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tls.properties")
	if err := os.WriteFile(file, []byte("tls.test.mode.enable=true\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, _ := liveFile(t, "brokerName=a\ntls.config.file="+file+"\n", nil)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Update([]byte("brokerPermission=4")); err != nil || l.Now().Identity.Permission != 4 {
		t.Error(err)
	}
}

// What could not be written is, with the next change that can.
func TestLiveWritesWhatItOwes(t *testing.T) {
	l, name := liveFile(t, "", nil)
	write := l.write
	l.write = func(name string, _ []byte) error { return &os.PathError{Op: "open", Path: name, Err: syscall.EROFS} }
	for _, text := range []string{"brokerPermission=4", "deleteWhen=07"} {
		if got, err := l.Update([]byte(text)); err != nil || got.Note == "" {
			t.Fatalf("%+v, %v", got, err)
		}
	}
	l.write = write
	if got, err := l.Update([]byte("brokerPermission=2")); err != nil || got.Note != "" {
		t.Fatalf("%+v, %v", got, err)
	}
	if text := readText(t, name); text != "brokerPermission=2\ndeleteWhen=07\n" {
		t.Errorf("the file is %q", text)
	}
}

// A file that is replaced is one: the change is made, and what is uncertain is said.
func TestLiveDirectoryThatCannotBeSynced(t *testing.T) {
	l, name := liveFile(t, "", nil)
	write := l.write
	l.write = func(name string, text []byte) error {
		return errors.Join(write(name, text), &os.PathError{Op: "sync", Path: name, Err: ErrNotSynced})
	}
	got, err := l.Update([]byte("brokerPermission=4"))
	if err != nil || !strings.Contains(got.Note, "may undo it") || l.Now().Identity.Permission != 4 || readText(t, name) != "brokerPermission=4\n" {
		t.Errorf("%+v, %v, %+v: %q", got, err, l.Now().Identity, readText(t, name))
	}
}

// A file keeps its owner; who can't give it to that one does not replace it. What a
// crash left beside it goes.
func TestWriteFileKeepsTheOwner(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a.conf")
	if err := errors.Join(os.WriteFile(name, []byte("old"), 0o640), os.WriteFile(name+".new", []byte("half"), 0o644)); err != nil {
		t.Fatal(err)
	}
	group := os.Getgid()
	if os.Getuid() == 0 {
		group++
	} else if others, err := os.Getgroups(); err == nil && len(others) > 0 {
		group = others[len(others)-1]
	}
	if err := os.Chown(name, -1, group); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(name, []byte("new")); err != nil || readText(t, name) != "new" {
		t.Fatalf("%v: %q", err, readText(t, name))
	}
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	if now := info.Sys().(*syscall.Stat_t); int(now.Gid) != group || int(now.Uid) != os.Getuid() {
		t.Errorf("owned by %d:%d, want %d:%d", now.Uid, now.Gid, os.Getuid(), group)
	}
	if _, err := os.Stat(name + ".new"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("left beside it: %v", err)
	}
}

// Blanks and other spellings of a key in configBlackList count; what is no key is found.
func TestLiveBlackListNames(t *testing.T) {
	l, _ := liveFile(t, "configBlackList=configBlackList; brokerPermission ;;fileReservedTime;brokerPermision", nil)
	for _, text := range []string{"brokerPermission=4", "fileReservedTime=1"} {
		if _, err := l.Update([]byte(text)); !errors.Is(err, ErrFixed) {
			t.Errorf("%s: %v", text, err)
		}
	}
	if names := l.BlackListUnknown(); !slices.Equal(names, []string{"brokerPermision"}) {
		t.Errorf("no keys: %q", names)
	}
	plain, _ := liveFile(t, "", nil)
	if names := plain.BlackListUnknown(); len(names) > 0 {
		t.Errorf("in the default: %q", names)
	}
	if names := mustLoad(t, Sources{HostName: "box"}).LiveNamesrv().BlackListUnknown(); len(names) > 0 {
		t.Errorf("in the name server's default: %q", names)
	}
}

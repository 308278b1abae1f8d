// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// instruction is one of a Dockerfile, with the stage that it belongs to.
type instruction struct {
	stage      int
	name, rest string
}

func instructions(t *testing.T, path string) []instruction {
	t.Helper()
	known := []string{"FROM", "WORKDIR", "COPY", "RUN", "ENV", "USER", "VOLUME", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT", "CMD"}
	var list []instruction
	stage := -1
	whole := strings.ReplaceAll(text(t, path), "\\\n", "")
	for line := range strings.Lines(whole) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		name, rest, _ := strings.Cut(line, " ")
		if !slices.Contains(known, name) || rest == "" {
			t.Fatalf("%s: %q", path, line)
		}
		if name == "FROM" {
			stage++
		}
		list = append(list, instruction{stage, name, rest})
	}
	return list
}

// exec reads the JSON form, the only one that works without a shell.
func execForm(t *testing.T, s string) []string {
	t.Helper()
	var args []string
	if err := json.Unmarshal([]byte(s), &args); err != nil {
		t.Fatalf("%s is not of the exec form: %v", s, err)
	}
	return args
}

// The image holds the static binary and what it reads, runs without root, and its
// commands are good. It is not built here: that needs Docker and a registry.
func TestDockerfile(t *testing.T) {
	last := map[string][]string{}
	list := instructions(t, "deploy/docker/Dockerfile")
	stages := list[len(list)-1].stage
	var build string
	for _, in := range list {
		switch {
		case in.stage == stages:
			last[in.name] = append(last[in.name], in.rest)
		case in.name == "RUN":
			build += in.rest + "\n"
		case in.name == "COPY":
			for _, from := range strings.Fields(in.rest)[:len(strings.Fields(in.rest))-1] {
				if _, err := os.Stat(filepath.Join(root, from)); err != nil {
					t.Errorf("COPY %s: %v", in.rest, err)
				}
			}
		}
	}
	if last["FROM"][0] != "scratch" {
		t.Errorf("FROM %s", last["FROM"])
	}
	goVersion := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(text(t, "go.mod"))[1]
	if list[0].rest != "golang:"+goVersion+" AS build" {
		t.Errorf("go.mod says go %s, the image is built with %s", goVersion, list[0].rest)
	}
	if !strings.Contains(build, "CGO_ENABLED=0 go build") || !strings.Contains(build, "./cmd/twostage") {
		t.Errorf("the binary is not static: %s", build)
	}
	if user := last["USER"]; len(user) != 1 || !regexp.MustCompile(`^[1-9]\d*:[1-9]\d*$`).MatchString(user[0]) {
		t.Errorf("USER %q: Kubernetes tells by the number that it is not root", user)
	}
	if !slices.ContainsFunc(last["COPY"], func(s string) bool {
		return strings.Contains(s, "--chown="+last["USER"][0]) && strings.HasSuffix(s, " /data")
	}) {
		t.Errorf("/data does not belong to the user: %q", last["COPY"])
	}
	entry := execForm(t, last["ENTRYPOINT"][0])
	if len(entry) != 1 || !slices.ContainsFunc(last["COPY"], func(s string) bool { return strings.HasSuffix(s, " "+entry[0]) }) {
		t.Errorf("ENTRYPOINT %q of what is copied: %q", entry, last["COPY"])
	}
	env := strings.Fields(last["ENV"][0])
	acceptable(t, "CMD", env, execForm(t, last["CMD"][0]))
	_, check, _ := strings.Cut(last["HEALTHCHECK"][0], " CMD ")
	if args := execForm(t, check); args[0] != entry[0] {
		t.Errorf("HEALTHCHECK %q", args)
	} else if out := must(t, append(args[1:], "--help")...); !strings.Contains(out, "twostage health") {
		t.Errorf("HEALTHCHECK %q: %s", args, out)
	}
	out, _, _ := twostage(t, env, "server", "--print-config")
	ports := strings.Fields(last["EXPOSE"][0])
	for _, key := range []string{"listenPort=10911", "listenPort=9876", "httpListenPort=8082"} {
		_, port, _ := strings.Cut(key, "=")
		if !strings.Contains(out, "\n"+key+"\n") || !slices.Contains(ports, port) {
			t.Errorf("EXPOSE %q, but the default is another than %s", ports, key)
		}
	}
	if !strings.Contains(out, "storePathRootDir=/data/store") {
		t.Error("the store is not on the volume")
	}
	if stop := last["STOPSIGNAL"]; len(stop) != 1 || stop[0] != "SIGTERM" {
		t.Errorf("STOPSIGNAL %q", stop)
	}
}

// What the build does not need stays out of its context, and what it needs in it.
func TestDockerignore(t *testing.T) {
	for line := range strings.Lines(text(t, "deploy/docker/Dockerfile.dockerignore")) {
		line = strings.TrimSpace(line)
		if slices.Contains([]string{"cmd", "client", "internal", "message", "go.mod", "go.sum", "."}, line) {
			t.Errorf("%s is needed", line)
		}
	}
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/twostage/twostage/internal/proctest"
	"github.com/twostage/twostage/test/rig"
)

// Who is in the Secret, and in the .env of the compose file.
const firstUser, firstSecret = "admin", "0123456789abcdef"

// podEnvironment is what a kubelet makes of a container's variables: those of fields
// and of the Secret, and $(NAME) of those above.
func podEnvironment(t *testing.T, list []variable) (env []string) {
	t.Helper()
	from := map[string]string{
		"metadata.name": "twostage-0", "status.podIP": "10.1.2.3",
		"twostage-admin accessKey": firstUser, "twostage-admin secretKey": firstSecret,
	}
	values := map[string]string{}
	for _, e := range list {
		value := regexp.MustCompile(`\$\((\w+)\)`).ReplaceAllStringFunc(e.Value, func(s string) string {
			v, ok := values[s[2:len(s)-1]]
			if !ok {
				t.Errorf("%s takes %s, which is not above it", e.Name, s)
			}
			return v
		})
		if f := e.ValueFrom; f != nil {
			value = from[f.FieldRef.FieldPath]
			if f.SecretKeyRef.Name != "" {
				value = from[f.SecretKeyRef.Name+" "+f.SecretKeyRef.Key]
			}
		}
		if value == "" {
			t.Errorf("variable %s has no value", e.Name)
		}
		values[e.Name] = value
		env = append(env, e.Name+"="+value)
	}
	return env
}

// composeEnvironment is what compose makes of a service's variables with an .env of
// the first user alone.
func composeEnvironment(t *testing.T, list map[string]string) (env []string) {
	t.Helper()
	file := map[string]string{"TWOSTAGE_ACCESS_KEY": firstUser, "TWOSTAGE_SECRET_KEY": firstSecret}
	for k, v := range list {
		env = append(env, k+"="+regexp.MustCompile(`\$\{(\w+)(:-|:\?)?([^}]*)\}`).ReplaceAllStringFunc(v, func(s string) string {
			m := regexp.MustCompile(`\$\{(\w+)(:-|:\?)?([^}]*)\}`).FindStringSubmatch(s)
			value, ok := file[m[1]]
			if !ok && m[2] != ":-" {
				t.Errorf("%s takes %s, which nothing sets", k, s)
			}
			if !ok {
				return m[3]
			}
			return value
		}))
	}
	slices.Sort(env)
	return env
}

// member is a server of a cluster that a file describes.
type member struct {
	role string
	env  []string
}

// Two name servers and two brokers with the environment of the compose file, and of
// the manifests, each with the address of a machine of its own: brokers register, the
// first user commands all of them at once, and nobody else anything.
func TestAccessOfClusters(t *testing.T) {
	var composed, pods []member
	for _, s := range decode[composition](t, "deploy/compose/compose.yaml")[0].Services {
		composed = append(composed, member{s.Command[slices.Index(s.Command, "--role")+1], composeEnvironment(t, s.Environment)})
	}
	for _, name := range []string{"namesrv", "broker"} {
		for _, o := range decode[object](t, "deploy/kubernetes/"+name+".yaml") {
			for replica := range o.Spec.Replicas {
				env := podEnvironment(t, o.Spec.Template.Spec.Containers[0].Env)
				for i, v := range env {
					env[i] = strings.Replace(v, "=twostage-0", fmt.Sprint("=twostage-", replica), 1)
				}
				pods = append(pods, member{name, env})
			}
		}
	}
	for name, members := range map[string][]member{"compose": composed, "kubernetes": pods} {
		t.Run(name, func(t *testing.T) { accessOf(t, members) })
	}
}

func accessOf(t *testing.T, members []member) {
	slices.SortStableFunc(members, func(a, b member) int { return strings.Compare(b.role, a.role) }) // name servers first
	var namesrvs, brokers []string
	for i, m := range members {
		addr := fmt.Sprintf("127.0.0.%d", i+1)
		keys := []string{"listenPort=0", "httpListenPort=0", "bindAddress=" + addr}
		if m.role == "namesrv" {
			args := []string{"server", "--role", "namesrv", "--data", t.TempDir()}
			for _, kv := range keys {
				args = append(args, "--namesrv-set", kv)
			}
			namesrvs = append(namesrvs, proctest.StartIn(t, m.env, args...).Namesrv)
			continue
		}
		keys = append(keys, "brokerIP1="+addr, "mappedFileSizeCommitLog=1048576", "mappedFileSizeConsumeQueue=6000", "maxHashSlotNum=1000", "maxIndexNum=4000", "mappedFileSizeTimerLog=52000")
		brokers = append(brokers, proctest.StartIn(t, m.env, with([]string{"server", "--role", "broker", "--data", t.TempDir(), "--namesrv", strings.Join(namesrvs, ";")}, keys)...).Broker)
	}
	if len(namesrvs) != 2 || len(brokers) != 2 {
		t.Fatalf("name servers %q, brokers %q", namesrvs, brokers)
	}
	signed := []string{"TWOSTAGE_ACCESS_KEY=" + firstUser, "TWOSTAGE_SECRET_KEY=" + firstSecret}
	at := func(args ...string) []string { return append(args, "--namesrv", strings.Join(namesrvs, ";")) }
	do := func(env []string, args ...string) (string, int) {
		out, errs, code := twostage(t, env, args...)
		return out + errs, code
	}
	names := brokerNames(t, members)
	rig.Poll(t, "both brokers at both name servers", func() error {
		for _, ns := range namesrvs {
			if out, code := do(signed, "cluster", "list", "--namesrv", ns); code != 0 || !strings.Contains(out, names[0]) || !strings.Contains(out, names[1]) {
				return fmt.Errorf("%s: %s", ns, out)
			}
		}
		return nil
	})
	create, remove := at("topic", "create", "T"), at("topic", "delete", "T", "--yes")
	if out, code := do(signed, create...); code != 0 || strings.Count(out, "created") != 2 {
		t.Fatalf("topic create: exit code %d\n%s", code, out)
	}
	wrong := []string{signed[0], "TWOSTAGE_SECRET_KEY=guessed1"}
	for _, env := range [][]string{nil, wrong} {
		for _, args := range [][]string{at("topic", "create", "U"), at("topic", "list"), remove, at("acl", "user", "list")} {
			if out, code := do(env, args...); code == 0 {
				t.Errorf("%q of nobody: %s", args, out)
			}
		}
	}
	for _, addr := range brokers {
		for _, args := range [][]string{{"tx", "list"}, {"broker", "stats"}} {
			if out, code := do(nil, append(args, "--broker", addr)...); code == 0 {
				t.Errorf("%q of nobody: %s", args, out)
			}
		}
	}
	if out, code := do(signed, at("tx", "list")...); code != 0 {
		t.Errorf("tx list: exit code %d\n%s", code, out)
	}
	if out, code := do(signed, remove...); code != 0 {
		t.Errorf("topic delete: exit code %d\n%s", code, out)
	}
	for _, ns := range namesrvs {
		if out, code := do(signed, "topic", "route", "T", "--namesrv", ns); code == 0 {
			t.Errorf("%s has the route of a deleted topic:\n%s", ns, out)
		}
	}
	if out, code := do(signed, at("broker", "drain", names[0])...); code != 0 || strings.Count(out, "drained") != 2 {
		t.Errorf("broker drain: exit code %d\n%s", code, out)
	}
	// A user of an application, made on all servers by one command each.
	secret := t.TempDir() + "/secret"
	if err := os.WriteFile(secret, []byte("orders-secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		at("acl", "user", "create", "orders-app", "--normal", "--password-file", secret, "--namesrvs"),
		at("acl", "policy", "set", "orders-app", "Topic:orders", "Pub,Sub", "--namesrvs"),
		at("topic", "create", "orders"),
	} {
		if out, code := do(signed, args...); code != 0 {
			t.Fatalf("%q: exit code %d\n%s", args, code, out)
		}
	}
	app := []string{"TWOSTAGE_ACCESS_KEY=orders-app", "TWOSTAGE_SECRET_KEY=orders-secret"}
	if out, code := do(app, at("topic", "send", "orders", "one")...); code != 0 {
		t.Errorf("a send of the application: exit code %d\n%s", code, out)
	}
	if out, code := do(app, at("topic", "delete", "orders", "--yes")...); code == 0 {
		t.Errorf("the application deletes its topic: %s", out)
	}
}

// brokerNames are those of the brokers' environments.
func brokerNames(t *testing.T, members []member) (names []string) {
	t.Helper()
	for _, m := range members {
		for _, v := range m.env {
			if name, ok := strings.CutPrefix(v, "TWOSTAGE_BROKER_NAME="); ok {
				names = append(names, name)
			}
		}
	}
	if len(names) != 2 || names[0] == names[1] {
		t.Fatalf("brokers %q", names)
	}
	return names
}

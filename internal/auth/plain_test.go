// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
)

const example = `# accounts of a broker
globalWhiteRemoteAddresses:
  - 10.10.103.*
  - 192.168.0.*

accounts:
  - accessKey: RocketMQ
    secretKey: 12345678
    whiteRemoteAddress:
    admin: false
    defaultTopicPerm: DENY
    defaultGroupPerm: SUB
    topicPerms:
      - topicA=DENY
      - topicB=PUB|SUB
      - topicC=SUB
    groupPerms:
    # a list needs no indentation of its own
    - groupA=DENY
    - groupB=PUB|SUB

  - accessKey: rocketmq2
    secretKey: "12345678"  # in quotes
    whiteRemoteAddress: 192.168.1.*
    admin: true
`

func parse(t *testing.T, text string) *PlainFile {
	t.Helper()
	f, err := ParsePlain([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestPlainFileIsReadAsRocketMQReadsIt(t *testing.T) {
	f := parse(t, example)
	want := []Account{
		{
			AccessKey: "RocketMQ", SecretKey: "12345678", DefaultTopicPerm: "DENY", DefaultGroupPerm: "SUB",
			TopicPerms: []string{"topicA=DENY", "topicB=PUB|SUB", "topicC=SUB"}, GroupPerms: []string{"groupA=DENY", "groupB=PUB|SUB"},
		},
		{AccessKey: "rocketmq2", SecretKey: "12345678", WhiteRemoteAddress: "192.168.1.*", Admin: true},
	}
	if !reflect.DeepEqual(f.Accounts, want) || !reflect.DeepEqual(f.GlobalWhite, []string{"10.10.103.*", "192.168.0.*"}) {
		t.Errorf("got %q, accounts with %q", f.GlobalWhite, f.Accounts)
	}
	again := parse(t, string(f.Append(nil)))
	if !reflect.DeepEqual(again, f) {
		t.Errorf("written and read again it is\n%s", f.Append(nil))
	}
}

var here = netip.MustParseAddr("10.0.0.7")

// asks tells for each request what an account may do: "pub:T" and so on.
func may(s *Subject, what string) bool {
	verb, name, _ := strings.Cut(what, ":")
	a := Ask{Name: []byte(name), Kind: Topic}
	switch verb {
	case "pub":
		a.Actions = Pub
	case "sub":
		a.Actions = Sub
	case "get":
		a.Actions = Get
	case "create":
		a.Actions = Create
	case "group":
		a.Actions, a.Kind = Sub, Group
	case "cluster":
		a.Actions, a.Kind = Update, Cluster
	}
	return s.Decide([]Ask{a}, here) == nil
}

func TestPlainPermissions(t *testing.T) {
	p, err := parse(t, example).Compile()
	if err != nil {
		t.Fatal(err)
	}
	some, admin := p.Subjects["RocketMQ"], p.Subjects["rocketmq2"]
	for what, want := range map[string]bool{
		"pub:topicA": false, "sub:topicA": false, "get:topicA": false,
		"pub:topicB": true, "sub:topicB": true, "get:topicB": true,
		"pub:topicC": false, "sub:topicC": true,
		"pub:other": false, "sub:other": false, "get:other": true,
		"group:groupA": false, "group:groupB": true, "group:other": true,
		"create:topicB": false, "cluster:c": false,
	} {
		if may(some, what) != want {
			t.Errorf("%s: allowed is %v", what, !want)
		}
		if !may(admin, what) {
			t.Errorf("%s: refused to an admin", what)
		}
	}
	if p.White(netip.MustParseAddr("10.10.104.1")) || !p.White(netip.MustParseAddr("10.10.103.200")) {
		t.Error("the global white list does not hold")
	}
	if admin.White.Has(netip.MustParseAddr("192.168.2.1")) || !admin.White.Has(netip.MustParseAddr("::ffff:192.168.1.9")) || some.White.Has(here) {
		t.Error("an account's white list does not hold")
	}
}

// TestPlainErrorsNameTheLine: and no secret.
func TestPlainErrorsNameTheLine(t *testing.T) {
	account := "accounts:\n- accessKey: someone\n  secretKey: top-secret\n"
	for text, want := range map[string]string{
		account + "  topicPerms:\n  - a=READ":                  "line 2: topicPerms: entry 1: not a permission",
		account + "  topicPerms:\n  - a":                       "line 2: topicPerms: entry 1 is not NAME=PERMISSION",
		account + "  admin: maybe":                             "line 4: admin is true or false",
		account + "  whiteRemoteAddress: 10.0.0":               "line 2: whiteRemoteAddress",
		account + "  password: x":                              "line 4: this key of an account",
		account + "- accessKey: someone\n  secretKey: 1234567": "line 4: the accessKey of this account stands there twice",
		"accounts:\n- accessKey: abc\n  secretKey: top-secret": "line 2: accessKey and secretKey must both be longer",
		"accounts: &a\n":                                       "line 1: put a value that begins with one of",
		"accounts: {a: b}\n":                                   "line 1: maps in braces",
		"globalWhiteRemoteAddresses: [1.2.3.4, ":               "line 1: the bracket is not closed",
		"globalWhiteRemoteAddresses:\n- 1.2.3.400":             "line 2: globalWhiteRemoteAddresses: not an IP",
		"accounts:\n\t- a":                                     "line 2: a tab",
		"accounts:\naccounts:\n":                               "line 2: this key stands there twice",
		"accounts:\n  - accessKey: 'open\n":                    "line 2: the quote is not closed",
		account + "  namespacePerms:\n  - n=PUB":               "line 5: namespacePerms",
		strings.Repeat("- ", 40) + "a":                         "line 1: values nest deeper",
	} {
		_, err := ParsePlain([]byte(text))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "top-secret") {
			t.Errorf("%q: %v; want %s", text, err, want)
		}
	}
}

// misplaced are access files with mistakes at, or near, a secret.
var misplaced = []string{
	"accounts:\n- accessKey: orders-app\n  secretKey: @top-secret\n",
	"accounts:\n- accessKey: orders-app\n  secretKey  top-secret\n",
	"accounts:\n- accessKey: orders-app\n  secretKey:top-secret\n",
	"accounts:\n- accessKey: orders-app\n  secretKey: \"a\"top-secret\n",
	"accounts:\n- accessKey: orders-app\n  secretKey: 'it''s'top-secret\n",
	"accounts:\n- accessKey: orders-app\n  secretKey: &top-secret\n",
	"accounts:\n- accessKey: orders-app\n  secretKey: {}top-secret\n",
	"accounts:\n- accessKey: orders-app\n  secretKey: \"\\qtop-secret\"\n",
	"accounts:\n- accessKey: top-secret\n  secretKey: short\n",
	"accounts:\n- accessKey: orders-app\n  top-secret: secretKey\n",
	"accounts:\n- accessKey: orders-app\n  secretKey: long-enough\n  whiteRemoteAddress: top-secret\n",
	"accounts:\n- accessKey: orders-app\n  secretKey: long-enough\n  defaultTopicPerm: top-secret\n",
	"accounts:\n- accessKey: orders-app\n  secretKey: long-enough\n  topicPerms: [top-secret, a=PUB]\n",
	"accounts:\n- accessKey: orders-app\n  secretKey: long-enough\n  groupPerms: [top-secret=x]\n",
	"accounts:\n- accessKey: top-secret\n  secretKey: long-enough\n- accessKey: top-secret\n  secretKey: long-enough\n",
	"globalWhiteRemoteAddresses: [top-secret]\n",
	"top-secret: 1\n", "top-secret", "a: 1\ntop-secret: 1\ntop-secret: 2\n",
}

// TestErrorsOfFilesHoldNoSecret wherever it stands: they are logged.
func TestErrorsOfFilesHoldNoSecret(t *testing.T) {
	for _, text := range misplaced {
		if _, err := ParsePlain([]byte(text)); err == nil || strings.Contains(err.Error(), "top-secret") || !strings.HasPrefix(err.Error(), "line ") {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, text := range []string{"accessKey: a\nsecretKey: %top-secret\n", "accessKey: a\ntop-secret: b\n", "accessKey: a\nsecretKey:top-secret\n"} {
		if _, err := ParseCredentials([]byte(text)); err == nil || strings.Contains(err.Error(), "top-secret") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestPlainPutChangesWhatIsSaid(t *testing.T) {
	f := parse(t, example)
	if err := f.Put(Account{AccessKey: "RocketMQ", DefaultTopicPerm: "PUB"}); err != nil {
		t.Fatal(err)
	}
	if a := f.Accounts[0]; a.SecretKey != "12345678" || a.DefaultTopicPerm != "PUB" || a.DefaultGroupPerm != "SUB" || len(a.TopicPerms) != 3 {
		t.Errorf("it is %+v now", a.TopicPerms)
	}
	if err := f.Put(Account{AccessKey: "newcomer"}); err == nil {
		t.Error("an account without a secret was taken")
	}
	if err := f.Delete("RocketMQ"); err != nil || len(f.Accounts) != 1 {
		t.Errorf("deleted: %v, %d are left", err, len(f.Accounts))
	}
	if err := f.Delete("RocketMQ"); err == nil {
		t.Error("it was deleted twice")
	}
}

func TestSecretsAreNotPrinted(t *testing.T) {
	for _, v := range []any{
		Account{AccessKey: "someone", SecretKey: "top-secret"}, Credentials{AccessKey: "someone", SecretKey: "top-secret"},
		User{Username: "someone", Password: "top-secret"},
	} {
		if s := fmt.Sprintf("%v %+v %#v %s", v, v, v, v); strings.Contains(s, "top-secret") {
			t.Error(s)
		}
	}
}

// FuzzParsePlain reads what was written, and has no error say what stands in a file.
func FuzzParsePlain(f *testing.F) {
	for _, text := range misplaced {
		f.Add([]byte(text))
	}
	f.Add([]byte(example))
	f.Add([]byte("globalWhiteRemoteAddresses: [\"::1\", 10.0.0.{1,2}]\naccounts:\n-\n  accessKey: 'it''s me'\n  secretKey: \"a\\tb\\\"cdef\"\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := ParseCredentials(data); err != nil && strings.Contains(err.Error(), "top-secret") {
			t.Fatal(err)
		}
		file, err := ParsePlain(data)
		if err != nil {
			if strings.Contains(err.Error(), "top-secret") {
				t.Fatal(err)
			}
			return
		}
		again, err := ParsePlain(file.Append(nil))
		if err != nil || !reflect.DeepEqual(again, file) {
			t.Fatalf("written as\n%s\nit is %v", file.Append(nil), err)
		}
	})
}

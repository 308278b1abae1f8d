// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// PlainFile is an access file of RocketMQ 4 (plain_acl.yml).
type PlainFile struct {
	GlobalWhite []string // globalWhiteRemoteAddresses: from there everything is allowed
	Accounts    []Account
}

// Account is one of its accounts.
type Account struct {
	AccessKey          string
	SecretKey          string
	WhiteRemoteAddress string // from there the account needs neither signature nor permission
	Admin              bool
	DefaultTopicPerm   string // DENY, PUB, SUB, PUB|SUB; "" is DENY
	DefaultGroupPerm   string
	TopicPerms         []string // TOPIC=PERM
	GroupPerms         []string // GROUP=PERM
}

// String does not show the secret.
func (a Account) String() string { return "account " + a.AccessKey }

// GoString is String.
func (a Account) GoString() string { return a.String() }

// minKeyLength: keys must be longer in RocketMQ.
const minKeyLength = 6

// ParsePlain reads an access file. Errors name the line, and nothing that stands there
// but keys that are known: anything else could be a secret.
func ParsePlain(data []byte) (*PlainFile, error) {
	root, err := parseYAML(data)
	if err != nil {
		return nil, err
	}
	f := &PlainFile{}
	if root.null() {
		return f, nil
	}
	if root.keys == nil {
		return nil, yamlError(root.line, "an access file has the keys globalWhiteRemoteAddresses and accounts")
	}
	for i, key := range root.keys {
		v := root.values[i]
		switch key {
		case "globalWhiteRemoteAddresses":
			if f.GlobalWhite, err = texts(key, v); err != nil {
				return nil, err
			}
			for _, n := range v.values {
				if _, bad := ParseWhite(n.scalar); bad != nil {
					return nil, yamlError(n.line, "%s: %s", key, noWhite)
				}
			}
		case "accounts":
			err = f.accounts(v)
		case "dataVersion":
			// RocketMQ counts its own changes there; the file itself is watched here.
		case "namespacePerms":
			err = yamlError(v.line, "namespacePerms: namespaces have no permissions of their own here: name topics and groups with their namespace, as in NS%%TOPIC=PUB")
		default:
			err = yamlError(v.line, "this key is not known: there are globalWhiteRemoteAddresses and accounts")
		}
		if err != nil {
			return nil, err
		}
	}
	_, err = f.Compile()
	return f, err
}

func (f *PlainFile) accounts(v *node) error {
	if v.null() {
		return nil
	}
	if !v.list {
		return yamlError(v.line, "accounts is a list: each begins with a dash")
	}
	for _, n := range v.values {
		if n.keys == nil {
			return yamlError(n.line, "an account has keys: accessKey, secretKey, ...")
		}
		a, err := account(n)
		if err != nil {
			return err
		}
		for _, b := range f.Accounts {
			if a.AccessKey == b.AccessKey {
				return yamlError(n.line, "the accessKey of this account stands there twice")
			}
		}
		f.Accounts = append(f.Accounts, a)
	}
	return nil
}

func account(n *node) (a Account, err error) {
	for i, key := range n.keys {
		v := n.values[i]
		switch key {
		case "accessKey":
			a.AccessKey, err = scalar(key, v)
		case "secretKey":
			a.SecretKey, err = scalar(key, v)
		case "whiteRemoteAddress":
			a.WhiteRemoteAddress, err = scalar(key, v)
		case "admin":
			a.Admin, err = truth(v)
		case "defaultTopicPerm":
			a.DefaultTopicPerm, err = scalar(key, v)
		case "defaultGroupPerm":
			a.DefaultGroupPerm, err = scalar(key, v)
		case "topicPerms":
			a.TopicPerms, err = texts(key, v)
		case "groupPerms":
			a.GroupPerms, err = texts(key, v)
		case "namespacePerms":
			err = yamlError(v.line, "namespacePerms: namespaces have no permissions of their own here: name topics and groups with their namespace, as in NS%%TOPIC=PUB")
		default:
			err = yamlError(v.line, "this key of an account is not known: there are accessKey, secretKey, whiteRemoteAddress, admin, defaultTopicPerm, defaultGroupPerm, topicPerms and groupPerms")
		}
		if err != nil {
			return a, err
		}
	}
	if err := a.Check(); err != nil {
		return a, yamlError(n.line, "%v", err)
	}
	return a, nil
}

func scalar(key string, v *node) (string, error) {
	if v.null() {
		return "", nil
	}
	if !v.isScalar() {
		return "", yamlError(v.line, "%s is one value", key)
	}
	return v.scalar, nil
}

func truth(v *node) (bool, error) {
	switch s, err := scalar("admin", v); {
	case err != nil:
		return false, err
	case strings.EqualFold(s, "true"):
		return true, nil
	case s == "" || strings.EqualFold(s, "false"):
		return false, nil
	}
	return false, yamlError(v.line, "admin is true or false")
}

func texts(key string, v *node) ([]string, error) {
	if v.null() {
		return nil, nil
	}
	if !v.list {
		return nil, yamlError(v.line, "%s is a list: each value begins with a dash", key)
	}
	var all []string
	for _, n := range v.values {
		if !n.isScalar() {
			return nil, yamlError(n.line, "%s holds one value a line", key)
		}
		if !n.null() {
			all = append(all, n.scalar)
		}
	}
	return all, nil
}

// noWhite is said of what ParseWhite does not take.
const noWhite = "not an IP address, range or network: there are 10.1.2.3, 10.1.2.*, 10.1.2.1-20, 10.1.2.{1,2}, 10.1.2.0/24 and *"

// Check says what is wrong with an account, by the names of its fields and not by what
// stands in them: an access file may have a secret in the wrong place.
func (a *Account) Check() error {
	if len(a.AccessKey) <= minKeyLength || len(a.SecretKey) <= minKeyLength {
		return fmt.Errorf("accessKey and secretKey must both be longer than %d characters", minKeyLength)
	}
	_, err := a.subject()
	return err
}

// perm gives the actions of a permission.
func perm(text string) (Actions, error) {
	switch strings.TrimSpace(text) {
	case "", "DENY":
		return 0, nil
	case "PUB":
		return Pub, nil
	case "SUB":
		return Sub, nil
	case "PUB|SUB", "SUB|PUB":
		return Pub | Sub, nil
	}
	return 0, errors.New("not a permission: there are DENY, PUB, SUB and PUB|SUB")
}

// subject makes the policies of an account.
func (a *Account) subject() (*Subject, error) {
	s := &Subject{Name: a.AccessKey, Plain: true, Super: a.Admin, Key: NewKey(a.SecretKey)}
	var err error
	if s.White, err = ParseWhite(a.WhiteRemoteAddress); err != nil {
		return nil, errors.New("whiteRemoteAddress: " + noWhite)
	}
	add := func(r Resource, allowed, denied Actions) {
		for _, half := range []struct {
			actions Actions
			deny    bool
		}{{allowed, false}, {denied &^ allowed, true}} {
			if half.actions != 0 {
				s.custom.add(rule{resource: r, actions: half.actions, deny: half.deny, from: Addresses{all: true}})
			}
		}
	}
	for _, part := range []struct {
		key, standard string
		kind          Kind
		named         []string
	}{{"topicPerms", a.DefaultTopicPerm, Topic, a.TopicPerms}, {"groupPerms", a.DefaultGroupPerm, Group, a.GroupPerms}} {
		for i, text := range part.named {
			name, permission, ok := strings.Cut(text, "=")
			name = strings.TrimSpace(name)
			if !ok || name == "" || strings.Contains(permission, "=") {
				return nil, fmt.Errorf("%s: entry %d is not NAME=PERMISSION", part.key, i+1)
			}
			allowed, err := perm(permission)
			if err != nil {
				return nil, fmt.Errorf("%s: entry %d: %w", part.key, i+1, err)
			}
			denied := Pub | Sub
			if allowed == 0 { // named to be kept out: not even figures about it
				denied = All
			}
			add(Resource{Kind: part.kind, Name: name}, allowed, denied)
		}
		allowed, err := perm(part.standard)
		if err != nil {
			return nil, fmt.Errorf("default permission beside %s: %w", part.key, err)
		}
		add(Resource{Kind: part.kind, Prefix: true}, allowed, Pub|Sub)
	}
	s.defaults.add(rule{resource: Resource{Prefix: true}, actions: Get | List, from: Addresses{all: true}})
	return s, nil
}

// Plain is access files ready to be asked. It is immutable.
type Plain struct {
	white    []Addresses
	Subjects map[string]*Subject
}

// White says whether everything is allowed from the address.
func (p *Plain) White(ip netip.Addr) bool {
	for i := range p.white {
		if p.white[i].Has(ip) {
			return true
		}
	}
	return false
}

// Add takes the subjects and white lists of another file in. An account that is there
// already is an error.
func (p *Plain) Add(q *Plain) error {
	for name, s := range q.Subjects {
		if p.Subjects[name] != nil {
			return fmt.Errorf("account %s stands in two files", name)
		}
		p.Subjects[name] = s
	}
	p.white = append(p.white, q.white...)
	return nil
}

// Compile makes the file ready to be asked.
func (f *PlainFile) Compile() (*Plain, error) {
	p := &Plain{Subjects: map[string]*Subject{}}
	for i, text := range f.GlobalWhite {
		w, err := ParseWhite(text)
		if err != nil {
			return nil, fmt.Errorf("globalWhiteRemoteAddresses: entry %d: %s", i+1, noWhite)
		}
		p.white = append(p.white, w)
	}
	for i := range f.Accounts {
		s, err := f.Accounts[i].subject()
		if err != nil {
			return nil, fmt.Errorf("account %s: %w", f.Accounts[i].AccessKey, err)
		}
		p.Subjects[s.Name] = s
	}
	return p, nil
}

// ErrNoAccount: there is no account with that key.
var ErrNoAccount = errors.New("no account with that accessKey")

// Put adds the account or changes it: fields that are empty stay as they were.
func (f *PlainFile) Put(a Account) error {
	at := -1
	for i := range f.Accounts {
		if f.Accounts[i].AccessKey == a.AccessKey {
			at = i
		}
	}
	if at >= 0 {
		old := f.Accounts[at]
		keep := func(p *string, v string) {
			if *p == "" {
				*p = v
			}
		}
		keep(&a.SecretKey, old.SecretKey)
		keep(&a.WhiteRemoteAddress, old.WhiteRemoteAddress)
		keep(&a.DefaultTopicPerm, old.DefaultTopicPerm)
		keep(&a.DefaultGroupPerm, old.DefaultGroupPerm)
		if a.TopicPerms == nil {
			a.TopicPerms = old.TopicPerms
		}
		if a.GroupPerms == nil {
			a.GroupPerms = old.GroupPerms
		}
	}
	if err := a.Check(); err != nil {
		return err
	}
	if at >= 0 {
		f.Accounts[at] = a
	} else {
		f.Accounts = append(f.Accounts, a)
	}
	return nil
}

// Delete takes an account out.
func (f *PlainFile) Delete(accessKey string) error {
	for i := range f.Accounts {
		if f.Accounts[i].AccessKey == accessKey {
			f.Accounts = append(f.Accounts[:i:i], f.Accounts[i+1:]...)
			return nil
		}
	}
	return fmt.Errorf("%w: %s", ErrNoAccount, accessKey)
}

// Append writes the file, which Java and ParsePlain read. Comments are not kept.
func (f *PlainFile) Append(dst []byte) []byte {
	list := func(indent, key string, values []string) {
		if len(values) == 0 {
			return
		}
		dst = append(append(dst, indent...), key+":\n"...)
		for _, v := range values {
			dst = append(append(dst, indent...), "  - "...)
			dst = append(appendScalar(dst, v), '\n')
		}
	}
	list("", "globalWhiteRemoteAddresses", f.GlobalWhite)
	if len(f.Accounts) > 0 {
		dst = append(dst, "accounts:\n"...)
	}
	for i := range f.Accounts {
		a := &f.Accounts[i]
		line := func(indent, key, value string) {
			if value != "" {
				dst = append(append(dst, indent...), key+": "...)
				dst = append(appendScalar(dst, value), '\n')
			}
		}
		line("  - ", "accessKey", a.AccessKey)
		line("    ", "secretKey", a.SecretKey)
		line("    ", "whiteRemoteAddress", a.WhiteRemoteAddress)
		dst = fmt.Appendf(dst, "    admin: %t\n", a.Admin)
		line("    ", "defaultTopicPerm", a.DefaultTopicPerm)
		line("    ", "defaultGroupPerm", a.DefaultGroupPerm)
		list("    ", "topicPerms", a.TopicPerms)
		list("    ", "groupPerms", a.GroupPerms)
	}
	return dst
}

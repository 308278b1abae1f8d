// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"errors"
	"fmt"
	"strings"
)

// Actions is a set of what can be done.
type Actions uint16

// The actions. All in a policy stands for all of them.
const (
	Pub Actions = 1 << iota
	Sub
	Create
	Update
	Delete
	Get
	List
	All = Pub | Sub | Create | Update | Delete | Get | List
)

var actionNames = []struct {
	name string
	bits Actions
}{{"All", All}, {"Pub", Pub}, {"Sub", Sub}, {"Create", Create}, {"Update", Update}, {"Delete", Delete}, {"Get", Get}, {"List", List}}

// ParseActions reads names of actions, in any case.
func ParseActions(names []string) (Actions, error) {
	var a Actions
next:
	for _, name := range names {
		for _, k := range actionNames {
			if strings.EqualFold(k.name, strings.TrimSpace(name)) {
				a |= k.bits
				continue next
			}
		}
		return 0, fmt.Errorf("action %q: there are All, Pub, Sub, Create, Update, Delete, Get, List", name)
	}
	if a == 0 {
		return 0, errors.New("no action: there are All, Pub, Sub, Create, Update, Delete, Get, List")
	}
	return a, nil
}

// Names gives the names of the actions, All alone for all of them.
func (a Actions) Names() []string {
	if a == All {
		return []string{"All"}
	}
	var names []string
	for _, k := range actionNames[1:] {
		if a&k.bits != 0 {
			names = append(names, k.name)
		}
	}
	return names
}

// Kind is the type of a resource.
type Kind uint8

// The types. AnyKind is for policies only.
const (
	AnyKind Kind = iota
	Cluster
	Namespace
	Topic
	Group
)

var kindNames = [...]string{AnyKind: "Any", Cluster: "Cluster", Namespace: "Namespace", Topic: "Topic", Group: "Group"}

func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "Unknown"
}

// Resource is what a policy is about: all (AnyKind), all of a type (name "*"), those
// whose name begins so (Prefix), or one.
type Resource struct {
	Kind   Kind
	Name   string // "" for AnyKind
	Prefix bool   // Name is a prefix; "" is all of the type
}

// ParseResource reads "*", "Topic:*", "Topic:order-*" and "Topic:orders".
func ParseResource(text string) (Resource, error) {
	text = strings.TrimSpace(text)
	if text == "*" {
		return Resource{Prefix: true}, nil
	}
	kind, name, ok := strings.Cut(text, ":")
	if !ok {
		return Resource{}, fmt.Errorf("resource %q: write * or TYPE:NAME, with a type of Cluster, Namespace, Topic, Group", text)
	}
	for k := Cluster; k <= Group; k++ {
		if !strings.EqualFold(kindNames[k], kind) {
			continue
		}
		r := Resource{Kind: k, Name: name}
		if i := strings.IndexByte(name, '*'); i >= 0 {
			if i != len(name)-1 {
				return Resource{}, fmt.Errorf("resource %q: a * stands at the end of a name only", text)
			}
			r.Name, r.Prefix = name[:i], true
		}
		if name == "" {
			return Resource{}, fmt.Errorf("resource %q has no name: %s:* is all of them", text, kindNames[k])
		}
		return r, nil
	}
	return Resource{}, fmt.Errorf("resource %q: type %q is none of Cluster, Namespace, Topic, Group", text, kind)
}

// String is as ParseResource reads it.
func (r Resource) String() string {
	switch {
	case r.Kind == AnyKind:
		return "*"
	case r.Prefix:
		return r.Kind.String() + ":" + r.Name + "*"
	}
	return r.Kind.String() + ":" + r.Name
}

// User is a user of RocketMQ 5.3, in the JSON of its requests (UserInfo).
type User struct {
	Username   string `json:"username"`
	Password   string `json:"password,omitempty"`
	UserType   string `json:"userType,omitempty"`   // Super or Normal
	UserStatus string `json:"userStatus,omitempty"` // enable or disable
}

// String does not show the password.
func (u User) String() string { return "User:" + u.Username }

// GoString is String.
func (u User) GoString() string { return u.String() }

// The values of UserType, UserStatus, PolicyType and Decision, which are read in any
// case and written so.
const (
	Super    = "Super"
	Normal   = "Normal"
	Enabled  = "enable"
	Disabled = "disable"
	Custom   = "Custom"
	Default  = "Default"
	Allow    = "Allow"
	Deny     = "Deny"
)

// canonical is the one of two words that text is, def when it is empty.
func canonical(what, text, a, b, def string) (string, error) {
	switch {
	case text == "":
		return def, nil
	case strings.EqualFold(text, a):
		return a, nil
	case strings.EqualFold(text, b):
		return b, nil
	}
	return "", fmt.Errorf("%s %q is neither %s nor %s", what, text, a, b)
}

// maxName bounds names of users, in bytes.
const maxName = 255

// Check makes type and status canonical, with Normal and enable where none is said,
// and says what is wrong with the user.
func (u *User) Check() (err error) {
	switch {
	case strings.TrimSpace(u.Username) == "":
		return errors.New("username can not be blank")
	case len(u.Username) > maxName:
		return fmt.Errorf("the username has %d bytes, at most %d are taken", len(u.Username), maxName)
	case u.Password == "":
		return errors.New("password can not be blank")
	}
	if u.UserType, err = canonical("userType", u.UserType, Super, Normal, Normal); err != nil {
		return err
	}
	u.UserStatus, err = canonical("userStatus", u.UserStatus, Enabled, Disabled, Enabled)
	return err
}

// ACL is the policies of a subject, in the JSON of RocketMQ 5.3 (AclInfo).
type ACL struct {
	Subject  string   `json:"subject"` // User:NAME
	Policies []Policy `json:"policies,omitempty"`
}

// Policy is entries of one type.
type Policy struct {
	PolicyType string  `json:"policyType,omitempty"` // Custom or Default
	Entries    []Entry `json:"entries,omitempty"`
}

// Entry allows or denies actions on a resource to some addresses.
type Entry struct {
	Resource  string   `json:"resource"`
	Actions   []string `json:"actions"`
	SourceIPs []string `json:"sourceIps,omitempty"`
	Decision  string   `json:"decision"`
}

const subjectUser = "User:"

// SubjectUser is the name of the user that a subject is.
func SubjectUser(subject string) (string, error) {
	if len(subject) > len(subjectUser) && strings.EqualFold(subject[:len(subjectUser)], subjectUser) {
		return subject[len(subjectUser):], nil
	}
	return "", fmt.Errorf("subject %q: write User:NAME", subject)
}

// Check makes the words canonical and says what is wrong.
func (a *ACL) Check() error {
	name, err := SubjectUser(a.Subject)
	if err != nil {
		return err
	}
	a.Subject = subjectUser + name
	if len(a.Policies) == 0 {
		return errors.New("the policies are empty")
	}
	for i := range a.Policies {
		p := &a.Policies[i]
		if p.PolicyType, err = canonical("policyType", p.PolicyType, Custom, Default, Custom); err != nil {
			return err
		}
		if len(p.Entries) == 0 {
			return errors.New("the policy entries are empty")
		}
		for j := range p.Entries {
			if err := p.Entries[j].check(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (e *Entry) check() error {
	c, err := e.compile()
	if err != nil {
		return err
	}
	e.Resource, e.Actions, e.Decision = c.resource.String(), c.actions.Names(), Allow
	if c.deny {
		e.Decision = Deny
	}
	return nil
}

// Merge puts the entries of b, which Check has passed, into a: one for the same type
// and resource takes the place of the old one.
func (a *ACL) Merge(b ACL) {
	for _, p := range b.Policies {
		at := a.policy(p.PolicyType)
		for _, e := range p.Entries {
			if i := at.index(e.Resource); i >= 0 {
				at.Entries[i] = e
			} else {
				at.Entries = append(at.Entries, e)
			}
		}
	}
}

// policy finds the policy of a type, which it adds if need be.
func (a *ACL) policy(kind string) *Policy {
	for i := range a.Policies {
		if a.Policies[i].PolicyType == kind {
			return &a.Policies[i]
		}
	}
	a.Policies = append(a.Policies, Policy{PolicyType: kind})
	return &a.Policies[len(a.Policies)-1]
}

func (p *Policy) index(resource string) int {
	for i := range p.Entries {
		if p.Entries[i].Resource == resource {
			return i
		}
	}
	return -1
}

// Remove takes the entry for a resource out, and a policy that is empty then.
func (a *ACL) Remove(kind, resource string) {
	var left []Policy
	for _, p := range a.Policies {
		if p.PolicyType == kind {
			if i := p.index(resource); i >= 0 {
				p.Entries = append(p.Entries[:i:i], p.Entries[i+1:]...)
			}
		}
		if len(p.Entries) > 0 {
			left = append(left, p)
		}
	}
	a.Policies = left
}

// Clone is a copy that shares nothing that Merge and Remove change.
func (a ACL) Clone() ACL {
	c := ACL{Subject: a.Subject}
	for _, p := range a.Policies {
		c.Policies = append(c.Policies, Policy{PolicyType: p.PolicyType, Entries: append([]Entry(nil), p.Entries...)})
	}
	return c
}

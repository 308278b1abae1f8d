// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Access is who may do what. Its secrets are in no listing of the configuration.
type Access struct {
	Plain          bool   // aclEnable: accounts of plain_acl.yml, as RocketMQ 4 has them
	PlainFile      string // aclFile; files *.yml in the directory acl beside it are read too
	Authentication bool   // authenticationEnabled: users, as RocketMQ 5.3 has them
	Authorization  bool   // authorizationEnabled: and policies
	Dir            string // where users and policies are kept

	AuthenticationWhitelist []int32 // authenticationWhitelist: request codes that need no signature
	AuthorizationWhitelist  []int32 // authorizationWhitelist: request codes that need no permission

	InitUser      Secret // initAuthenticationUser: a super user that is made while there is no user
	Inner         Secret // innerClientAuthenticationCredentials: what the server's own requests are signed with
	InsecureAdmin bool   // insecureAdmin: without access control, protected requests are taken from everywhere
}

// Enabled says whether requests must be signed.
func (a *Access) Enabled() bool { return a.Plain || a.Authentication }

// Secret is a name with a secret. It prints as the name.
type Secret struct {
	Name  string
	value string
}

// NewSecret makes one.
func NewSecret(name, value string) Secret { return Secret{name, value} }

// Reveal is the secret itself.
func (s Secret) Reveal() string { return s.value }

// String is the name.
func (s Secret) String() string { return s.Name }

// GoString is the name.
func (s Secret) GoString() string { return s.Name }

// Format is the name, whatever the verb: fmt shows fields that are not exported, too.
func (s Secret) Format(f fmt.State, _ rune) { io.WriteString(f, s.Name) }

func (s *settings) access(dir string) Access {
	a := Access{
		Plain: s.flag("aclEnable"), PlainFile: s.text(keyACLFile), Authentication: s.flag("authenticationEnabled"),
		Authorization: s.flag("authorizationEnabled"), Dir: dir, InsecureAdmin: s.flag("insecureAdmin"),
		AuthenticationWhitelist: s.codes("authenticationWhitelist"), AuthorizationWhitelist: s.codes("authorizationWhitelist"),
		InitUser: s.secret("initAuthenticationUser", "username", "password"),
		Inner:    s.secret("innerClientAuthenticationCredentials", "accessKey", "secretKey"),
	}
	if a.Authorization && !a.Authentication {
		s.reject("authorizationEnabled", "permissions mean nothing while nobody proves who they are: set authenticationEnabled=true as well")
	}
	return a
}

// codes reads request codes with commas between them.
func (s *settings) codes(name string) []int32 {
	var codes []int32
	for _, part := range strings.Split(s.text(name), ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		n, err := strconv.ParseInt(part, 10, 32)
		if err != nil {
			s.reject(name, "accepted are request codes, as in 105,106")
			return nil
		}
		codes = append(codes, int32(n))
	}
	return codes
}

// secret reads {"nameKey":"...","valueKey":"..."}. No error shows the text.
func (s *settings) secret(key, nameKey, valueKey string) Secret {
	text := s.text(key)
	if text == "" {
		return Secret{}
	}
	var fields map[string]any
	if json.Unmarshal([]byte(text), &fields) == nil {
		name, _ := fields[nameKey].(string)
		value, _ := fields[valueKey].(string)
		if name != "" && value != "" {
			return Secret{name, value}
		}
	}
	s.reject(key, `accepted is {"`+nameKey+`":"NAME","`+valueKey+`":"SECRET"}`)
	return Secret{}
}

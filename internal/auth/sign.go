// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"hash"
	"slices"
	"sync"
)

// The names of the extension fields of a signed request.
const (
	FieldAccessKey     = "AccessKey"
	FieldSignature     = "Signature"
	FieldSecurityToken = "SecurityToken"
	// FieldUniqueKeyQuery is in the signature of clients newer than V4_9_3 only.
	FieldUniqueKeyQuery = "_UNIQUE_KEY_QUERY"
)

// Field is an extension field as it was sent.
type Field struct{ Name, Value []byte }

// Key is a secret that signs and verifies. Safe for concurrent use.
type Key struct{ macs sync.Pool }

// signatureSize is that of an HMAC-SHA1 in base64.
const signatureSize = 28

type mac struct {
	h   hash.Hash
	sum []byte
}

// NewKey makes a key of a secret, whose HMAC state is worked out once.
func NewKey(secret string) *Key {
	key := []byte(secret)
	return &Key{macs: sync.Pool{New: func() any { return &mac{h: hmac.New(sha1.New, key), sum: make([]byte, 0, sha1.Size)} }}}
}

// Sign gives the signature of a request: base64 of the HMAC-SHA1 over the values of
// all fields but Signature, in the order of their names, and the body
// (AclClientRPCHook and AclUtils of RocketMQ). It sorts fields in place.
func (k *Key) Sign(fields []Field, body []byte) string {
	sig := k.sign(fields, body)
	return string(sig[:])
}

// Verify says whether signature is that of the request, in constant time. It sorts
// fields in place.
func (k *Key) Verify(fields []Field, body, signature []byte) bool {
	want := k.sign(fields, body)
	return subtle.ConstantTimeCompare(want[:], signature) == 1
}

// Same says whether the key is that of the secret, in constant time.
func (k *Key) Same(secret string) bool {
	return k.Verify(nil, nil, []byte(NewKey(secret).Sign(nil, nil)))
}

func (k *Key) sign(fields []Field, body []byte) (sig [signatureSize]byte) {
	slices.SortFunc(fields, func(a, b Field) int { return bytes.Compare(a.Name, b.Name) })
	m := k.macs.Get().(*mac)
	m.h.Reset()
	for i := range fields {
		if string(fields[i].Name) != FieldSignature {
			m.h.Write(fields[i].Value)
		}
	}
	m.h.Write(body)
	m.sum = m.h.Sum(m.sum[:0])
	base64.StdEncoding.Encode(sig[:], m.sum)
	k.macs.Put(m)
	return sig
}

// Credentials are what a client signs with. The zero value signs nothing.
type Credentials struct {
	AccessKey     string
	SecretKey     string
	SecurityToken string // optional
}

// ParseCredentials reads accessKey, secretKey and securityToken, one a line, as in
// RocketMQ's tools.yml. Errors name the line, and nothing that stands there.
func ParseCredentials(data []byte) (Credentials, error) {
	var c Credentials
	root, err := parseYAML(data)
	if err != nil {
		return c, err
	}
	for i, key := range root.keys {
		into, ok := map[string]*string{"accessKey": &c.AccessKey, "secretKey": &c.SecretKey, "securityToken": &c.SecurityToken}[key]
		if !ok {
			return c, yamlError(root.values[i].line, "this key is not known: there are accessKey, secretKey and securityToken")
		}
		if *into, err = scalar(key, root.values[i]); err != nil {
			return c, err
		}
	}
	if c.AccessKey == "" || c.SecretKey == "" {
		return c, errors.New("there must be both accessKey and secretKey")
	}
	return c, nil
}

// String does not show the secret.
func (c Credentials) String() string { return "credentials of " + c.AccessKey }

// GoString is String, so that %#v shows no secret either.
func (c Credentials) GoString() string { return c.String() }

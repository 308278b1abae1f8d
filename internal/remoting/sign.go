// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package remoting

import (
	"github.com/twostage/twostage/internal/auth"
	"github.com/twostage/twostage/internal/wire"
)

// Signer gives what ClientConfig.Sign takes, nil for credentials without an
// access key: requests then go out as they are.
func Signer(c auth.Credentials) func(*wire.Request) wire.Fields {
	if c.AccessKey == "" {
		return nil
	}
	key := auth.NewKey(c.SecretKey)
	return func(r *wire.Request) wire.Fields {
		fields := append(wire.HeaderFields(r.Header), r.Fields...)
		extra := append(wire.Fields(nil), r.Fields...)
		add := func(name, value string) {
			f := wire.Field{Key: []byte(name), Value: []byte(value)}
			fields, extra = append(fields, f), append(extra, f)
		}
		add(auth.FieldAccessKey, c.AccessKey)
		if c.SecurityToken != "" {
			add(auth.FieldSecurityToken, c.SecurityToken)
		}
		signed := make([]auth.Field, len(fields))
		for i, f := range fields {
			signed[i] = auth.Field{Name: f.Key, Value: f.Value}
		}
		add(auth.FieldSignature, key.Sign(signed, r.Body))
		return extra
	}
}

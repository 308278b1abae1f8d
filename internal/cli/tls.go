// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"crypto/tls"

	"github.com/spf13/cobra"

	"github.com/twostage/twostage/internal/secure"
)

// tlsFlags say whether a command speaks TLS to name servers and brokers.
type tlsFlags struct {
	on, skipVerify bool
	files          secure.Files
	name           string
}

func (f *tlsFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.BoolVar(&f.on, "tls", false, "speak TLS to name servers and brokers, and verify them")
	fl.StringVar(&f.files.Trust, "tls-ca", "", "PEM `file` of the certificates that theirs must come from, instead of the system's roots")
	fl.StringVar(&f.files.Cert, "tls-cert", "", "PEM `file` of the certificate to show, with --tls-key")
	fl.StringVar(&f.files.Key, "tls-key", "", "PEM `file` of its private key, not encrypted")
	fl.StringVar(&f.name, "tls-server-name", "", "`name` that their certificates must be for, instead of the host that is connected to")
	fl.BoolVar(&f.skipVerify, "tls-skip-verify", false, "do not verify them: anybody may answer in their place")
}

// client gives the configuration for each address, nil for plaintext.
func (f *tlsFlags) client() (func(addr string) (*tls.Config, error), error) {
	if !f.on {
		if f.skipVerify || f.name != "" || f.files != (secure.Files{}) {
			return nil, usagef("--tls-... without --tls: add --tls")
		}
		return nil, nil
	}
	if f.skipVerify && (f.files.Trust != "" || f.name != "") {
		return nil, usagef("--tls-skip-verify and --tls-ca or --tls-server-name exclude each other")
	}
	if (f.files.Cert == "") != (f.files.Key == "") {
		return nil, usagef("--tls-cert and --tls-key go together")
	}
	c, err := secure.NewClient(secure.ClientOptions{Files: f.files, ServerName: f.name, SkipVerify: f.skipVerify})
	if err != nil {
		return nil, err
	}
	return c.Config, nil
}

// config is client for package client, which fills in the host itself.
func (f *tlsFlags) config() (*tls.Config, error) {
	of, err := f.client()
	if of == nil || err != nil {
		return nil, err
	}
	c, err := of("host:0")
	if err != nil {
		return nil, err
	}
	c.ServerName = f.name
	return c, nil
}

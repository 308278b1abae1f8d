// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/twostage/twostage/internal/auth"
)

// credentialFlags are what a command signs its requests with.
type credentialFlags struct{ accessKey, secretKey, file string }

// add adds the flags. Their defaults are not those of the environment, which help
// would show.
func (f *credentialFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.file, "credentials", "", "`file` with accessKey: and secretKey:, as mqadmin's tools.yml")
	fl.StringVar(&f.accessKey, "access-key", "", "access `key` to sign with; "+variableAccess+" when not given")
	fl.StringVar(&f.secretKey, "secret-key", "", "`secret` to sign with, which others on this machine can see: rather a file, or "+variableSecret)
}

// credentials are those of the flags, the file, or the environment, in this order.
func (f *credentialFlags) credentials(p Process) (auth.Credentials, error) {
	if f.file != "" {
		if f.accessKey != "" || f.secretKey != "" {
			return auth.Credentials{}, usagef("--credentials and --access-key or --secret-key say the same thing twice")
		}
		data, err := os.ReadFile(f.file)
		if err != nil {
			return auth.Credentials{}, fmt.Errorf("--credentials: %w", err)
		}
		c, err := auth.ParseCredentials(data)
		if err != nil {
			return c, fmt.Errorf("--credentials %s: %w", f.file, err)
		}
		return c, nil
	}
	c := auth.Credentials{AccessKey: f.accessKey, SecretKey: f.secretKey}
	if c == (auth.Credentials{}) {
		c = auth.Credentials{AccessKey: p.variable(variableAccess, ""), SecretKey: p.variable(variableSecret, "")}
	}
	if (c.AccessKey == "") != (c.SecretKey == "") {
		return c, usagef("an access key and a secret key go together, and come from one place: --access-key and --secret-key, or %s and %s", variableAccess, variableSecret)
	}
	return c, nil
}

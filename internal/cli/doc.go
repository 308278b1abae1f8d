// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package cli is the command line of Twostage: commands by noun over packages
// node, admin, client, bench and fsck. It parses, calls and prints, and decides
// nothing else.
//
// Results go to standard output, one line each where scripts may read them;
// progress, logs and errors go to standard error. An error says what to do about
// it where that is known. Exit codes: 0 done, 1 failed, 2 the command line is
// wrong, 130 interrupted.
//
// Variables of its own: TWOSTAGE_DATA is the default of --data, TWOSTAGE_NAMESRV
// that of --namesrv for all commands but the server. All other TWOSTAGE_
// variables are keys of the server's configuration, see package config.
package cli

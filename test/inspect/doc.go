// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package inspect looks into transactions of the real binary as an operator
// does: with the commands `twostage tx` as processes, on a terminal too, and with
// the HTTP API. A producer that speaks the protocol itself leaves transactions in
// every state behind; the broker is killed and started again in between, and
// tells the same stories as before.
//
// It also holds who is refused: peers that are not on the loopback (when the
// machine has another address), other names for this machine, pages of other
// sites; and that the metrics say what happened.
package inspect

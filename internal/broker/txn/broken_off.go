// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !brokentxn

package txn

// No rule is broken on purpose: see broken_on.go.
func broken(string) bool                                 { return false }
func (s *Service) brokenAgain(*stored, *fate, *End) bool { return false }
func (s *Service) brokenSettled(*ending)                 {}
func (s *Service) brokenGather(*ending) bool             { return false }
func (s *Service) brokenStart()                          {}

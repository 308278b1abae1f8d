// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package deploy tests what docs/deployment.md and the files of deploy/ say.
//
// The command lines of units, images and manifests are given to the real binary,
// with their environment, and the clusters that they describe are started as
// processes; the files are read and their parts compared with each
// other (selectors, ports, volumes, probes). The command sequences of the page
// are run on copies of directories: that of a RocketMQ broker is taken over and
// given back, a directory is saved, lost and restored, and one that an earlier
// version has written is opened by this one (testdata/upgrade).
//
// No container is built or started and no cluster is needed: systemd-analyze and
// kubectl are used where they are there, and a test says DID NOT RUN where not.
package deploy

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package segment names and lists the files of a sequence that is one long
// array of bytes cut into files of equal size: the commit log and each consume
// queue.
//
// A file is named by the offset of its first byte in the whole sequence,
// decimal, padded with zeros to 20 digits (PROTOCOL: 00000000001073741824 is
// the second file of a log of 1 GiB files):
//
//	offset    0           size         2*size       3*size
//	          |------------|------------|------------|
//	file      ...000000000 ...0<size>   ...<2*size>
//
// The first file need not start at 0 (retention deletes from the front). A
// listing refuses files whose start is no multiple of the file size, because
// that means the directory was written with another size and every position in
// it would be read wrongly. It also refuses gaps. Names that are not 20 digits
// are left out of the listing (backup copies, editors' files) and returned
// apart so that a caller can mention them.
//
// The package does no I/O besides reading one directory, and owns nothing on
// disk.
package segment

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"bytes"
	"math/rand/v2"
)

const (
	sector = 512
	// opSize is the length of one step of a program, in bytes:
	//
	//	byte  bytes
	//	   0      1  what: see the kinds below
	//	   1      1  file
	//	   2      3  where in it
	//	   5      2  how much, or the mask of a flip
	//	   7      1  other file
	//	   8      3  where in that
	//
	// Numbers are big endian, and taken modulo what there is.
	opSize = 11
	// maxOps is how many steps of a program are taken; further ones are ignored.
	maxOps = 12
)

// The kinds of a step, modulo kinds.
const (
	flipBits     = iota // of one byte
	zeroSectors         // whole sectors, as a power cut leaves them
	truncate            // the file ends there
	swapSectors         // two runs of sectors change places, as a stray write leaves them
	copyRange           // bytes of one place stand at another too, at any offset
	garbage             // random bytes from there on
	garbageTail         // random bytes up to the end of the file
	literalBytes        // the rest of the step as it is, at the place that its head says
	kinds
)

// Mutate returns the files with changes as the program says, which may be any
// bytes. Files never grow. The input stays as it is.
func Mutate(files [][]byte, program []byte) [][]byte {
	out := make([][]byte, len(files))
	for i := range files {
		out[i] = bytes.Clone(files[i])
	}
	for ops := 0; len(program) >= opSize && ops < maxOps && len(out) > 0; ops++ {
		op := program[:opSize]
		program = program[opSize:]
		a, at := place(out, op[1:5])
		b, from := place(out, op[7:11])
		f, g, n := out[a], out[b], int(op[5])<<8|int(op[6])
		if len(f) == 0 || len(g) == 0 {
			continue
		}
		switch op[0] % kinds {
		case flipBits:
			f[at] ^= max(byte(n), 1)
		case zeroSectors:
			at -= at % sector
			clear(f[at:min(len(f), at+(n%8+1)*sector)])
		case truncate:
			out[a] = f[:at]
		case swapSectors:
			swap(f, g, at-at%sector, from-from%sector, (n%8+1)*sector)
		case copyRange:
			copy(f[at:], bytes.Clone(g[from:min(len(g), from+n%4096)]))
		case garbage:
			fill(f[at:min(len(f), at+n%2048)], op)
		case garbageTail:
			fill(f[at:], op)
		case literalBytes:
			copy(f[at:], op[5:])
		}
	}
	return out
}

// place is a file and an offset in it, out of four bytes of a program.
func place(files [][]byte, b []byte) (file, at int) {
	file = int(b[0]) % len(files)
	return file, (int(b[1])<<16 | int(b[2])<<8 | int(b[3])) % max(len(files[file]), 1)
}

func swap(f, g []byte, at, from, n int) {
	n = min(n, len(f)-at, len(g)-from)
	was := bytes.Clone(f[at : at+n])
	copy(f[at:], bytes.Clone(g[from:from+n]))
	copy(g[from:], was)
}

// fill makes p random, as the step says.
func fill(p, op []byte) {
	rng := rand.New(rand.NewPCG(uint64(op[7])<<8|uint64(op[8]), uint64(op[9])<<8|uint64(op[10])))
	for i := range p {
		p[i] = byte(rng.Uint32())
	}
}

// Program is a random program of n steps.
func Program(rng *rand.Rand, n int) []byte {
	p := make([]byte, n*opSize)
	for i := range p {
		p[i] = byte(rng.Uint32())
	}
	return p
}

// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package message

import "strconv"

// SysFlag is the system flag of a message. The bits that have a meaning:
//
//	bit  10 9 8       7      6      5       4      3 2          1      0
//	    +------------+------+------+-------+------+------------+------+------+
//	    |compression |inner |need  |store  |born  |transaction |multi |com-  |
//	    |type        |batch |unwrap|host v6|host v6|state      |tags  |pressed|
//	    +------------+------+------+-------+------+------------+------+------+
//
// Source: MessageSysFlag of Apache RocketMQ.
type SysFlag int32

const (
	FlagCompressed  SysFlag = 1 << 0
	FlagMultiTags   SysFlag = 1 << 1
	FlagBornHostV6  SysFlag = 1 << 4
	FlagStoreHostV6 SysFlag = 1 << 5
	FlagNeedUnwrap  SysFlag = 1 << 6
	FlagInnerBatch  SysFlag = 1 << 7

	TransactionNone     SysFlag = 0
	TransactionPrepared SysFlag = 1 << 2
	TransactionCommit   SysFlag = 2 << 2
	TransactionRollback SysFlag = 3 << 2
	TransactionMask     SysFlag = 3 << 2

	compressionShift         = 8
	compressionMask  SysFlag = 7 << compressionShift
)

// Has tells whether all bits of flag are set.
func (f SysFlag) Has(flag SysFlag) bool { return f&flag == flag }

// Transaction returns the transaction bits: one of the Transaction constants.
func (f SysFlag) Transaction() SysFlag { return f & TransactionMask }

// WithTransaction returns f with its transaction bits replaced by t's.
func (f SysFlag) WithTransaction(t SysFlag) SysFlag {
	return f&^TransactionMask | t&TransactionMask
}

// Compression returns the type of compression. It says something about the body
// only if FlagCompressed is set.
func (f SysFlag) Compression() CompressionType {
	return CompressionType(f & compressionMask >> compressionShift)
}

// WithCompression returns f with FlagCompressed and the type set.
func (f SysFlag) WithCompression(t CompressionType) SysFlag {
	return f&^compressionMask | SysFlag(t)<<compressionShift&compressionMask | FlagCompressed
}

// WithoutCompression returns f with FlagCompressed and the type cleared, as for
// a body that has been inflated.
func (f SysFlag) WithoutCompression() SysFlag { return f &^ (compressionMask | FlagCompressed) }

// CompressionType is the three bit number of a compression in a SysFlag.
type CompressionType uint8

const (
	// CompressionOldZlib is what clients that know only zlib leave there.
	CompressionOldZlib CompressionType = 0
	CompressionLZ4     CompressionType = 1
	CompressionZstd    CompressionType = 2
	CompressionZlib    CompressionType = 3
)

func (t CompressionType) String() string {
	switch t {
	case CompressionOldZlib, CompressionZlib:
		return "zlib"
	case CompressionLZ4:
		return "lz4"
	case CompressionZstd:
		return "zstd"
	}
	return "compression(" + strconv.Itoa(int(t)) + ")"
}

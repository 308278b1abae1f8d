// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"encoding/binary"
	"strconv"
)

// head is what stands in a header besides the fields.
type head struct {
	code, version, opaque, flag int32
	language                    Language
	enc                         Encoding
	hasExt                      bool
}

// AppendRequest writes the whole frame of a request, its body included. It
// allocates nothing where dst has room and the header is not copied to the heap
// by its caller.
//
// It does not look at sizes: a peer refuses a frame above [MaxFrame], and who
// sends it must refuse it first.
func AppendRequest(dst []byte, r *Request) []byte {
	h := head{
		code: r.Code, opaque: r.Opaque, enc: r.Encoding,
		language: r.Language, version: r.Version,
		hasExt: r.Header != nil || r.Fields != nil,
	}
	if r.OneWay {
		h.flag = FlagOneWay
	}
	if r.Version == 0 {
		h.language, h.version = LanguageGo, Version
	}
	dst = appendHead(dst, &h, "", r.Header, r.Fields, len(r.Body))
	return append(dst, r.Body...)
}

// AppendResponseHead writes the frame of an answer up to its body, for a body of
// bodyLen bytes that the caller sends after it. r.Body is not looked at.
func AppendResponseHead(dst []byte, enc Encoding, opaque int32, r *Response, bodyLen int) []byte {
	h := head{
		code: r.Code, opaque: opaque, enc: enc, flag: FlagResponse,
		language: LanguageGo, version: Version,
		hasExt: r.Header != nil,
	}
	return appendHead(dst, &h, r.Remark, r.Header, nil, bodyLen)
}

// AppendResponse writes the whole frame of an answer, with r.Body.
func AppendResponse(dst []byte, enc Encoding, opaque int32, r *Response) []byte {
	dst = AppendResponseHead(dst, enc, opaque, r, len(r.Body))
	return append(dst, r.Body...)
}

// AppendCommand writes the whole frame of a command as it stands, in its own
// encoding: to relay it, or to write it to a recording.
func AppendCommand(dst []byte, c *Command) []byte {
	h := head{
		code: c.Code, version: c.Version, opaque: c.Opaque, flag: c.Flag,
		language: c.Language, enc: c.Encoding, hasExt: c.HasExt,
	}
	dst = appendHead(dst, &h, c.Remark, nil, c.Ext, len(c.Body))
	return append(dst, c.Body...)
}

// appendHead writes the length, the header mark and the header.
func appendHead[T string | []byte](dst []byte, h *head, remark T, ext Header, further Fields, bodyLen int) []byte {
	at := len(dst)
	dst = append(dst, 0, 0, 0, 0, 0, 0, 0, 0)
	if h.enc == Binary {
		dst = appendBinaryHeader(dst, h, remark, ext, further)
	} else {
		dst = appendJSONHeader(dst, h, remark, ext, further)
	}
	n := len(dst) - at - 8
	binary.BigEndian.PutUint32(dst[at:], uint32(4+n+bodyLen))
	binary.BigEndian.PutUint32(dst[at+4:], uint32(h.enc)<<24|uint32(n))
	return dst
}

// appendJSONHeader writes the header as Java's fastjson does: names in
// alphabetical order, remark left out when empty.
func appendJSONHeader[T string | []byte](dst []byte, h *head, remark T, ext Header, further Fields) []byte {
	dst = append(dst, `{"code":`...)
	dst = strconv.AppendInt(dst, int64(h.code), 10)
	if h.hasExt {
		dst = append(dst, `,"extFields":{`...)
		dst = appendExt(dst, JSON, ext, further)
		dst = append(dst, '}')
	}
	if h.flag == FlagResponse && h.language == LanguageGo { // our answers
		dst = append(dst, `,"flag":1,"language":"GO","opaque":`...)
	} else {
		dst = append(dst, `,"flag":`...)
		dst = strconv.AppendInt(dst, int64(h.flag), 10)
		dst = append(dst, `,"language":"`...)
		dst = append(dst, h.language.String()...)
		dst = append(dst, `","opaque":`...)
	}
	dst = strconv.AppendInt(dst, int64(h.opaque), 10)
	if len(remark) > 0 {
		dst = append(dst, `,"remark":"`...)
		dst = append(appendEscaped(dst, remark), '"')
	}
	dst = append(dst, `,"serializeTypeCurrentRPC":"JSON","version":`...)
	dst = strconv.AppendInt(dst, int64(h.version), 10)
	return append(dst, '}')
}

// appendBinaryHeader writes the header laid out as in binary.go. Codes and
// versions are cut to 16 bits, as in Java.
func appendBinaryHeader[T string | []byte](dst []byte, h *head, remark T, ext Header, further Fields) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(h.code))
	dst = append(dst, byte(h.language))
	dst = binary.BigEndian.AppendUint16(dst, uint16(h.version))
	dst = binary.BigEndian.AppendUint32(dst, uint32(h.opaque))
	dst = binary.BigEndian.AppendUint32(dst, uint32(h.flag))
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(remark)))
	dst = append(dst, remark...)
	at := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	if h.hasExt {
		dst = appendExt(dst, Binary, ext, further)
	}
	binary.BigEndian.PutUint32(dst[at:], uint32(len(dst)-at-4))
	return dst
}

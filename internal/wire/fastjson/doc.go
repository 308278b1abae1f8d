// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package fastjson reads and writes the JSON of RocketMQ's bodies and config
// files, which is not quite JSON: it is what Alibaba's fastjson 1.2 writes.
//
// # The dialect
//
//	                  standard JSON                     the dialect
//	integer keys      {"0":"10.0.0.1:10911"}            {0:"10.0.0.1:10911"}
//	object keys       {"{\"queueId\":0}":{"max":7}}     {{"queueId":0}:{"max":7}}
//	null fields       {"a":null}                        {}
//	doubles           0, 1e-05                          0.0, 1.0E-5
//
// [ToStandard] rewrites the dialect into standard JSON, where an integer key
// becomes a string and an object key becomes a string that holds the object's
// text. Standard JSON passes through it unchanged except for white space.
// [Unmarshal] does that and hands the result to encoding/json, so a map whose
// keys are objects needs a key type with UnmarshalText that reads such a string.
//
// [Marshal] writes the dialect, [MarshalStandard] standard JSON with the same
// key strings, [MarshalPretty] the layout of the config files. Fields and keys
// come in ascending order (Java's are in hash order for maps; no reader cares).
//
// The config layout is fastjson's PrettyFormat: one tab a level, a line for each
// string key, no line for an integer key, no blank after the colon, no line end
// at the end of the file:
//
//	{
//		"offsetTable":{
//			"topic@group":{0:10,1:6
//			},
//			"other@group":{0:1
//			}
//		}
//	}
//
// Source: MapSerializer, JavaBeanSerializer, CollectionCodec and SerializeWriter
// of fastjson 1.2.83, and files recorded from Apache RocketMQ 4.9.8.
//
// # Invariants
//
//   - Reading never panics and is bounded by [Limits]: the length of the input,
//     the nesting and the number of objects and arrays. The standard form is at
//     most twice the input and two bytes.
//   - What Marshal writes, ToStandard accepts, and MarshalStandard writes the
//     same bytes as ToStandard of what Marshal writes.
//
// # What it refuses
//
// An object key inside an object key (no RocketMQ body has one, and each level
// would double the escapes), fastjson's references ({"$ref":"$.a"}: the value is
// elsewhere in the text), and its other extensions that RocketMQ never writes:
// single quotes, comments, unquoted names, type suffixes, raw control characters
// in strings.
//
// The package holds no state; its functions may be used from any goroutine.
package fastjson

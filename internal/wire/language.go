// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package wire

// Language is the language a peer says it is written in. A number without a
// name is kept as it came.
type Language uint8

// The languages of RocketMQ's LanguageCode.
const (
	LanguageJava Language = iota
	LanguageCPP
	LanguageDotNet
	LanguagePython
	LanguageDelphi
	LanguageErlang
	LanguageRuby
	LanguageOther
	LanguageHTTP
	LanguageGo
	LanguagePHP
	LanguageOMS
	LanguageRust
	LanguageNodeJS
)

// String gives RocketMQ's name of the language, OTHER for one without a name.
func (l Language) String() string {
	switch l {
	case LanguageJava:
		return "JAVA"
	case LanguageCPP:
		return "CPP"
	case LanguageDotNet:
		return "DOTNET"
	case LanguagePython:
		return "PYTHON"
	case LanguageDelphi:
		return "DELPHI"
	case LanguageErlang:
		return "ERLANG"
	case LanguageRuby:
		return "RUBY"
	case LanguageHTTP:
		return "HTTP"
	case LanguageGo:
		return "GO"
	case LanguagePHP:
		return "PHP"
	case LanguageOMS:
		return "OMS"
	case LanguageRust:
		return "RUST"
	case LanguageNodeJS:
		return "NODE_JS"
	}
	return "OTHER"
}

// parseLanguage finds a language by RocketMQ's name; an unknown name gives
// LanguageOther, so that a client of a newer language is served.
func parseLanguage(name []byte) Language {
	switch string(name) {
	case "JAVA":
		return LanguageJava
	case "CPP":
		return LanguageCPP
	case "DOTNET":
		return LanguageDotNet
	case "PYTHON":
		return LanguagePython
	case "DELPHI":
		return LanguageDelphi
	case "ERLANG":
		return LanguageErlang
	case "RUBY":
		return LanguageRuby
	case "HTTP":
		return LanguageHTTP
	case "GO":
		return LanguageGo
	case "PHP":
		return LanguagePHP
	case "OMS":
		return LanguageOMS
	case "RUST":
		return LanguageRust
	case "NODE_JS":
		return LanguageNodeJS
	}
	return LanguageOther
}

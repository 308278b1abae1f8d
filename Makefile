# What each target does is one to three lines; .ci/run calls the same ones.
GO        ?= go
BIN       := bin/twostage
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@2026.1
FUZZTIME  ?= 10s

.PHONY: build test unit race lint fuzz interop crash bench soak deps

build: ## the one binary, static
	CGO_ENABLED=0 $(GO) build -trimpath -o $(BIN) ./cmd/twostage

test: deps lint unit fuzz interop crash ## everything, bounded: under 15 minutes on two cores

unit:
	$(GO) test ./...

race: deps ## every unit test again, under the race detector
	$(GO) test -race ./...

lint: ## vet, format, layers, staticcheck; the public packages on other systems
	$(GO) vet ./... && test -z "$$(gofmt -l $$(git ls-files '*.go'))"
	$(GO) test ./internal/lint && $(GO) run $(STATICCHECK) ./...
	for os in darwin windows; do GOOS=$$os $(GO) vet ./message/... ./client/... || exit 1; done

fuzz: ## every fuzz target for FUZZTIME, as many side by side as there are cores
	GO=$(GO) scripts/fuzz $(FUZZTIME)

interop: build ## official clients, recorded frames, clusters of processes: the real binary
	cd test/interop && TWOSTAGE_BIN=$(CURDIR)/$(BIN) $(GO) test -count=1 ./...

crash: build ## kill -9 and restart, bounded
	TWOSTAGE_BIN=$(CURDIR)/$(BIN) $(GO) test -count=1 ./test/crash -rounds 20

soak: build ## the same for an hour
	TWOSTAGE_BIN=$(CURDIR)/$(BIN) $(GO) test -count=1 -timeout 0 ./test/crash -rounds 2000

bench: build ## the figures of docs/performance.md
	scripts/bench

deps: ## what a fresh machine lacks
	scripts/deps

# What each target does is one to three lines; .ci/run calls the same ones.
GO        ?= go
BIN       := bin/twostage
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
FUZZTIME  ?= 10s
UNIT       = all=$$($(GO) list ./...) && pkgs=$$(echo "$$all" | grep -v /test/)
BLACKBOX   = TWOSTAGE_BIN=$(abspath $(BIN)) $(GO) test -count=1

.PHONY: build test unit race lint fuzz interop crash databases shop hostile bench soak deps

build: ## the one binary, static
	CGO_ENABLED=0 $(GO) build -trimpath -o $(BIN) ./cmd/twostage

test: deps lint unit fuzz interop crash databases shop hostile ## everything, bounded: under 15 minutes on two cores

unit: ## all but test/, whose targets follow; go test ./... runs those too
	$(UNIT) && $(GO) test $$pkgs

race: deps ## every unit test again, under the race detector
	$(UNIT) && $(GO) test -race $$pkgs

lint: ## vet, format, layers, staticcheck; the public packages on other systems
	$(GO) vet ./... && test -z "$$(gofmt -l $$(git ls-files '*.go'))"
	$(GO) test ./internal/lint && $(GO) run $(STATICCHECK) ./...
	for os in darwin windows; do GOOS=$$os $(GO) vet ./message/... ./client/... ./sqltx/... ./mqtest/... || exit 1; done

fuzz: ## every fuzz target for FUZZTIME, three times as many side by side as there are cores
	GO=$(GO) scripts/fuzz $(FUZZTIME)

interop: build ## the real binary: the official Go client, package client, recorded frames, clusters of processes, the inspector, deployment, traces
	cd test/interop && $(BLACKBOX) ./...
	$(BLACKBOX) -p 1 ./test/sdk ./test/replay ./test/cluster ./test/inspect ./test/frames ./test/deploy ./test/traces ./test/push

crash: build ## kill -9 and restart, bounded, also with retention, a full and a read-only disk; the bank; consumption; what a Java broker would do with a directory
	$(BLACKBOX) ./test/crash -rounds 20
	$(BLACKBOX) ./test/bank/teller ./test/javacheck
	$(BLACKBOX) ./test/bank -kills 5 -duration 60s -transactions 20000
	$(BLACKBOX) -parallel 32 ./test/consume -duration 8s

databases: deps build ## transactions over a database and a message on SQLite, PostgreSQL and MariaDB: processes that die at each step
	$(BLACKBOX) ./test/sqltx

shop: deps ## examples/shop under half a minute of chaos on each database, and broken
	$(GO) test -count=1 -parallel 6 ./test/shop -duration 30s

hostile: build ## what no client should send
	$(BLACKBOX) ./test/hostile

soak: deps build ## crash for an hour, the bank for another, consumption for a third, the shop for five minutes
	$(GO) test -count=1 -timeout 0 -parallel 6 ./test/shop -run TestBooksBalance -duration 5m
	$(BLACKBOX) -timeout 0 ./test/crash -rounds 2000
	$(BLACKBOX) -timeout 0 ./test/bank -duration 1h -kills 200 -transactions 500000
	$(BLACKBOX) -timeout 0 -parallel 32 ./test/consume -run TestConsume -duration 1h

bench: build ## the figures of docs/performance.md
	scripts/bench

deps: ## what a fresh machine lacks
	scripts/deps

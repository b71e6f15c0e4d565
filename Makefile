# slimlab: make alone lists what there is to do.
GO       ?= go
BIN      := bin/slimlab

.PHONY: help build run test bench lint generated race noasm golden pretrain demo

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build bin/slimlab
	@$(GO) build -o $(BIN) .

run: build ## open the workbench; without a terminal: run figure1 --quick and print its table
	@if [ -t 0 ] && [ -t 1 ]; then $(BIN); else $(BIN) run figure1 --quick; fi

test: ## all tests
	$(GO) test ./...

bench: ## all benchmarks, once over
	$(GO) test -run '^$$' -bench . -benchtime 0.5s ./...

lint: ## gofmt, vet, staticcheck
	@test -z "$$(gofmt -l .)" || { echo "gofmt is wanted by:"; gofmt -l .; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

generated: ## the committed assembly is what its generator writes
	cd kernels/gen && test -z "$$(gofmt -l .)" && $(GO) vet ./... && $(GO) test ./...

race: ## the race detector on the concurrent packages
	$(GO) test -race ./lab/... ./serve/... ./tui/...
	$(GO) test -race -run 'Parallel|Thread' ./kernels

noasm: ## all tests on the plain-Go kernels
	$(GO) test -tags noasm ./...

golden: ## rewrite the golden files; read the diff before you commit it
	$(GO) test $$(grep -rl --include=*_test.go 'flag.Bool("update"' . | xargs -n1 dirname | sort -u) -update

pretrain: build ## train the embedded foundation model again from its scenario (about a quarter of an hour)
	$(BIN) run pretrain --save FM=model/pretrained/recsys-fm

demo: build ## replay the recorded demo in the workbench
	$(BIN) replay demo

# slimlab: make alone lists what there is to do.
GO       ?= go
BIN      := bin/slimlab
TOOL     := $(GO) tool -modfile=.ci/tools.mod
SYSTEMS  := linux/arm64 darwin/arm64 windows/amd64
RELEASES := linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64
COMMIT   := $(shell git rev-parse --short=12 HEAD 2>/dev/null)
RULES    := ^Test(CommentsAreWrapped|Packages|ImportsRunOneWay)$$
BUILD    := -trimpath -buildvcs=false -ldflags "-X main.commit=$(COMMIT)"

.PHONY: help build dist run test bench gate lint systems generated race noasm golden pretrain demo

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build bin/slimlab, one static file
	@CGO_ENABLED=0 $(GO) build $(BUILD) -o $(BIN) .

dist: ## build static files for all systems into dist, with SHA256SUMS; the same commit gives the same bytes
	@rm -rf dist && mkdir dist
	@for s in $(RELEASES); do os=$${s%/*}; arch=$${s#*/}; end=; [ $$os != windows ] || end=.exe; \
		CGO_ENABLED=0 GOOS=$$os GOARCH=$$arch $(GO) build $(BUILD) -o dist/slimlab-$$os-$$arch$$end . || exit 1; done
	@cd dist && sha256sum slimlab-* > SHA256SUMS && cat SHA256SUMS

run: build ## open the workbench; without a terminal: run figure1 --quick and print its table
	@if [ -t 0 ] && [ -t 1 ]; then $(BIN); else $(BIN) run figure1 --quick; fi

test: ## all tests
	$(GO) test ./...

bench: ## all benchmarks, once over
	$(GO) test -run '^$$' -bench . -benchtime 0.5s ./...

lint: ## gofmt, vet, staticcheck, unparam, deadcode, the house's own rules: all silent
	@test -z "$$(gofmt -l .)" || { echo "gofmt is wanted by:"; gofmt -l .; exit 1; }
	$(GO) vet ./...
	$(TOOL) staticcheck ./...
	$(TOOL) unparam ./...
	@dead="$$($(TOOL) deadcode -test ./...)"; test -z "$$dead" || { echo "$$dead"; exit 1; }
	@broken="$$($(GO) test -count=1 -run '$(RULES)' .)" || { echo "$$broken"; exit 1; }

systems: ## vet for the other systems that slimlab is built for
	@for s in $(SYSTEMS); do echo "vet $$s"; GOOS=$${s%/*} GOARCH=$${s#*/} $(GO) vet ./... || exit 1; done

generated: ## the committed assembly is what its generator writes
	cd kernels/gen && test -z "$$(gofmt -l .)" && $(GO) vet ./... && $(GO) test ./...

gate: ## ratios of the engine's speed within one run; fails when one is lost
	SLIMLAB_GATE=1 $(GO) test -run Gate -count=1 -v ./serve

race: ## the race detector on the concurrent packages
	$(GO) test -timeout 40m -race ./lab/... ./serve/... ./tui/... ./kd ./quant ./pruning
	$(GO) test -race ./kernels/parallel

noasm: ## all tests on the plain-Go kernels
	$(GO) test -timeout 40m -tags noasm ./...

golden: ## rewrite the golden files; read the diff before you commit it
	$(GO) test $$(grep -rl --include=*_test.go 'slimlab/internal/golden"' . | xargs -n1 dirname | sort -u) -update

pretrain: build ## train the embedded models anew, in place of those that are there (about an hour of CPU time)
	rm -rf model/pretrained/recsys-fm.new model/pretrained/recsys-student.new
	$(BIN) run pretrain --save FM=model/pretrained/recsys-fm.new --save student=model/pretrained/recsys-student.new
	for m in recsys-fm recsys-student; do rm -rf model/pretrained/$$m && mv model/pretrained/$$m.new model/pretrained/$$m || exit 1; done

demo: build ## replay the recorded demo in the workbench
	$(BIN) replay demo

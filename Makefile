# make        what a change must pass here before it is sent (.ci/run checks more, from a clean clone)
# make api    accepts a change of the exported API: writes testdata/api.txt anew
GO       ?= go
FUZZTIME ?= 10s

# The one pinned version is the one that CI uses.
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@$(shell sed -n 's/^staticcheck_version=//p' .ci/run)

# The directories that hold a go.mod: the top, and the examples and comparisons that are modules of their own.
MODULES = $(sort $(dir $(shell git ls-files -co --exclude-standard -- 'go.mod' '*/go.mod')))

# each runs a command in every module and stops at the first failure.
each = @set -e; for m in $(MODULES); do echo "$$m: $(1)"; (cd "$$m" && $(1)); done

.PHONY: check fmt vet lint test race fuzz tidy api-check api bench cover ci release-require release-check
.DEFAULT_GOAL := check

check: fmt vet lint race fuzz tidy api-check

fmt:
	gofmt -l -w .

vet:
	$(call each,$(GO) vet ./...)

lint:
	$(call each,$(GO) run $(STATICCHECK) ./...)

test:
	$(call each,$(GO) test ./...)

race:
	$(call each,$(GO) test -race ./...)

fuzz:
	@set -e; for p in $$($(GO) list ./...); do \
		for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz' || true); do \
			echo "$$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 100x $$p; \
		done; \
	done

tidy:
	$(call each,$(GO) mod tidy -diff)

# Compares; a difference is accepted by make api, never in passing.
api-check:
	$(GO) test -run '^TestAPI$$' .

api:
	$(GO) test -count=1 -run '^TestAPI$$' . -update

bench:
	$(GO) test -run '^$$' -bench . -benchmem ./...

cover:
	$(GO) test -coverpkg=./... -coverprofile=coverage.out ./...
	$(GO) tool cover -func=coverage.out

ci:
	bash .ci/run

# make release-check VERSION=v0.2.0, see RELEASING.md
release-require release-check:
	bash .ci/release $(@:release-%=%) $(VERSION)

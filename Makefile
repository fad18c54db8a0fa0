# Everything a newcomer, a developer and CI call. `make demo` and `make test` install what they need.

SMURF := .build/debug/smurf

.PHONY: help setup setup-peers build demo test unit interop bench soak lint protos release completions clean

help:
	@echo "make demo      the whole idea on this machine: roles, mailing, bounces, unsubscribes"
	@echo "make test      lint, every test, and the tests against real peers"
	@echo "make interop   only the tests against real peers (NSD, Unbound, Postfix, ...)"
	@echo "make bench     figures against real peers, as ratios of one run"
	@echo "make release   an optimised .build/release/smurf"
	@echo "make lint      formatting, imports of the pure parts, sizes"
	@echo "make protos    the gRPC stubs anew from Protos/farm.proto"

setup:
	@Scripts/setup build

setup-peers:
	@Scripts/setup build peers

build: setup
	swift build --product smurf

# DEMO_ARGS="--recipients 2000" for a shorter show.
demo: build
	$(SMURF) demo $(DEMO_ARGS)

test: setup-peers lint
	swift build --build-tests
	swift test --skip-build

unit: setup
	swift build --build-tests
	swift test --skip-build --skip InteropTests

interop: setup-peers
	swift build --build-tests
	swift test --skip-build --filter InteropTests

bench: setup-peers
	Benchmarks/run

soak: setup-peers
	swift build --build-tests
	SMURF_SOAK=1 swift test --skip-build

lint:
	swift format lint --strict --recursive Package.swift Sources/Farm Sources/AuthDNS Sources/RoleScheduler Sources/Delivery Sources/Sink Sources/smurf Tests
	Scripts/check-imports
	Scripts/check-sizes

protos:
	Scripts/protos

release: setup
	swift build -c release --product smurf

clean:
	rm -rf .build

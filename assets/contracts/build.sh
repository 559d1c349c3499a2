#!/usr/bin/env bash
# Compiles the contracts and writes ABI and bytecode to assets/abi (or to the folder given).
# Those files are committed, so that running coppice needs no Solidity compiler; a test compiles
# again and compares. Needs: npm ci --ignore-scripts.
set -euo pipefail
cd "$(dirname "$0")"
out="${1:-../abi}"
node_modules/.bin/forge build --silent --skip test
mkdir -p "$out"
node tools/artifacts "$out"

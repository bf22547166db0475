# Two commands do everything on a fresh machine with Python 3.11+: `make demo` and `make test`.
PYTHON ?= python3
CORES ?= $(shell getconf _NPROCESSORS_ONLN)
DATASET ?= demo
INSTALLED := .venv/installed
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: demo test faults lint bench clean
demo: $(INSTALLED)
	snakemake --cores $(CORES) results/$(DATASET)_table.csv results/$(DATASET)/summary/index.html results/$(DATASET)/bundle/bundle.json
	@cat results/$(DATASET)_table.md
	@echo "Page: results/$(DATASET)/summary/index.html  Table: results/$(DATASET)_table.{csv,md,tex}"
	@echo "Your own video: source .venv/bin/activate; fedn-pipeline detect VIDEO --out DIR  (model: results/$(DATASET)/bundle)"

test: $(INSTALLED)
	python -m pytest

faults: $(INSTALLED) # tests/faults at full size: kills, full disks, flipped bytes, mutated inputs; an hour or more
	python -m pytest tests/faults --full

lint: $(INSTALLED)
	ruff check .
	ruff format --check .
	snakefmt --check workflow
	snakemake --lint

$(INSTALLED): pyproject.toml requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed; give it as PYTHON=...")'
	$(PYTHON) -m venv .venv
	workflow/image/install.sh python .venv/bin/python dev -e
	@touch $@

bench: $(INSTALLED) # writes docs/performance.md; on an idle machine
	python benchmarks/page.py

clean: # all of the demo and of rehearsals; the environment and other data sets stay
	rm -rf data/demo* results/demo* data/rehearsal* results/rehearsal* .snakemake

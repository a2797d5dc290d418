# make demo   installs what it needs into .venv and runs the whole path on an emulated board
# make test   installs what it needs, checks style and types, and runs the tests
# make quick  runs the tests that need neither TensorFlow, nor a compiler, nor an emulator
# make soak   runs the tests that take long, and draws all random cases
# make docs   writes the documentation as a site to site/
# make lock   resolves the dependencies anew

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

# Two workers share two cores: each computes with one thread.
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 TF_NUM_INTRAOP_THREADS=1 TF_NUM_INTEROP_THREADS=1

QUICK := $(addprefix tests/,boards datasets evaluation graph link targets test_distribution.py test_files.py)

.PHONY: demo test quick soak lint docs system-tools lock clean

demo: $(VENV)/demo.stamp
	$(BIN)/tinyedge demo

test: $(VENV)/dev.stamp system-tools lint
	$(ONE_THREAD) $(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow"

# Neither TensorFlow, nor compilers, nor emulators: under a minute.
quick: $(VENV)/dev.stamp
	$(ONE_THREAD) TINYEDGE_TEST_SHARE=0.1 $(BIN)/python -m pytest -n 2 -m "not (keras or emulator or needs_tool or slow)" $(QUICK)

soak: $(VENV)/dev.stamp system-tools
	$(ONE_THREAD) TINYEDGE_TEST_SHARE=1 $(BIN)/python -m pytest -n 2 --dist loadfile -m "slow or drawn"

lint: $(VENV)/dev.stamp
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/dev.stamp
	$(BIN)/python -m mkdocs build --strict --quiet
	@echo "written to site/index.html" >&2

# Cross compilers, QEMU and data for the tests. As root on Debian or Ubuntu they are installed;
# elsewhere the tests that need them say so and are skipped (under CI=true they fail).
system-tools: $(VENV)/demo.stamp
	@tools/install_system_tools.sh
	@$(BIN)/python -m tinyedge.targets.javascript >/dev/null || \
		echo "not fetched, and tests that need them are skipped: rp2040js, avr8js" >&2

$(VENV)/python.stamp:
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/demo.stamp: $(VENV)/python.stamp requirements/demo.txt pyproject.toml
	@echo "installing TensorFlow, QKeras, ART, Unicorn and zig into $(VENV): some minutes, once" >&2
	$(PIP) install --require-hashes -r requirements/demo.txt
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/dev.stamp: $(VENV)/demo.stamp requirements/dev.txt $(VENV)/labgrid.stamp
	$(PIP) install --require-hashes -r requirements/dev.txt
	@touch $@

# In an environment of its own: it replaces pyserial.
$(VENV)/labgrid.stamp: $(VENV)/python.stamp requirements/labgrid.txt
	$(PYTHON) -m venv $(VENV)/labgrid
	$(VENV)/labgrid/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes \
		-r requirements/labgrid.txt
	@touch $@

lock:
	$(PYTHON) -m venv $(VENV)/lock
	$(VENV)/lock/bin/python -m pip install --quiet uv
	$(VENV)/lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-emit-package tinyedge-mcu --custom-compile-command "make lock" \
		pyproject.toml --extra all requirements/build.in -o requirements/demo.txt
	$(VENV)/lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-emit-package tinyedge-mcu --custom-compile-command "make lock" \
		-c requirements/demo.txt pyproject.toml --extra all --group dev -o requirements/dev.txt
	$(VENV)/lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-emit-package tinyedge-mcu --custom-compile-command "make lock" \
		requirements/labgrid.in -o requirements/labgrid.txt

clean:
	rm -rf $(VENV) dist tinyedge-demo

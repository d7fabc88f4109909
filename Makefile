# make video PROMPT="…"   set up what is missing and make a video
# make serve              set up what is missing and serve the API and the studio
# make test               set up what is missing and run the tests
PYTHON ?= python3
VENV ?= .venv
PROMPT ?= a drone shot of wind turbines at dusk, lonely
OUT ?= out.mp4
TORCH = torch==2.13.0
BIN = $(VENV)/bin
SYSTEM_PACKAGES = libegl1 libegl-mesa0 libgl1-mesa-dri ffmpeg chromium fonts-noto-cjk postgresql

export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: video serve test check setup setup-dev system-packages clean

video: $(VENV)/.installed
	$(BIN)/kinowatt generate "$(PROMPT)" -o "$(OUT)" --sheet $(ARGS)

serve: $(VENV)/.installed
	$(BIN)/kinowatt serve $(ARGS)

# The server's tests start servers and wait for them, so they have the machine to themselves.
test: setup-dev
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --ignore tests/serve
	$(BIN)/python -m pytest tests/serve

check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

setup: $(VENV)/.installed
setup-dev: $(VENV)/.installed-dev system-packages $(VENV)/npm/node_modules/openai

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "kinowatt needs Python 3.11 or newer; this is " + sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)

# torch first and by itself: what depends on it must not pull another build.
$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install -q "$(TORCH)"
	$(BIN)/python -m pip install -q -e ".[cpu,serve,plots]"
	touch $@

$(VENV)/.installed-dev: pyproject.toml $(VENV)/.installed | $(VENV)/bin/python
	$(BIN)/python -m pip install -q -e ".[dev]"
	touch $@

# The world's renderer needs EGL, some checks ffprobe, the server's tests a browser, PostgreSQL and npm. Where they cannot be installed, the
# tests that need them skip and say so.
system-packages:
	@if ! command -v ffprobe >/dev/null || ! ldconfig -p 2>/dev/null | grep -q libEGL_mesa || ! command -v chromium >/dev/null \
	    || ! ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || ! command -v npm >/dev/null; then \
	  if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	    apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $(SYSTEM_PACKAGES) \
	      $$(command -v npm >/dev/null || echo nodejs npm); \
	  else \
	    echo "kinowatt: install $(SYSTEM_PACKAGES) nodejs npm to run every test; without them some are skipped" >&2; \
	  fi; \
	fi

# The official npm client, for the test that runs it against the server.
$(VENV)/npm/node_modules/openai: | system-packages
	@if command -v npm >/dev/null; then \
	  mkdir -p $(VENV)/npm && npm install --silent --no-audit --no-fund --no-save --prefix $(VENV)/npm openai@7.57.0; \
	else echo "kinowatt: npm is missing; the test with the npm client is skipped" >&2; fi

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache

"""``simdrive serve``: a model folder behind the OpenAI-compatible protocol."""

from __future__ import annotations

import typer

from simdrive.cli.console import guarded, stderr
from simdrive.cli.words import parse_words
from simdrive.errors import ParameterError

_OPTIONS = ("model", "host", "port", "batch", "dtype", "device", "name")


@guarded
def serve(words: list[str] = typer.Argument(None, help="model=FOLDER [port=8000 host=127.0.0.1 batch=16]")) -> None:
    """Serve a model folder as an OpenAI-compatible chat-completions server, until interrupted.

    Options: model=FOLDER port=8000 host=127.0.0.1 batch=16 dtype=float32 device=auto name=NAME. Drive it from another
    process or machine with agents/api: copy configs/agent/api.yaml.
    """
    options = parse_words(words, _OPTIONS, "serve option")
    if "model" not in options:
        raise ParameterError("serve needs a model, e.g. 'simdrive serve model=path/to/folder port=8000'")
    port, batch = options.get("port", 8000), options.get("batch", 16)
    if not isinstance(port, int) or not 0 <= port <= 65535 or not isinstance(batch, int) or batch < 1:
        raise ParameterError(f"port must be 0 to 65535 and batch at least 1, got {port!r} and {batch!r}")
    from simdrive.models.local import LocalModel, open_model
    from simdrive.models.serve import ModelServer

    loaded = open_model(str(options["model"]), options.get("dtype", "float32"), options.get("device", "auto"))
    name = str(options.get("name", loaded.card.name))
    with ModelServer(LocalModel(loaded), name, str(options.get("host", "127.0.0.1")), port, batch) as server:
        stderr().print(f"serving {name} at {server.url} (interrupt to stop)", markup=False, soft_wrap=True)
        try:
            server.run()
        except KeyboardInterrupt:
            stderr().print("stopped", markup=False)

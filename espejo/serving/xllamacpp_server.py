"""llama.cpp's server from the Python module xllamacpp, with the options of `llama-server`.

A script by itself, run with PYTHONPATH set to the folder that xllamacpp is in. It knows only the
options and the variables of the environment that espejo sets.
"""

import argparse
import os
import signal
import threading

import xllamacpp


def main() -> None:
    """Serve until this process is ended."""
    # Ctrl-C ends it at once, also while the model is loaded, when Python cannot answer.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    parser = argparse.ArgumentParser()
    for name in ("--model", "--host", "--lora", "--alias", "--samplers"):
        parser.add_argument(name)
    for name in ("--port", "--ctx-size", "--parallel", "--n-predict", "--top-k", "--repeat-last-n"):
        parser.add_argument(name, type=int)
    parser.add_argument("--log-verbosity", type=int)
    for name in ("--temp", "--top-p", "--min-p", "--repeat-penalty"):
        parser.add_argument(name, type=float)
    parser.add_argument("--reverse-prompt", action="append", default=[])
    for name in ("--no-webui", "--special", "--swa-full"):
        parser.add_argument(name, action="store_true")
    options = parser.parse_args()

    params = xllamacpp.CommonParams()
    params.model.path = options.model
    params.hostnames, params.port = [options.host], options.port
    params.n_ctx, params.n_parallel = options.ctx_size, options.parallel
    params.special, params.swa_full = options.special, options.swa_full
    params.ui = not options.no_webui
    if options.log_verbosity is not None:
        params.verbosity = options.log_verbosity
    params.antiprompt = options.reverse_prompt
    if options.alias:
        params.model_alias = {options.alias}
    if options.lora:
        adapter = xllamacpp.CommonAdapterLoraInfo()
        adapter.path, adapter.scale = options.lora, 1.0
        params.lora_adapters = [adapter]
    if options.n_predict is not None:
        params.n_predict = options.n_predict
    for option, name in {
        "temp": "temp",
        "top_k": "top_k",
        "top_p": "top_p",
        "min_p": "min_p",
        "repeat_penalty": "penalty_repeat",
        "repeat_last_n": "penalty_last_n",
        "samplers": "samplers",
    }.items():
        if (value := getattr(options, option)) is not None:
            setattr(params.sampling, name, value)
    params.api_keys = [os.environ["LLAMA_API_KEY"]]
    params.cors_origins = os.environ["LLAMA_ARG_CORS_ORIGINS"]
    params.cache_ram_mib = int(os.environ["LLAMA_ARG_CACHE_RAM"])

    server = xllamacpp.Server(params)  # noqa: F841  # serves as long as it exists
    threading.Event().wait()


if __name__ == "__main__":
    main()

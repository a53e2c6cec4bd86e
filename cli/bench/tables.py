"""The tables that benchmarks print."""

from typing import Any

from cli.output import print_table, remarks


def print_lora(report: dict[str, Any]) -> None:
    """Throughput and memory of engines with and without adapters."""
    title = (
        f"Base {report['base']}, adapters {', '.join(report['adapters'])}, {report['rounds']} rounds\nTokens a second"
    )
    rows = [
        [
            row["engine"], row["mix"], row["load"], row["batch"],
            row["tokens_per_second"]["median"], _between(row["tokens_per_second"]),
        ]
        for row in report["throughput"]
    ]  # fmt: skip
    print_table(title, ["engine", "adapters", "load", "batch", "tokens a second", "min - max"], rows)
    ratios = [
        [
            row["load"], row["batch"], f"{row['of']}, {row['mix']}", f"{row['to']}, base", row["ratio"],
            _between(row), f"goal {row['goal']:.2f}" if row["goal"] else "",
        ]
        for row in report["ratios"]
    ]  # fmt: skip
    print_table("Tokens a second", ["load", "batch", "of", "to", "ratio", "min - max", "at least"], ratios)
    memory = ", ".join(f"{name} {peak:.0f} MiB" for name, peak in report["peak_memory_mib"].items())
    remarks.print(f"Peak memory: {memory}.")


def print_servers(report: dict[str, Any]) -> None:
    """The service beside `vllm serve`: throughput, latency, memory."""
    title = (
        f"Base {report['base']}, profiles {', '.join(report['profiles'])}: prompts of {report['prompt_tokens']:.0f} "
        f"tokens, {report['tokens']} tokens generated for each, {report['rounds']} rounds"
    )
    levels = [(name, level) for name, row in report["contenders"].items() for level in row["levels"]]
    throughput = [
        [
            name, level["concurrency"], level["requests_per_second"]["median"],
            level["tokens_per_second"]["median"], _between(level["tokens_per_second"]),
            level["scored"], level["dropped"], level["scoring_lag_seconds"],
        ]
        for name, level in levels
    ]  # fmt: skip
    columns = ["server", "at once", "requests a second", "tokens a second", "min - max", "scored", "dropped", "lag, s"]
    print_table(title, columns, throughput)
    latency = [
        [name, level["concurrency"], *(_percentiles(level[key]) for key in _LATENCIES)] for name, level in levels
    ]
    print_table("Milliseconds: p50 / p95 / p99", ["server", "at once", *_LATENCIES.values()], latency)
    ratios = [
        [
            row["of"],
            row["concurrency"],
            row["ratio"],
            _between(row),
            f"goal {row['goal']:.2f}" if row["goal"] else "",
        ]
        for row in report["ratios"]
    ]
    print_table(
        "Tokens a second, service / vllm serve", ["service", "at once", "ratio", "min - max", "at least"], ratios
    )
    memory = ", ".join(f"{name} {row['peak_memory_mib']:.0f} MiB" for name, row in report["contenders"].items())
    remarks.print(f"Peak memory: {memory}.")


_LATENCIES = {
    "time_to_first_token_ms": "first token",
    "inter_token_latency_ms": "between tokens",
    "latency_ms": "whole answer",
}


def print_layer(report: dict[str, Any]) -> None:
    """The latency that the service adds to its engine."""
    rows = [
        [
            load["streams"], load["requests"], _percentiles(load["added_to_first_token_ms"]),
            _percentiles(load["added_to_total_ms"]), load["cpu_ms_a_request"],
            ", ".join(f"{p} at most {load[f'goal_{p}_ms']:.0f}" for p in ("p50", "p99") if load[f"goal_{p}_ms"]),
        ]
        for load in report["streams"]
    ]  # fmt: skip
    columns = ["streams", "requests", "to the first token", "to the whole answer", "processor a request", "goal"]
    print_table("Milliseconds that the service adds to its engine: p50 / p95 / p99", columns, rows)


def print_scoring(report: dict[str, Any]) -> None:
    """Online scoring under load: what became of every answer, and the replies' latency."""
    rows = [
        [
            f"{load['load']:g}", profile, *(f"{counts[what]:.0f}" for what in _ACCOUNT),
            f"{counts['dropped'] / max(1, counts['offered'] - counts['sampled_out']):.2f}",
        ]
        for load in report["loads"]
        for profile, counts in load["profiles"].items()
    ]  # fmt: skip
    title = (
        f"{report['capacity_per_second']:.1f} answers a second can be scored; {report['seconds']:g} seconds each load"
    )
    print_table(title, ["load", "profile", *(what.replace("_", " ") for what in _ACCOUNT), "share dropped"], rows)
    replies = [
        [
            f"{load['load']:g}", load["requests_per_second"],
            _percentiles(load["first_token_ms"]),
            _percentiles(load["reply_ms"]), load["waiting_at_the_end"], load["busy_seconds"],
        ]
        for load in report["loads"]
    ]  # fmt: skip
    columns = ["load", "requests a second", "first token", "whole answer", "waiting at the end", "busy, s"]
    print_table("Replies, milliseconds: p50 / p95 / p99", columns, replies)
    remarks.print(
        f"At the highest load, whole answers take {report['reply_ratio']:.3f} times as long as at the lowest, first "
        f"tokens {report['first_token_ratio']:.3f} times (goal: whole answers at most {report['goal']:.2f})."
    )


def print_store(report: dict[str, Any]) -> None:
    """What calls to the feedback store cost when it is empty and when it is large."""
    stages = [(stage, time) for stage in ("empty", "large") for time in ("cpu", "wall")]
    rows = [
        [
            cost["what"], cost["calls"],
            *(1000 * cost[stage][f"{time}_seconds"] / cost["calls"] for stage, time in stages),
            cost["ratio"]["cpu"], cost["ratio"]["wall"],
        ]
        for cost in report["costs"]
    ]  # fmt: skip
    title = f"{report['database']}, empty and with {report['rows']:,} answers\nMilliseconds a call"
    columns = ["what", "calls", *(f"{stage}, {time}" for stage, time in stages), "large / empty, cpu", "wall"]
    print_table(title, columns, rows)
    for stage, ratio in report["import"]["ratios"].items():
        remarks.print(
            f"Importing {report['import']['items']} items one by one takes {ratio['cpu']:.1f} times the processor time "
            f"of importing them in batches, and {ratio['wall']:.1f} times as long ({stage} store)."
        )


def print_faults(report: dict[str, Any]) -> None:
    """What became of requests during each fault, and what an ended service left behind."""
    rows = [
        [
            row["fault"], row["sent"], row["answered"], row["refused"], row["lost"], row["hung"],
            "200" if row["not_ready_after"] is None else f"503 after {row['not_ready_after']:.1f} s",
            "yes" if row["ready_told_the_truth"] else "NO",
            "" if row["back_after"] is None else f"{row['back_after']:.0f} s",
        ]
        for row in report["faults"]
    ]  # fmt: skip
    columns = ["fault", "sent", "answered", "refused", "lost", "hung", "/readyz", "true", "back by itself"]
    print_table(f"Base {report['base']}, FGCTL_ENGINE_TIMEOUT={report['engine_timeout']:g}", columns, rows)
    left = [[row["signal"], row["when"], row["processes"], row["left"]] for row in report["leftovers"]]
    if left:
        print_table("Processes of an ended service", ["signal", "when", "before", "left"], left)


_ACCOUNT = ("offered", "scored", "sampled_out", "dropped")


def _percentiles(values: dict[str, float]) -> str:
    return " / ".join(f"{value:.1f}" for value in values.values())


def print_train(report: dict[str, Any]) -> None:
    """The trainer's PPO step beside the plain version."""
    title = (
        f"Base {report['base']}: {report['prompts']} prompts of {report['prompt_tokens']:.0f} tokens x "
        f"{report['samples']} samples of at most {report['max_new_tokens']}, {report['rounds']} rounds, "
        f"{report['threads']} threads"
    )
    contenders = [
        [
            f"{name} ({figures['sampler']})",
            *(phase["episodes_per_minute"]["median"] for phase in figures["phases"].values()),
            round(figures["response_tokens"]),
            round(figures["peak_memory_mib"]),
        ]
        for name, figures in report["contenders"].items()
    ]
    phases = [ratio["phase"] for ratio in report["ratios"]]
    print_table(title + "\nEpisodes a minute", ["contender", *phases, "tokens sampled", "peak memory, MiB"], contenders)
    ratios = [
        [ratio["phase"], ratio["ratio"], _between(ratio), f"goal {ratio['goal']:.1f}" if ratio["goal"] else ""]
        for ratio in report["ratios"]
    ]
    print_table("Episodes a minute, trainer / plain", ["phase", "ratio", "min - max", "at least"], ratios)
    remarks.print(f"The norms of the gradients differ by at most {report['gradient_difference']:.1%}.")


def print_evaluate(report: dict[str, Any]) -> None:
    """An evaluation's answers beside the engine, and its other phases."""
    title = (
        f"{report['profile']}@{report['version']} on base {report['base']}: {report['questions']} questions of "
        f"{report['prompt_tokens']:.0f} tokens, answers of {report['answer_tokens']:.0f}, {report['rounds']} rounds, "
        f"{report['threads']} threads\nSeconds for the answers of a round"
    )
    rows = [[name, figures["median"], _between(figures)] for name, figures in report["seconds"].items()]
    print_table(title, ["", "median", "min - max"], rows)
    ratio = report["ratio"]
    remarks.print(
        f"The evaluation takes {ratio['ratio']:.2f} times as long as the engine for one batch ({_between(ratio)}); "
        f"goal: at most {ratio['goal']:.1f}."
    )
    phases = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in report["phases"].items())
    remarks.print(f"The last round, all phases: {phases}.")


def print_rewards(report: dict[str, Any]) -> None:
    """Scoring beside the base model and three encoders."""
    title = (
        f"Reward models {report['rewards']} and base {report['base']}: {report['responses']} responses with "
        f"{report['base_tokens']:.0f} tokens of text each, {report['rounds']} rounds, {report['threads']} threads"
    )
    contenders = [
        [
            _words(name),
            figures["responses_per_second"]["median"],
            _between(figures["responses_per_second"]),
            round(figures["peak_memory_mib"]),
        ]
        for name, figures in report["contenders"].items()
    ]
    print_table(title, ["contender", "responses a second", "min - max", "peak memory, MiB"], contenders)
    ratios = [
        [f"{_words(ratio['of'])} / {_words(ratio['to'])}", ratio["ratio"], _between(ratio), f"goal {ratio['goal']:.2f}"]
        for ratio in report["ratios"]
    ]
    print_table("Time a response", ["of / to", "ratio", "min - max", "at most"], ratios)


def _words(name: str) -> str:
    return name.replace("scorer_", "scorer, ").replace("_", " ")


def _between(spread: dict[str, float]) -> str:
    return f"{spread['min']:.3f} - {spread['max']:.3f}"

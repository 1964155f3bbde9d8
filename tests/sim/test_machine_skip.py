"""Leaving out cycles changes nothing: random programs, with and without."""

from __future__ import annotations

import random

import numpy as np
import pytest

from sim import machine
from sim.machine import Dram, Kind, MachineConfig, Outcome

CONFIGS = (
    {},
    {"bus_bytes": 16, "lanes": 4, "queue_depth": 2, "burst_beats": 4, "outstanding": 2},
    {"bus_bytes": 32, "lanes": 16, "engines": (0, 1, 2, 4, 5), "burst_beats": 64, "outstanding": 4},
    {"bus_bytes": 64, "outstanding": 32, "run_fifo": 2},
    {"lanes": 32, "burst_beats": 256, "outstanding": 16, "store_fifo": 2, "fetch_beats": 4},
    {"bus_bytes": 16, "lanes": 4, "queue_depth": 2, "outstanding": 2, "buffer_latency": 5, "far": True},
    {"bus_bytes": 64, "outstanding": 32, "store_fifo": 2, "buffer_latency": 3, "far": True},
)


def random_program(rng, new_program, engines):
    """Runs of every kind and size, tokens that match in most cases, sometimes an illegal instruction or no halt."""
    build, tokens = new_program(), {}
    wild = rng.random() < 0.2
    largest = rng.choice([60, 600, 6000, 60000])

    def masks(engine):
        wait = signal = 0
        for other in engines:
            if other != engine and rng.random() < 0.2:
                if wild or (tokens.get((other, engine), 0) and rng.random() < 0.7):
                    wait |= 1 << other
                    tokens[other, engine] = tokens.get((other, engine), 0) - 1
                else:
                    signal |= 1 << other
                    tokens[engine, other] = tokens.get((engine, other), 0) + 1
        return {"wait": wait, "signal": signal}

    for _ in range(rng.choice([1, 5, 20, 60])):
        engine = rng.choice(engines)
        if rng.random() < 0.03:
            build.fence()
        elif rng.random() < 0.004:
            build.illegal()
        elif rng.random() < 0.2:
            build.add(engine, **masks(engine))
        elif engine == machine.LOAD:
            build.load(
                **masks(engine), address=rng.randrange(1 << 16), run_bytes=rng.randrange(1, rng.choice([20, largest])),
                run_count=rng.randrange(1, 6), windowed=rng.randrange(2), row_pitch=rng.randrange(10000),
                x_step=rng.randrange(-200, 200), row_bytes=rng.randrange(1, 3000), row_count=rng.randrange(1, 10),
                x_start=rng.randrange(-300, 300), y_start=rng.randrange(-5, 8), group_count=rng.randrange(1, 5),
            )  # fmt: skip
        elif engine == machine.STORE:
            build.store(
                **masks(engine), address=64 * rng.randrange(1 << 10), row_pitch=64 * rng.randrange(100),
                run_bytes=rng.randrange(1, rng.choice([20, largest])), run_count=rng.randrange(1, 5),
            )  # fmt: skip
        else:
            build.fixed(
                engine, rng.choice([2, 3, rng.randrange(2, 100), rng.randrange(2, 5000)]), **masks(engine)
            )
    return build.halt() if rng.random() < 0.95 else build


@pytest.mark.parametrize(
    "config", CONFIGS, ids=lambda config: f"{config.get('bus_bytes', 8)}{' far' * config.get('far', False)}"
)
def test_random_programs(simulate, new_program, config):
    rng = random.Random(str(config))
    outcomes = set()
    for _ in range(60):
        dram = Dram(
            latency=rng.choice([1, 2, 7, 30, 100]),
            interval=rng.choice([1, 1, 1, 2, 5]),
            depth=rng.choice([1, 2, 4, 8]),
            write_latency=rng.choice([1, 2, 10, 50]),
        )
        program = random_program(rng, new_program, config.get("engines", (0, 1, 4, 5)))
        run = simulate(program, dram, **config)
        outcomes.add(run.outcome)
        if run.outcome is Outcome.FINISHED:
            assert (run.ends >= run.starts).all()
            assert run.starts.min() > 0
        for engine, counted in run.counters.items():
            own = program.program.engine == engine
            assert counted.run + counted.idle + counted.wait + counted.stall == run.drained + 1
            assert counted.wait == run.waited[own].sum()
            if run.outcome is Outcome.FINISHED:
                assert counted.run + counted.stall == (run.ends - run.starts + 1)[own].sum()
                assert counted.stall == run.stalled[own].sum()
    assert {Outcome.FINISHED, Outcome.DEADLOCK} <= outcomes


def network(new_program, layers, tiles):
    """Like a convolutional network: loads of windows and weights, long DSP runs, requantising, stores; two of each."""
    build, dsp, vec, load, store = new_program(), 1, 4, 0, 5
    for giver, taker in ((dsp, load), (vec, dsp), (store, vec)):
        build.add(giver, signal=1 << taker).add(giver, signal=1 << taker)
    for layer in range(layers):
        for tile in range(tiles):
            build.add(load).add(load)
            build.load(
                wait=1 << dsp, address=123456 * layer + 4108 * tile, run_bytes=6 * 64 + 3, run_count=58, windowed=1,
                row_pitch=3584, x_step=64, row_bytes=3584, row_count=56, x_start=-64, y_start=-1,
            )  # fmt: skip
            build.load(signal=1 << dsp, address=1 << 20, run_bytes=32768)
            build.add(dsp)
            build.fixed(dsp, 14000, wait=1 << load | 1 << vec, signal=1 << load | 1 << vec)
            build.add(vec)
            build.fixed(vec, 3000, wait=1 << dsp | 1 << store, signal=1 << dsp | 1 << store)
            build.add(store)
            build.store(
                wait=1 << vec, signal=1 << vec, address=1 << 22, run_bytes=3584, run_count=4, row_pitch=3584
            )
    return build.halt()


def test_a_network_leaves_out_most_cycles(simulate, new_program):
    run = simulate(network(new_program, 2, 6), Dram())
    assert run.outcome is Outcome.FINISHED
    assert run.steps < run.cycles / 3
    assert run.counters[1].run > 0.9 * run.cycles


@pytest.mark.slow
def test_a_large_network(library, new_program):
    program = network(new_program, 100, 100).program
    run = machine.run(library, MachineConfig(), Dram(), program)
    assert len(program) == 100007
    assert run.outcome is Outcome.FINISHED
    assert run.cycles > 100_000_000
    assert (np.diff(run.starts[program.kind == Kind.FIXED][::2]) >= 14000).all()

"""The claims about language models: training GPT-3 and ChatGPT, serving ChatGPT, and the forecast for 2025."""

from __future__ import annotations

from collections.abc import Mapping

from kinowatt.energy.claim import INTENSITY, Claim, Figure, Input, Published, brief

OFWEEK = "OFweek, 2024-02-26, “Sora有界,能源無界”"
PATTERSON = "Patterson et al. 2021, Carbon Emissions and Large Neural Network Training, arXiv 2104.10350"
POINTON = "Pointon 2022, The carbon footprint of ChatGPT, after Goldstein's thread of December 2022"
ML_ENERGY = "ML.ENERGY Leaderboard v3, Llama 3.1 on H100, batched"
OURS = "not in the origin, which leaves it out"

V = Mapping[str, float]

PUE = Input(1.0, "facility over IT energy", OURS, least=1.0, inclusive=True)
HOST_W = Input(0.0, "W per GPU", OURS, inclusive=True)
TOKENS_PER_WORD = Input(4 / 3, "tokens", "OpenAI's rule of thumb for English: a token is about three quarters of a word")
# Printed as 0.37; the third digit follows from the 127 J of the leaderboard for 341 tokens.
J_PER_TOKEN_70B = Input(0.372, "J", f"{ML_ENERGY}, 70 B")

_GPT3_TRAINING: dict[str, Input] = {
    "work_FLOP": Input(3.14e23, "FLOP", f"{PATTERSON}, table 4"),
    "peak_FLOP_per_s": Input(125e12, "FLOP/s", "NVIDIA V100 datasheet, tensor cores"),
    "utilisation": Input(24.6 / 125, "of peak", f"{PATTERSON}, table 4: 24.6 TFLOP/s measured", most=1.0),
    "gpu_W": Input(330.0, "W per GPU, system average", f"{PATTERSON}, table 4"),
    "pue": Input(1.10, "facility over IT energy", f"{PATTERSON}, table 4", least=1.0, inclusive=True),
    INTENSITY: Input(0.429, "kg CO2e/kWh", f"{PATTERSON}, table 4", inclusive=True),
}


def _training(v: V) -> tuple[Figure, Figure, Figure]:
    """Energy, carbon and GPU-hours of GPT-3's training by Patterson's method."""
    rate = v["peak_FLOP_per_s"] * v["utilisation"]
    hours = v["work_FLOP"] / rate / 3600
    MWh = hours * v["gpu_W"] * v["pue"] / 1e6
    t = MWh * v[INTENSITY]
    return (
        Figure("energy", "MWh", MWh, f"{hours:,.0f} h × {v['gpu_W']:g} W × PUE {v['pue']:g} = {MWh:,.2f} MWh", spec=",.2f"),
        Figure("carbon", "t CO2e", t, f"{MWh:,.2f} MWh × {v[INTENSITY]:g} kg/kWh = {t:,.2f} t", spec=",.2f"),
        Figure("V100-hours", "h", hours, f"{v['work_FLOP']:.4g} FLOP ÷ {rate / 1e12:.4g} TFLOP/s ÷ 3600 s/h = {hours:,.0f} h"),
    )


def _gpt3(v: V) -> tuple[Figure, ...]:
    energy, carbon, hours = _training(v)
    return (
        Figure(energy.name, energy.unit, energy.ours, energy.formula, Published(1287, 1), energy.spec),
        Figure(carbon.name, carbon.unit, carbon.ours, carbon.formula, Published(552, 1), carbon.spec),
        hours,
    )


def _gpt3_120b(v: V) -> tuple[Figure, ...]:
    energy, _, hours = _training(v)
    assert energy.ours is not None
    assert hours.ours is not None
    kWh, said = energy.ours * 1000, v["claimed_kWh"]
    share = v["claimed_parameters"] / v["parameters"]
    price = v["claimed_kWh"] / hours.ours
    return (
        Figure("energy", "kWh", kWh, energy.formula, Published(said, 1e5)),
        Figure("parameters", "billion", v["parameters"] / 1e9, "GPT-3 as published", Published(v["claimed_parameters"] / 1e9, 1)),
        Figure("published over Patterson", "×", said / kWh, f"{said:,.0f} ÷ {kWh:,.0f} kWh = {said / kWh:.2f}", spec=".1f"),
        Figure("energy, were it 120 B", "kWh", kWh * share, f"{kWh:,.0f} kWh × {share:.4f} = {kWh * share:,.0f} kWh, on as many tokens"),
        Figure(
            "price per V100-hour, were it dollars",
            "USD",
            price,
            f"{said:,.0f} USD ÷ {hours.ours:,.0f} h = {price:.2f} USD/h, a cloud price of the time: a hypothesis, no more",
            spec=".2f",
        ),
    )


def _people(v: V) -> tuple[Figure, ...]:
    gpt3 = _training(v)[0].ours
    assert gpt3 is not None
    each = v["training_kWh"] / v["people"]
    china = v["china_residential_kWh"] / v["china_people"]
    total = v["people"] * china
    return (
        Figure(
            "a year of those people",
            "kWh",
            total,
            f"{v['people']:,.0f} people × {china:.1f} kWh = {total:,.0f} kWh",
            Published(900_000, 1e5, at_least=True),
        ),
        Figure(
            "per person, by the claim", "kWh", each, f"{v['training_kWh'] / 1000:,.0f} MWh ÷ {v['people']:,.0f} people = {each:.0f} kWh"
        ),
        Figure(
            "per person, China 2020",
            "kWh",
            china,
            f"{v['china_residential_kWh'] / 1e9:,.1f} TWh ÷ {v['china_people'] / 1e6:,.2f} M = {china:.1f} kWh",
        ),
        Figure(
            "over Patterson's energy",
            "×",
            v["training_kWh"] / 1000 / gpt3,
            f"{v['training_kWh'] / 1000:,.0f} ÷ {gpt3:,.2f} MWh = {v['training_kWh'] / 1000 / gpt3:.3f}",
            spec=".2f",
        ),
        Figure(
            "over the 4.5 million kWh",
            "×",
            v["training_kWh"] / v["other_kWh"],
            f"{v['training_kWh']:,.0f} ÷ {v['other_kWh']:,.0f} kWh = {v['training_kWh'] / v['other_kWh']:.3f}",
            spec=".2f",
        ),
    )


def _chatgpt(v: V) -> tuple[Figure, ...]:
    """Serving by Goldstein's and Pointon's method, with a batch.

    A decoding step reads every weight once, whatever the batch, so it stays at the origin's time per word until arithmetic takes longer:
    2 FLOP per parameter and token (Kaplan et al. 2020, arXiv 2001.08361). Reading the KV cache is left out, so large batches flatter.
    """
    words = v["users_per_day"] * v["queries_per_user"] * v["words_per_query"]
    word_FLOP, rate = 2 * v["parameters"] * v["tokens_per_word"], v["peak_FLOP_per_s"] * v["utilisation"]
    largest = v["s_per_word"] * rate / word_FLOP
    step_s = v["s_per_word"] * max(1.0, v["batch"] / largest)
    hours = words * step_s / v["batch"] / 3600
    kW = (v["gpu_W"] + v["host_W"]) * v["pue"] / 1000
    kWh = hours * kW
    kg = kWh * v[INTENSITY]
    month_t = kg * v["days_per_month"] / 1000
    J = kWh * 3.6e6 / words
    batch = f" ÷ batch {v['batch']:g}" if v["batch"] != 1 else ""
    power = f"{v['gpu_W']:g} W" if not v["host_W"] else f"({v['gpu_W']:g} + {v['host_W']:g}) W"
    pue = f" × PUE {v['pue']:g}" if v["pue"] != 1 else ""
    figures = [
        Figure(
            "GPU-hours a day",
            "h",
            hours,
            f"{v['users_per_day']:,.0f} users × {v['queries_per_user']:g} queries × {v['words_per_query']:g} words × {step_s:.4g} s{batch}"
            f" ÷ 3600 = {hours:,.1f} h",
            Published(29_167, 1),
            ",.1f",
        ),
        Figure(
            "carbon a day", "t CO2e", kg / 1000, f"{kWh:,.0f} kWh × {v[INTENSITY]:g} kg/kWh = {kg:,.0f} kg", Published(3.82, 0.01), ",.3f"
        ),
        Figure(
            "carbon a month",
            "t CO2e",
            month_t,
            f"{kg:,.0f} kg × {v['days_per_month']:g} days = {month_t:,.1f} t",
            Published(100, 1, at_least=True),
            ",.1f",
        ),
        Figure("energy a day", "kWh", kWh, f"{hours:,.1f} h × {power}{pue} = {kWh:,.0f} kWh"),
        Figure("energy per word", "J", J, f"{kWh:,.0f} kWh ÷ {words:,.0f} words = {J:,.4g} J", spec=",.4g"),
    ]
    for size in ("8B", "70B", "405B"):
        word_J = v[f"J_per_token_{size}"] * v["tokens_per_word"]
        said = f"{J:,.4g} J ÷ ({v[f'J_per_token_{size}']:.3g} J/token × {v['tokens_per_word']:.4g} tokens/word) = {brief(J / word_J)}"
        figures.append(Figure(f"over a measured {size}", "×", J / word_J, said))
    limit = f"{v['s_per_word']:g} s × {rate / 1e12:g} TFLOP/s ÷ {word_FLOP / 1e9:,.0f} GFLOP per word = {largest:.0f}"
    return (*figures, Figure("largest batch at that pace", "queries", largest, limit))


def _workforce(v: V) -> tuple[Figure, ...]:
    people_TWh = v["workforce_people"] * v["W_per_person"] * v["hours_per_year"] / 1e12
    share = v["data_centres_TWh"] / people_TWh
    return (
        Figure("AI over the human workforce", "×", None, "Gartner's method and figures were not found", Published(1, 1, at_least=True)),
        Figure(
            "metabolism of the workforce",
            "TWh a year",
            people_TWh,
            f"{v['workforce_people'] / 1e9:g} G people × {v['W_per_person']:g} W × {v['hours_per_year']:,.0f} h = {people_TWh:,.0f} TWh",
        ),
        Figure(
            "all data centres over that",
            "×",
            share,
            f"{v['data_centres_TWh']:,.0f} TWh ÷ {people_TWh:,.0f} TWh = {share:.2f}, AI being a part of the data centres",
            spec=".2f",
        ),
    )


LANGUAGE = (
    Claim(
        "gpt3-training",
        "Training a 175 B model (GPT-3) took 1,287 MWh and emitted 552 t CO2e.",
        _GPT3_TRAINING,
        _gpt3,
        "reproduces exactly",
        "Every input is in the paper. The rate is a fifth of the GPU's peak; the 330 W are a measured average with the host's share.",
        PATTERSON,
    ),
    Claim(
        "gpt3-120b",
        "GPT-3, with 120 billion parameters, took 4.5 million kWh to train.",
        {
            "claimed_kWh": Input(4.5e6, "kWh", OFWEEK),
            "claimed_parameters": Input(120e9, "parameters", OFWEEK),
            "parameters": Input(175e9, "parameters", "Brown et al. 2020, Language Models are Few-Shot Learners, arXiv 2005.14165"),
            **_GPT3_TRAINING,
        },
        _gpt3_120b,
        "wrong parameters, unsupported energy",
        "No source was found, and no derivation is known. The energy is 3.5 times Patterson's; a training cost of 4.5 million US dollars "
        "read as kWh would explain it, which is a hypothesis.",
        f"{OFWEEK}; primary source not found",
    ),
    Claim(
        "chatgpt-training",
        "One training of ChatGPT takes more than 900,000 kWh, as much as 1,200 people use in a year.",
        {
            "training_kWh": Input(936_000, "kWh", "the unrounded figure in circulation; primary source not found"),
            "people": Input(1200, "people", OFWEEK),
            "china_residential_kWh": Input(1094.9e9, "kWh in 2020", "National Energy Administration of China, January 2021"),
            "china_people": Input(1411.78e6, "people in 2020", "National Bureau of Statistics of China, seventh census"),
            "other_kWh": Input(4.5e6, "kWh", f"{OFWEEK}, the claim gpt3-120b"),
            **_GPT3_TRAINING,
        },
        _people,
        "consistent in itself, contradicts the two claims above",
        "780 kWh a head is near China's residential use in 2020, so energy and people fit each other; but both 1,287 MWh and 4.5 million "
        "kWh are given for the same training. How the 936 MWh were derived is unknown.",
        f"{OFWEEK}; primary source not found",
    ),
    Claim(
        "chatgpt-inference",
        "With a million users a day ChatGPT needs 29,167 GPU-hours on A100 at 407 W, and emits 3.82 t CO2e a day, over 100 t a month.",
        {
            "users_per_day": Input(1e6, "users", POINTON),
            "queries_per_user": Input(10, "queries", POINTON),
            "words_per_query": Input(30, "words", POINTON),
            "s_per_word": Input(0.35, "s of one GPU", POINTON),
            "batch": Input(1, "queries decoded together", "the origin's time is that of one query alone", least=1.0, inclusive=True),
            "gpu_W": Input(407, "W", POINTON),
            "host_W": HOST_W,
            "pue": PUE,
            INTENSITY: Input(0.322167, "kg CO2e/kWh", POINTON, inclusive=True),
            "days_per_month": Input(30, "days", POINTON),
            "tokens_per_word": TOKENS_PER_WORD,
            "J_per_token_8B": Input(0.07, "J", f"{ML_ENERGY}, 8 B"),
            "J_per_token_70B": J_PER_TOKEN_70B,
            "J_per_token_405B": Input(2.06, "J", f"{ML_ENERGY}, 405 B"),
            "parameters": Input(175e9, "parameters", "GPT-3; bounds the batch only"),
            "peak_FLOP_per_s": Input(312e12, "FLOP/s", "NVIDIA A100 datasheet, bf16 dense; bounds the batch only"),
            "utilisation": Input(0.5, "of peak", "assumed by kinowatt; bounds the batch only", most=1.0),
        },
        _chatgpt,
        "reproduces; about 50 to 300 times too high for batched serving",
        "It serves one query at a time, and leaves out PUE and the host. Measured batched, a word costs a 405 B or a 70 B model, the sizes "
        "on either side of GPT-3, 50 to 300 times less. With a batch, a decoding step keeps its time up to the largest batch at that pace, "
        "since it reads the weights once for all queries: energy per word falls as 1/batch up to there, and no further.",
        f"{POINTON}; repeated by {OFWEEK}",
    ),
)

WORKFORCE = Claim(
    "gartner-2025",
    "By 2025 AI will use more energy than the human workforce.",
    {
        "workforce_people": Input(3.6e9, "people", "World Bank, total labour force 2023, after ILO"),
        "W_per_person": Input(100, "W", "2,000 to 2,400 kcal of food a day; kinowatt's reading of the workforce's energy"),
        "hours_per_year": Input(8760, "h", "calendar"),
        "data_centres_TWh": Input(415, "TWh in 2024", "IEA 2025, Energy and AI: all data centres"),
    },
    _workforce,
    "a prediction, not data",
    "The sentence is quoted widely; neither the report nor its method was found, so the derivation is unknown. Under one possible reading, "
    "kinowatt's own, all data centres in 2024 used about an eighth of the metabolism of the world's workforce.",
    f"Gartner, as quoted by {OFWEEK}; primary source not found",
)

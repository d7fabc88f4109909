"""The claims about Sora and about video: its size, its training, its break-even, an image in words, a minute in chats."""

from __future__ import annotations

import bisect
import functools
import itertools
import statistics
from collections.abc import Mapping

from kinowatt.energy.claim import Claim, Figure, Input, Published
from kinowatt.energy.claims_language import HOST_W, J_PER_TOKEN_70B, OFWEEK, PUE, TOKENS_PER_WORD

DIT = "Peebles and Xie 2023, Scalable Diffusion Models with Transformers, arXiv 2212.09748"
XIE = "Saining Xie, public thread on Sora's technical report, 2024-02-16"
MINSHENG = "Minsheng Securities, 2024-02-25, “Sora将创造多少算力需求?”"
FACTORIAL = "Plappert, Factorial Funds, March 2024, Under The Hood: How OpenAI's Sora Model Works"
ML_ENERGY = "ML.ENERGY Leaderboard v3, one H100, batch 1, bf16, GPU energy"
ALTMAN = "Altman 2025, The Gentle Singularity: an average query"
WAN = "Wan 2.1 T2V-14B configuration"

V = Mapping[str, float]

UPLOADED = Input(500, "h of video per minute", f"YouTube; Villalobos et al. 2022, arXiv 2211.04325, by way of {MINSHENG}")
GFLOP_PER_FRAME = Input(324, "GFLOP", f"{MINSHENG}, from DiT-XL/4 at 1024 × 768")

# What a reader without the report may try for the 70,900 H100-months. Each list holds the usual choices, none of them known.
DAYS_OF_UPLOADS = (30, 365)
FPS = (24, 25, 30, 60)
TOKENS_PER_FRAME = (256, 512, 1024, 3072)
PARAMETERS = (3e9, 30e9)
FLOP_PER_PARAMETER_AND_TOKEN = (2, 6)  # forward; forward and backward
FORWARDS_PER_FRAME = (1, 3)  # of the report's GFLOP per frame: forward; forward and backward
PASSES = (1, 2, 3, 5, 10, 20, 50, 100, 1000)  # over the data, or noise levels per frame
H100_TFLOP_PER_S = (756, 989.4, 1000, 1513, 1978.9)  # PCIe, SXM, rounded, PCIe and SXM with sparsity
UTILISATIONS = (0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.7, 0.8, 0.9, 1.0)
HOURS_PER_MONTH = (720, 730, 744)


@functools.lru_cache(maxsize=2)
def _combinations(uploaded_h_per_min: float, GFLOP_per_frame: float) -> tuple[tuple[float, str], ...]:
    """H100-months of every combination of the lists above, ascending, with what was combined."""
    per_frame = [(f"{k} × {GFLOP_per_frame:g} GFLOP", k * GFLOP_per_frame * 1e9) for k in FORWARDS_PER_FRAME]
    models = itertools.product(FLOP_PER_PARAMETER_AND_TOKEN, PARAMETERS, TOKENS_PER_FRAME)
    per_frame += [(f"{k} × {P / 1e9:g} B × {n} tokens", k * P * n) for k, P, n in models]
    work = [
        (f"{days} days at {fps} fps × {said} × {passes}", uploaded_h_per_min * 60 * 24 * days * 3600 * fps * FLOP * passes)
        for days, fps, (said, FLOP), passes in itertools.product(DAYS_OF_UPLOADS, FPS, per_frame, PASSES)
    ]
    rates = [
        (f"({peak:g} TFLOP/s × {used:.0%} × {hours} h)", peak * 1e12 * used * hours * 3600)
        for peak, used, hours in itertools.product(H100_TFLOP_PER_S, UTILISATIONS, HOURS_PER_MONTH)
    ]
    found = ((FLOP / rate, f"{said} ÷ {per}") for (said, FLOP), (per, rate) in itertools.product(work, rates))
    return tuple(sorted(found))


CHOICES = " × ".join(
    f"{len(choices)} {name}"
    for name, choices in (
        ("periods of uploads (30 or 365 days)", DAYS_OF_UPLOADS),
        ("frame rates (24 to 60)", FPS),
        (
            "works per frame (k × GFLOP_per_frame with k 1 or 3; k × parameters × tokens with k 2 or 6, 3 B or 30 B, 256 to 3,072 tokens)",
            (*FORWARDS_PER_FRAME, *itertools.product(FLOP_PER_PARAMETER_AND_TOKEN, PARAMETERS, TOKENS_PER_FRAME)),
        ),
        ("numbers of passes (1 to 1,000)", PASSES),
        ("peaks of the H100 (756 to 1,979 TFLOP/s)", H100_TFLOP_PER_S),
        ("utilisations (20 to 100 %)", UTILISATIONS),
        ("months (720 to 744 h)", HOURS_PER_MONTH),
    )
)


def _months_70900(v: V) -> tuple[Figure, ...]:
    table = _combinations(v["uploaded_h_per_min"], v["GFLOP_per_frame"])
    months = [m for m, _ in table]

    def within(target: float) -> tuple[int, int]:
        width = target * v["tolerance"]
        return bisect.bisect_left(months, target - width), bisect.bisect_right(months, target + width)

    first, last = within(v["claimed_months"])
    hits = table[first:last]
    others = [b - a for a, b in map(within, range(10_000, 100_000, 100))]
    as_many = statistics.fmean(n >= len(hits) for n in others)
    ways = {days: next((said for _, said in hits if said.startswith(f"{days} days")), None) for days in DAYS_OF_UPLOADS}
    shown = "; or ".join(said for said in ways.values() if said)
    said = f"{len(hits)} of {len(table):,} combinations land within {v['tolerance']:.2%} of {v['claimed_months']:,.0f}"
    return (
        Figure("training of Sora", "H100-months", None, said, Published(v["claimed_months"], 100)),
        Figure("combinations tried", "", float(len(table)), CHOICES),
        Figure("combinations that land", "", float(len(hits)), f"for instance {shown}" if shown else "none"),
        Figure(
            "combinations for another figure", "", statistics.median(others), "median over the figures 10,000, 10,100 … 99,900", spec=",.1f"
        ),
        Figure("of those, with as many or more", "", as_many, f"{as_many:.0%} of {len(others)} figures", spec=".0%"),
    )


def _parameters(v: V) -> tuple[Figure, ...]:
    larger = v["compute_multiple"] * v["GFLOP_B2"] / v["GFLOP_XL2"]
    P = larger * v["parameters_XL2"]
    spread = v["other_parameters"] / v["claimed_parameters"]
    return (
        Figure(
            "parameters of Sora",
            "billion",
            P / 1e9,
            f"{v['compute_multiple']:g} × {v['GFLOP_B2']:g} ÷ {v['GFLOP_XL2']:g} GFLOP × {v['parameters_XL2'] / 1e6:g} M = {P / 1e9:.2f} B",
            Published(v["claimed_parameters"] / 1e9, 1),
            ".2f",
        ),
        Figure(
            "another report over this one",
            "×",
            spread,
            f"{v['other_parameters'] / 1e9:g} B ÷ {v['claimed_parameters'] / 1e9:g} B = {spread:g}",
            spec=".0f",
        ),
    )


def _a100(v: V) -> tuple[Figure, ...]:
    frames = v["uploaded_h_per_min"] * 60 * 24 * v["days"] * 3600 * v["fps"]
    capacity = v["peak_FLOP_per_s"] * v["utilisation"] * v["days"] * 86_400
    gpus = frames * v["GFLOP_per_frame"] * 1e9 / capacity
    return (
        Figure(
            "A100 for one month",
            "GPUs",
            gpus,
            f"{frames:.3g} frames × {v['GFLOP_per_frame']:g} GFLOP ÷ ({v['peak_FLOP_per_s'] / 1e12:g} TFLOP/s × {v['utilisation']:.0%}"
            f" × {v['days']:g} days) = {gpus:,.0f}",
            Published(231, 1),
        ),
        Figure(
            "frames",
            "",
            frames,
            f"{v['uploaded_h_per_min']:g} h/min × 1,440 min × {v['days']:g} days × 3,600 s × {v['fps']:g} fps = {frames:.4g}",
            spec=".4g",
        ),
    )


def _factorial(v: V) -> tuple[Figure, ...]:
    figures = []
    for which, said in (("low", 15.3), ("high", 38.1)):
        months = v[f"months_{which}"]
        even = months * v["h_per_month"] * v["min_per_h"] / 1e6
        text = f"{months:,.0f} × {v['h_per_month']:g} h × {v['min_per_h']:g} min/h = {even:.2f} M min"
        figures.append(Figure(f"break-even, {which}", "M min", even, text, Published(said, 0.1), ".2f"))
    kW = (v["gpu_W"] + v["host_W"]) * v["pue"] / 1000
    power = f"{v['gpu_W'] + v['host_W']:g} W" + (f" × PUE {v['pue']:g}" if v["pue"] != 1 else "")
    for name, which in (("training energy, low", "low"), ("training energy, high", "high"), ("training energy, of 70,900", "other")):
        months = v[f"months_{which}"]
        GWh = months * v["h_of_energy"] * kW / 1e6
        figures.append(Figure(name, "GWh", GWh, f"{months:,.0f} × {v['h_of_energy']:g} h × {power} = {GWh:.1f} GWh", spec=".1f"))
    minute_Wh = kW * 1000 / v["min_per_h"]
    figures.append(
        Figure("energy per minute of video", "Wh", minute_Wh, f"{power} × 1 h ÷ {v['min_per_h']:g} min = {minute_Wh:.0f} Wh, at least")
    )
    return tuple(figures)


def _image(v: V) -> tuple[Figure, ...]:
    side = v["pixels"] / v["vae_stride"] / v["patch"]
    patches = side * side
    tokens = v["claimed_words"] * v["tokens_per_word"]
    words_J = tokens * v["J_per_token_70B"]
    words = v["image_J"] / (v["J_per_token_70B"] * v["tokens_per_word"])
    ratio = v["image_J"] / words_J
    return (
        Figure(
            "words with one image's energy",
            "words",
            words,
            f"{v['image_J']:,.0f} J ÷ ({v['J_per_token_70B']:g} J/token × {v['tokens_per_word']:.4g} tokens/word) = {words:,.0f}",
            Published(v["claimed_words"], 1),
        ),
        Figure(
            "energy of the words",
            "J",
            words_J,
            f"{v['claimed_words']:g} words × {v['tokens_per_word']:.4g} = {tokens:.0f} tokens × {v['J_per_token_70B']:g} J"
            f" = {words_J:.0f} J",
        ),
        Figure("image over words", "×", ratio, f"{v['image_J']:,.0f} J ÷ {words_J:.0f} J = {ratio:.1f}", spec=".1f"),
        Figure(
            "patches of one image",
            "",
            patches,
            f"({v['pixels']:g} px ÷ VAE stride {v['vae_stride']:g} ÷ patch {v['patch']:g})² = {side:g}² = {patches:g}: read once per step",
        ),
    )


def _minute(v: V) -> tuple[Figure, ...]:
    clips = 60 / v["s_per_clip"]
    N, P, d, L = v["latent_tokens"], v["parameters"], v["width"], v["layers"]
    FLOP = v["steps"] * v["cfg"] * (2 * P * N + 4 * N * N * d * L)
    large_Wh = FLOP / (v["GFLOP_per_J"] * 1e9) / 3600
    said = f"{v['steps']:g} × {v['cfg']:g} × (2PN + 4N²dL) = {FLOP:.3g} FLOP ÷ {v['GFLOP_per_J']:g} GFLOP/J = {large_Wh:.1f} Wh"
    figures = []
    for name, Wh, how in (
        ("Wan 1.3B, 480p", v["Wh_1_3B_480p"], "measured"),
        ("Wan 14B, 480p", v["Wh_14B_480p"], "measured"),
        ("Wan 14B, 720p", large_Wh, said),
    ):
        chats = clips * Wh / v["Wh_per_chat"]
        text = f"{clips:g} clips × {Wh:.4g} Wh ÷ {v['Wh_per_chat']:g} Wh = {chats:,.0f} ({how})"
        figures.append(Figure(name, "chats", chats, text, Published(1000, 1, at_least=True), ",.0f"))
    return tuple(figures)


VIDEO = (
    Claim(
        "sora-parameters",
        "Sora has about 3 billion parameters.",
        {
            "claimed_parameters": Input(3e9, "parameters", XIE),
            "compute_multiple": Input(16, "× the base model's compute", "OpenAI's technical report on Sora, largest sample shown"),
            "GFLOP_B2": Input(23.01, "GFLOP, DiT-B/2", f"{DIT}; that it is the base model is Xie's guess"),
            "GFLOP_XL2": Input(118.64, "GFLOP, DiT-XL/2", DIT),
            "parameters_XL2": Input(675e6, "parameters", DIT),
            "other_parameters": Input(30e9, "parameters", "China Galaxy Securities, 2024, marked as unconfirmed"),
        },
        _parameters,
        "speculation",
        "OpenAI has published no size. The steps given in public lead to 2.1 B, and rest on a guess of the base model; their author calls "
        "them speculation. Another report works with 30 B.",
        f"{XIE}; repeated by {OFWEEK}",
    ),
    Claim(
        "sora-70900",
        "Training Sora takes about 70,900 H100 for one month.",
        {
            "claimed_months": Input(70_900, "H100-months", OFWEEK),
            "tolerance": Input(0.0008, "of the figure", "the rounding of a figure given to hundreds", most=0.5),
            "uploaded_h_per_min": UPLOADED,
            "GFLOP_per_frame": GFLOP_PER_FRAME,
        },
        _months_70900,
        "derivation unknown",
        "The report was not found; its inputs are assumed to be those of the next claim, or the usual ones. Dozens of combinations of them "
        "land on the figure, and on any other such figure too, so a match proves nothing: it cannot be reverse-engineered. How many "
        "there are depends on the lists; another enumeration, whose lists were not kept, found 84.",
        f"{OFWEEK}; primary source not found",
    ),
    Claim(
        "sora-231",
        "231 A100 train Sora on a month of YouTube's new videos in one month.",
        {
            "uploaded_h_per_min": UPLOADED,
            "fps": Input(60, "frames/s", MINSHENG),
            "GFLOP_per_frame": GFLOP_PER_FRAME,
            "peak_FLOP_per_s": Input(312e12, "FLOP/s", "NVIDIA A100 datasheet, bf16 dense"),
            "utilisation": Input(0.8, "of peak", MINSHENG, most=1.0),
            "days": Input(30, "days", MINSHENG),
        },
        _a100,
        "off by 10 × in its own arithmetic",
        "The report's own inputs give ten times its result. Besides, one pass over the data, no backward pass and 80 % of peak are all "
        "on the low side.",
        MINSHENG,
    ),
    Claim(
        "sora-factorial",
        "Sora took 4,200 to 10,500 H100-months; an H100 makes at most 5 min of video an hour; break-even comes at 15.3 to 38.1 M min.",
        {
            "months_low": Input(4200, "H100-months", FACTORIAL),
            "months_high": Input(10_500, "H100-months", FACTORIAL),
            "months_other": Input(70_900, "H100-months", f"{OFWEEK}, the claim sora-70900"),
            "h_per_month": Input(730, "h", "a twelfth of a year"),
            "min_per_h": Input(5, "min of video per H100-hour, at most", FACTORIAL),
            "gpu_W": Input(700, "W", "NVIDIA H100 SXM datasheet, thermal design power"),
            "host_W": HOST_W,
            "pue": PUE,
            "h_of_energy": Input(720, "h", "a month of 30 days"),
        },
        _factorial,
        "reproduces",
        "The low end to the digits given, the high end to 0.6 %. At the GPU's full power the training takes 2.1 to 5.3 GWh, against 35.7 "
        "GWh for the 70,900 of the other claim: the two cannot both be right.",
        FACTORIAL,
    ),
    Claim(
        "image-256-words",
        "Generating one image takes the compute of about 256 words.",
        {
            "claimed_words": Input(256, "words", OFWEEK),
            "image_J": Input(7949, "J", f"{ML_ENERGY}, FLUX.1-dev at 1024 × 1024"),
            "J_per_token_70B": J_PER_TOKEN_70B,
            "tokens_per_word": TOKENS_PER_WORD,
            "pixels": Input(256, "px a side", f"{DIT}; that it is the origin is a guess"),
            "vae_stride": Input(8, "px", DIT),
            "patch": Input(2, "latents a side", DIT),
        },
        _image,
        "ignores the number of steps: about 60 × too low",
        "No source was found; the derivation is unknown. A 256-pixel image is 256 patches in a diffusion transformer, which may be the "
        "origin, but the network reads them all again at every denoising step.",
        f"{OFWEEK}; primary source not found",
    ),
    Claim(
        "minute-1000-chats",
        "One minute of video takes more than 1,000 times the energy of one chat.",
        {
            "Wh_per_chat": Input(0.34, "Wh", ALTMAN),
            "s_per_clip": Input(5, "s", "81 frames at 16 fps"),
            "Wh_1_3B_480p": Input(17.96, "Wh", f"{ML_ENERGY}, Wan 2.1 1.3B, 832 × 480 × 81"),
            "Wh_14B_480p": Input(80.35, "Wh", f"{ML_ENERGY}, Wan 2.1 14B, 832 × 480 × 81"),
            "latent_tokens": Input(75_600, "tokens N", f"{WAN}: 1280 × 720 × 81 is 21 × 45 × 80 patches"),
            "parameters": Input(14.29e9, "parameters P", WAN),
            "width": Input(5120, "channels d", WAN),
            "layers": Input(40, "layers L", WAN),
            "steps": Input(50, "steps", WAN),
            "cfg": Input(2, "forwards per step", "guidance"),
            "GFLOP_per_J": Input(519, "GFLOP/J", "kinowatt's fit over 11 measured clips on H100, geometric mean"),
        },
        _minute,
        "plausible, a linear extrapolation",
        "The order of magnitude is right for today's open models. A minute is taken as twelve five-second clips; made in one piece it "
        "would cost more, since attention grows with the square of the frames. The 720p clip is predicted, not measured.",
        f"{OFWEEK}; primary source not found",
    ),
)

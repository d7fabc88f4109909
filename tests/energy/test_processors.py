"""Tables of processors: rows checked by hand, names as systems and people write them, and what is unknown."""

from pathlib import Path

import pytest

from kinowatt.energy import processors
from kinowatt.energy.processors import cpu, cpu_name, gpu, gpu_names, median_W_per_core


@pytest.mark.parametrize(
    ("said", "name", "tdp_W", "cores", "threads"),
    [
        ("AMD EPYC 7763 64-Core Processor", "EPYC 7763", 280, 64, 128),
        ("AMD EPYC 9654P 96-Core Processor", "EPYC 9654P", 360, 96, 192),
        ("AMD EPYC 9965 192-Core Processor", "EPYC 9965", 500, 192, 384),
        ("Intel(R) Xeon(R) Platinum 8480+", "Xeon Platinum 8480+", 350, 56, 112),
        ("Intel(R) Xeon(R) Platinum 8375C CPU @ 2.90GHz", "Xeon Platinum 8375C", 300, 32, 64),
        ("Intel(R) Xeon(R) Gold 6248R CPU @ 3.00GHz", "Xeon Gold 6248R", 205, 24, 48),
        ("INTEL(R) XEON(R) PLATINUM 8592+", "Xeon Platinum 8592+", 350, 64, 128),
        ("Intel(R) Xeon(R) CPU E5-2680 v4 @ 2.40GHz", "Xeon E5-2680 v4", 120, 14, 28),
        ("AMD Ryzen 9 5950X 16-Core Processor", "Ryzen 9 5950X", 105, 16, 32),
        ("AMD Ryzen 7 5800X3D 8-Core Processor", "Ryzen 7 5800X3D", 105, 8, 16),
        ("AMD Ryzen 7 7840U w/ Radeon 780M Graphics", "Ryzen 7 7840U", 28, 8, 16),
        ("AMD Ryzen Threadripper PRO 5995WX 64-Cores", "Ryzen Threadripper PRO 5995WX", 280, 64, 128),
        ("Intel(R) Core(TM) i7-8700K CPU @ 3.70GHz", "Core i7-8700K", 95, 6, 12),
        ("13th Gen Intel(R) Core(TM) i9-13900K", "Core i9-13900K", 125, 24, 32),
        ("Intel(R) Core(TM) Ultra 7 155H", "Core Ultra 7 155H", 28, 16, 22),
        ("Ampere Altra Q80-30", "Altra Q80-30", 210, 80, 80),
    ],
)
def test_cpus_as_systems_name_them(said: str, name: str, tdp_W: float, cores: int, threads: int) -> None:
    found = cpu(said)
    assert found is not None
    assert (found.name, found.tdp_W, found.cores, found.threads) == (name, tdp_W, cores, threads)
    assert found.W_per_core == tdp_W / cores


@pytest.mark.parametrize(
    "said",
    [
        "AMD EPYC",
        "AMD EPYC-Milan Processor",
        "AMD EPYC 7773",
        "Intel Xeon Processor (Skylake, IBRS)",
        "Intel(R) Xeon(R) Gold 6248X",
        "Apple M3 Pro",
        "x86_64",
        "",
    ],
)
def test_cpus_without_a_model_or_a_row_are_unknown(said: str) -> None:
    assert cpu(said) is None


def test_the_table_of_cpus_is_plausible() -> None:
    known = [found for _, found in processors._cpus()]
    assert len(known) > 100
    assert len({c.name for c in known}) == len(known)
    for c in known:
        assert c.source
        assert c.cores <= c.threads <= 2 * c.cores
        assert 1 < c.W_per_core < 25
        assert cpu(c.name) == c
    assert 4 < median_W_per_core() < 9


def test_the_name_of_this_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processors.sys, "platform", "linux")
    monkeypatch.setattr(processors, "CPUINFO", tmp_path / "cpuinfo")
    assert cpu_name()  # no such file: the architecture
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: AMD EPYC 7763  64-Core Processor\nmodel name\t: other\n")
    assert cpu_name() == "AMD EPYC 7763 64-Core Processor"
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nCPU implementer\t: 0x41\n")
    assert "AMD" not in cpu_name()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("H100", ["h100", "H100-SXM", "h100 sxm5", "NVIDIA H100 80GB HBM3", "H100 80GB"]),
        ("H100 PCIe", ["NVIDIA H100 PCIe", "h100_pcie", "H100PCIE"]),
        ("H100 NVL", ["NVIDIA H100 NVL"]),
        ("H200", ["NVIDIA H200", "h200", "H200 141GB"]),
        ("B200", ["NVIDIA B200", "b200"]),
        ("A100", ["a100", "NVIDIA A100-SXM4-80GB", "A100 80GB"]),
        ("A100 40GB", ["NVIDIA A100-SXM4-40GB", "a100-40gb"]),
        ("A100 PCIe", ["NVIDIA A100 80GB PCIe"]),
        ("A100 PCIe 40GB", ["NVIDIA A100-PCIE-40GB"]),
        ("L40S", ["NVIDIA L40S", "l40s"]),
        ("L4", ["NVIDIA L4"]),
        ("T4", ["Tesla T4"]),
        ("V100", ["v100", "Tesla V100-SXM2-32GB"]),
        ("V100 16GB", ["Tesla V100-SXM2-16GB"]),
        ("V100 PCIe 16GB", ["Tesla V100-PCIE-16GB"]),
        ("RTX 4090", ["rtx4090", "RTX-4090", "NVIDIA GeForce RTX 4090", "4090"]),
        ("RTX 5090", ["NVIDIA GeForce RTX 5090"]),
        ("RTX 3090", ["NVIDIA GeForce RTX 3090"]),
        ("RTX 6000 Ada", ["NVIDIA RTX 6000 Ada Generation", "rtx 6000 ada"]),
        ("RTX PRO 6000 Blackwell", ["NVIDIA RTX PRO 6000 Blackwell Workstation Edition"]),
        ("MI300X", ["AMD Instinct MI300X", "mi300x"]),
    ],
)
def test_gpus_as_nvml_and_people_name_them(name: str, said: list[str]) -> None:
    for s in said:
        found = gpu(s)
        assert found is not None, s
        assert found.name == name


@pytest.mark.parametrize(
    "said",
    [
        "",
        "GPU",
        "NVIDIA",
        "H1000",
        "NVIDIA GeForce RTX 4090 Laptop GPU",
        "NVIDIA GeForce RTX 4080 SUPER",
        "NVIDIA GeForce RTX 4090 D",
        "Quadro RTX 6000",
        "NVIDIA H100 80GB HBM3 MIG 1g.10gb",
        "llvmpipe",
    ],
)
def test_other_gpus_are_unknown(said: str) -> None:
    assert gpu(said) is None


@pytest.mark.parametrize(
    ("name", "tflops", "tdp_W", "memory_GB", "bandwidth_GB_per_s"),
    [
        ("H100", 989.4, 700, 80, 3350),
        ("H100 PCIe", 756, 350, 80, 2000),
        ("B200", 2250, 1000, 180, 7700),
        ("A100", 312, 400, 80, 2039),
        ("V100", 125, 300, 32, 900),
        ("L4", 121, 72, 24, 300),
        ("RTX 4090", 165.2, 450, 24, 1008),
        ("RTX 3090", 71, 350, 24, 936),
        ("MI300X", 1307.4, 750, 192, 5300),
    ],
)
def test_rows_of_gpus_by_hand(name: str, tflops: float, tdp_W: float, memory_GB: float, bandwidth_GB_per_s: float) -> None:
    g = gpu(name)
    assert g is not None
    assert (g.tflops, g.tdp_W, g.memory_GB, g.bandwidth_GB_per_s) == (tflops, tdp_W, memory_GB, bandwidth_GB_per_s)


def test_the_table_of_gpus_is_plausible() -> None:
    assert len(set(gpu_names())) == len(gpu_names()) > 25
    for name in gpu_names():
        g = gpu(name)
        assert g is not None
        assert g.name == name
        assert g.source
        assert g.precision == ("fp16" if name.startswith(("V100", "T4", "RTX 2080")) else "bf16")
        assert 0.15 < g.tflops / g.tdp_W < 3

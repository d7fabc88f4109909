"""The table of intensities: every zone can be read back, unknown ones are errors, PUE is checked."""

import pytest

from kinowatt.energy import carbon
from kinowatt.errors import InputError


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in (carbon.ZONE_VARIABLE, carbon.PUE_VARIABLE):
        monkeypatch.delenv(variable, raising=False)


def test_every_zone_is_readable_and_plausible() -> None:
    assert len(carbon.zones()) == 315
    for zone in carbon.zones():
        row = carbon.intensity(zone)
        assert row.zone == zone
        assert 0 < row.gCO2e_per_kWh < 1400  # no grid is free of carbon; the greatest is 1306, of Turkmenistan
        assert 2009 <= row.year <= 2026  # Western Sahara's is from 2009: so the bill says the year
        assert row.name
        assert len(row.source) > 20


@pytest.mark.parametrize(
    ("zone", "code", "value", "year", "source"),
    [
        ("CN-GD", "CN-GD", 441.9, 2023, "MEE"),
        ("cn_gd", "CN-GD", 441.9, 2023, "2025 no. 47"),
        ("CN-YN", "CN-YN", 133.3, 2023, "MEE"),
        (" us-ca ", "US-CA", 179.1, 2023, "eGRID2023"),  # 394.769 lb/MWh × 0.45359237
        ("US-WY", "US-WY", 831.6, 2023, "eGRID2023"),  # 1833.263
        ("CA-QC", "CA-QC", 1.9, 2023, "Environment and Climate Change Canada"),
        ("AU-VIC", "AU-VIC", 780.0, 2025, "National Greenhouse Accounts"),
        ("TW", "TWN", 642.4, 2023, "Our World in Data"),
        ("twn", "TWN", 642.4, 2023, "Our World in Data"),
        ("World", "world", 480.6, 2023, "Our World in Data"),
    ],
)
def test_zones(zone: str, code: str, value: float, year: int, source: str) -> None:
    row = carbon.intensity(zone)
    assert (row.zone, row.gCO2e_per_kWh, row.year) == (code, value, year)
    assert source in row.source


def test_provinces_and_states_are_complete() -> None:
    count = {c: sum(z.startswith(c) for z in carbon.zones()) for c in ("CN-", "US-", "CA-", "AU-")}
    assert count == {"CN-": 30, "US-": 51, "CA-": 13, "AU-": 8}  # mainland without Tibet, which the announcement leaves out


def test_the_environment_names_the_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert carbon.intensity().zone == "world"
    monkeypatch.setenv(carbon.ZONE_VARIABLE, "cn-sc")
    assert carbon.intensity().name == "Sichuan, China"
    assert carbon.intensity("DE").zone == "DEU"


@pytest.mark.parametrize(
    ("zone", "near"), [("CN-GDD", "CN-GD"), ("Guangdong", "CN-GD"), ("texas", "US-TX"), ("Germny", "DEU"), ("CN-XZ", "use an ISO")]
)
def test_an_unknown_zone_says_what_is_near(zone: str, near: str) -> None:
    with pytest.raises(InputError, match="ISO country code") as error:
        carbon.intensity(zone)
    assert near in str(error.value)
    assert "\n" not in str(error.value)


def test_names_of_zones_that_only_others_know() -> None:
    assert carbon.zone_name("FR") == "France"
    assert carbon.zone_name("US-CAL-CISO") == "US-CAL-CISO"
    assert carbon.code_of("us-cal-ciso") is None
    assert carbon.alpha_2("DEU") == "DE"
    assert carbon.alpha_2("CN-GD") is None
    assert carbon.alpha_2("Atlantis") is None


def test_pue(monkeypatch: pytest.MonkeyPatch) -> None:
    assert carbon.pue() == 1.0
    assert carbon.pue(1.25) == 1.25
    monkeypatch.setenv(carbon.PUE_VARIABLE, "1.4")
    assert carbon.pue() == 1.4
    assert carbon.pue(1.1) == 1.1


@pytest.mark.parametrize("said", ["0.99", "0", "-1", "nan", "inf", "much", "1,2"])
def test_a_pue_that_cannot_be(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(carbon.PUE_VARIABLE, said)
    with pytest.raises(InputError, match="at least 1"):
        carbon.pue()
    if said not in ("much", "1,2"):
        with pytest.raises(InputError, match="PUE=") as error:
            carbon.pue(float(said))
        assert carbon.PUE_VARIABLE not in str(error.value)

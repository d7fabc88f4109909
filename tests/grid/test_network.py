"""Networks: the same voltages and loadings as pandapower, with taps, shifts, shunts and open ends; and what is refused, in one sentence."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gridding import PLACES, five_buses, write_net
from kinowatt.errors import GridError
from kinowatt.grid.circuit import circuit_of
from kinowatt.grid.flow import Solver, check, with_pandapower
from kinowatt.grid.network import Network, kind_of, read_network


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Network:
    return read_network(str(write_net(five_buses(), tmp_path_factory.mktemp("net") / "five.json")))


def snapshots(nodes: int, count: int = 12) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    return rng.uniform(-3, 3, (count, nodes)), rng.uniform(-1, 1, (count, nodes))


def test_what_was_read(network: Network) -> None:
    c = network.circuit
    assert (c.nodes, c.elements) == (6, 5)  # the open end of a line is a node, too
    assert c.kinds == ("line",) * 4 + ("trafo",)
    assert network.plants["pv"].total_MW == pytest.approx(3.0)
    assert network.plants["wind"].total_MW == pytest.approx(3.0)
    assert network.peak_load_MW == pytest.approx(6.0)
    real = c.bus_of_node >= 0
    assert np.allclose(np.stack([network.lon_N, network.lat_N], 1)[real], np.array(PLACES)[c.bus_of_node[real]])
    assert np.isfinite(network.lat_N).all()
    assert c.source_node[0] not in network.candidates()


def test_equals_pandapower(network: Network) -> None:
    p, q = snapshots(network.circuit.nodes)
    p[:, network.circuit.bus_of_node < 0] = q[:, network.circuit.bus_of_node < 0] = 0.0
    flows = Solver(network.circuit).solve(p, q)
    said = check(network.circuit, network.net, p, q, flows)
    assert said.snapshots == 12
    assert said.one_converged == 0
    assert said.voltage_pu < 1e-6
    assert said.loading_percent < 1e-3
    theirs = with_pandapower(network.circuit, network.net, p, q)
    assert np.allclose(theirs.losses_S_MW, flows.losses_S_MW, atol=1e-5)
    assert np.allclose(theirs.from_SK_MW, flows.from_SK_MW, atol=1e-4)


def test_a_wrong_circuit_is_found_out(network: Network) -> None:
    p, q = snapshots(network.circuit.nodes, 3)
    p[:, network.circuit.bus_of_node < 0] = q[:, network.circuit.bus_of_node < 0] = 0.0
    wrong = Solver(network.circuit.doubled(0)).solve(p, q)
    with pytest.raises(GridError, match="differ by"):
        check(network.circuit, network.net, p, q, wrong)


def test_taps_are_not_passed_over(network: Network) -> None:
    """pandapower 3 ignores the taps of a transformer whose changer has no type; the voltage shows that ours counts."""
    p = np.zeros((1, network.circuit.nodes))
    high = Solver(network.circuit).solve(p, p).voltage_SN_pu[0]
    net = five_buses()
    net.trafo["tap_pos"] = 0
    net.trafo["tap_changer_type"] = "Ratio"
    neutral = Solver(circuit_of(net)).solve(p, p).voltage_SN_pu[0]
    assert abs(high - neutral)[network.circuit.node_of_bus[1]] == pytest.approx(0.03, abs=0.002)


@pytest.mark.parametrize(("table", "element"), [("line", 0), ("trafo", 4)])
def test_a_second_one_beside(network: Network, table: str, element: int) -> None:
    net = five_buses()
    net.trafo["tap_changer_type"] = "Ratio"
    net[table].loc[0, "parallel"] = 2
    p, q = snapshots(network.circuit.nodes, 4)
    p[:, network.circuit.bus_of_node < 0] = q[:, network.circuit.bus_of_node < 0] = 0.0
    want, got = (Solver(c).solve(p, q) for c in (circuit_of(net), network.circuit.doubled(element)))
    assert np.allclose(want.loading_SE_percent, got.loading_SE_percent, atol=1e-4)
    assert np.allclose(want.voltage_SN_pu, got.voltage_SN_pu, atol=1e-6)


def test_three_windings() -> None:
    import pandapower as pp

    net = five_buses()
    b = pp.create_bus(net, 10.0, geodata=(11.41, 53.6), name="low")
    pp.create_transformer3w(net, 0, 1, b, "63/25/38 MVA 110/20/10 kV")
    pp.create_load(net, b, 3.0, 1.0)
    net.trafo["tap_changer_type"] = "Ratio"
    net.trafo3w["tap_changer_type"] = "Ratio"
    c = circuit_of(net)
    assert c.kinds[-1] == "trafo3w"
    p, q = snapshots(c.nodes, 5)
    p[:, c.bus_of_node < 0] = q[:, c.bus_of_node < 0] = 0.0
    said = check(c, net, p, q, Solver(c).solve(p, q))
    assert said.voltage_pu < 1e-6
    assert said.loading_percent < 1e-3


def test_one_that_does_not_converge_is_marked_and_spoils_no_other(network: Network) -> None:
    p, q = snapshots(network.circuit.nodes, 6)
    p[:, network.circuit.bus_of_node < 0] = q[:, network.circuit.bus_of_node < 0] = 0.0
    alone = Solver(network.circuit).solve(p, q)
    p[2, network.circuit.node_of_bus[3]] = -500.0
    flows = Solver(network.circuit).solve(p, q)
    assert flows.converged_S.tolist() == [True, True, False, True, True, True]
    assert np.isnan(flows.voltage_SN_pu[2]).all()
    keep = [0, 1, 3, 4, 5]
    assert np.array_equal(flows.voltage_SN_pu[keep], alone.voltage_SN_pu[keep])


def test_generators_that_hold_voltages_need_pandapower(tmp_path: Path) -> None:
    import pandapower as pp

    net = five_buses()
    pp.create_gen(net, 4, 0.0, vm_pu=1.02)
    network = read_network(str(write_net(net, tmp_path / "gen.json")))
    assert network.circuit.regulated
    assert any("pandapower solves every snapshot" in note for note in network.notes)
    p = np.zeros((1, network.circuit.nodes))
    flows = Solver(network.circuit, network.net).solve(p, p)
    assert flows.voltage_SN_pu[0, network.circuit.node_of_bus[4]] == pytest.approx(1.02)


def without_places() -> Any:
    net = five_buses()
    net.bus["geo"] = None
    return net


def test_without_coordinates(tmp_path: Path) -> None:
    path = write_net(without_places(), tmp_path / "bare.json")
    with pytest.raises(GridError, match=r"bare.json has no coordinates.*--coordinates"):
        read_network(str(path))
    given = tmp_path / "at.csv"
    given.write_text("bus,lat,lon\n" + "".join(f"B{i},{lat},{lon}\n" for i, (lon, lat) in enumerate(PLACES)))
    assert read_network(str(path), given).lat_N[0] == pytest.approx(53.60)
    given.write_text("bus,lat,lon\nB0,53.6,11.4\n")
    with pytest.raises(GridError, match="no coordinates of bus 1 and of 3 more"):
        read_network(str(path), given)
    given.write_text("bus,lat,lon\nB0,north,11.4\n")
    with pytest.raises(GridError, match="cannot be read as coordinates"):
        read_network(str(path), given)
    given.write_text("bus,lat,lon\n" + "".join(f"{i},{5.9e6 + i},{4.4e6}\n" for i in range(5)))
    with pytest.raises(GridError, match="not in degrees"):
        read_network(str(path), given)


CASE = """function mpc = case3
mpc.version = '2';
mpc.baseMVA = 100;
mpc.bus = [
1 3 0 0 0 0 1 1 0 110 1 1.1 0.9;
2 1 20 5 0 0 1 1 0 110 1 1.1 0.9;
3 1 10 3 0 0 1 1 0 110 1 1.1 0.9;
];
mpc.gen = [
1 0 0 100 -100 1.02 100 1 200 0;
];
mpc.branch = [
1 2 0.01 0.05 0.02 80 80 80 0 0 1 -360 360;
2 3 0.02 0.06 0.02 80 80 80 0 0 1 -360 360;
];
"""


def test_a_matpower_case(tmp_path: Path) -> None:
    path, at = tmp_path / "case3.m", tmp_path / "at.csv"
    path.write_text(CASE)
    with pytest.raises(GridError, match="no coordinates"):
        read_network(str(path))
    at.write_text("bus,lat,lon\n" + "".join(f"{i},53.{6 + i},11.5\n" for i in range(3)))
    network = read_network(str(path), at)
    assert network.circuit.elements == 2
    assert network.peak_load_MW == pytest.approx(30.0)


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("damaged.json", '{"bus": [1, 2', "damaged.json cannot be read as a network"),
        ("empty.json", "{}", "empty.json"),
        ("damaged.m", "function mpc = x\nmpc.bus = [1 2", "damaged.m cannot be read"),
        ("net.xlsx", "", "no known network"),
    ],
)
def test_damaged(tmp_path: Path, name: str, text: str, sentence: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(GridError, match=sentence) as caught:
        read_network(str(tmp_path / name))
    assert "\n" not in str(caught.value)


def test_names_that_are_not_there() -> None:
    with pytest.raises(GridError, match=r"nowhere.json does not exist"):
        read_network("nowhere.json")
    with pytest.raises(GridError, match="SimBench has no network '1-HV-foo--0-sw'; try 1-HV"):
        read_network("simbench:1-HV-foo--0-sw")


def test_a_network_that_does_not_converge(tmp_path: Path) -> None:
    net = five_buses()
    net.load["p_mw"] = 900.0
    with pytest.raises(GridError, match="does not converge"):
        read_network(str(write_net(net, tmp_path / "heavy.json")))


def test_kinds() -> None:
    assert kind_of({"type": "Wind_MV", "profile": "WP4"}) == "wind"
    assert kind_of({"type": "PV", "name": "roof"}) == "pv"
    assert kind_of({"type": "lv_RES", "profile": "lv_rural1"}) == "pv"
    assert kind_of({"type": "Biomass_MV", "profile": "BM1"}) == "other"


def test_simbench(tmp_path: Path) -> None:
    """A real network: coordinates, profiles, taps at their set points, and times on the year of its profiles."""
    network = read_network("simbench:1-MV-rural--0-sw")
    assert network.load_YN_MW.shape == (35136, network.circuit.nodes)
    assert "ODbL" in network.licence
    assert network.plants["wind"].total_MW == pytest.approx(11.4)
    times = np.array(["2012-02-29T12:07", "2012-01-01T00:00", "2013-12-31T23:30"], "datetime64[ns]")
    assert network.year_index(times).tolist() == [59 * 96 + 13 * 4, 4, 2]  # an hour later on the clock there
    rows = np.arange(0, 35136, 4000)
    p = sum(k.profile_YN_MW for k in network.plants.values())[rows] - network.load_YN_MW[rows]
    said = check(
        network.circuit, network.net, p, -network.load_YN_Mvar[rows], Solver(network.circuit).solve(p, -network.load_YN_Mvar[rows])
    )
    assert said.voltage_pu < 1e-5

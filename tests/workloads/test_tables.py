"""Layer tables: known networks, SCALE-Sim's own files, round trips, and every refusal with its place."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwgen.errors import BadInput
from hwgen.workloads import Layer, Workload, gemms, load, minilm_gemms
from hwgen.workloads.layers import INPUT, shapes, total_macs
from hwgen.workloads.tables import KNOWN, dumps, parse_layer, parse_scalesim, parse_toml

SCALESIM = Path(__file__).parent.parent / "data" / "scalesim"
CONV_HEADER = (
    "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides,\n"
)


@pytest.mark.parametrize(
    ("name", "giga_macs", "products", "layers"),
    [("resnet18", 1.814, 21, 31), ("mobilenet_v2", 0.3008, 53, 64), ("minilm", 1.434, 48, 48)],
)
def test_known_networks_have_the_known_work(name, giga_macs, products, layers):
    net = load(name)
    assert net.name == name
    assert net.source
    assert net.source_url
    assert net.licence
    assert total_macs(net) / 1e9 == pytest.approx(giga_macs, rel=5e-4)
    assert sum(layer.product for layer in net.layers) == products
    assert len(net.layers) == layers


def test_resnet18_is_a_whole_graph():
    net = load("resnet18")
    sizes = shapes(net)
    assert sizes["maxpool"] == (56, 56, 64)
    assert sizes["layer4.1.add"] == (7, 7, 512)
    assert sizes["fc"] == (1, 1, 1000)
    kinds = [layer.kind for layer in net.layers]
    assert [kinds.count(kind) for kind in ("add", "maxpool", "avgpool")] == [8, 1, 1]
    _all_but_the_last_are_read(net)


def test_mobilenet_v2_is_a_whole_graph():
    net = load("mobilenet_v2")
    sizes = shapes(net)
    assert sizes["features.18.0"] == (7, 7, 1280)
    assert sizes["classifier.1"] == (1, 1, 1000)
    assert sum(layer.kind == "add" for layer in net.layers) == 10
    assert sum(layer.groups > 1 for layer in net.layers) == 17
    _all_but_the_last_are_read(net)


def _all_but_the_last_are_read(net):
    read = {name for layer in net.layers for name in layer.inputs}
    assert {layer.name for layer in net.layers} - read == {net.layers[-1].name}


def test_the_minilm_table_is_for_128_tokens():
    assert gemms(load("minilm")) == minilm_gemms(128)


SCALESIM_GEMMS = {
    "Conv1": (12100, 64, 147),
    **dict.fromkeys(("Conv2_1a", "Conv2_1b", "Conv2_2a", "Conv2_2b"), (2916, 64, 576)),
    "Conv3_1a": (784, 128, 576),
    **dict.fromkeys(("Conv3_1b", "Conv3_2a", "Conv3_2b"), (676, 128, 1152)),
    "Conv3_s": (841, 128, 64),
    "Conv4_1a": (196, 256, 1152),
    **dict.fromkeys(("Conv4_1b", "Conv4_2a", "Conv4_2b"), (144, 256, 2304)),
    "Conv4_s": (225, 256, 128),
    "Conv5_1a": (49, 512, 2304),
    **dict.fromkeys(("Conv5_1b", "Conv5_2a", "Conv5_2b"), (25, 512, 4608)),
    "Conv5_s": (64, 512, 256),
    "FC": (1, 1000, 512),
}


def test_scalesim_resnet18_is_what_scalesim_counts():
    """No padding, but windows that hang over the edge: M, N, K of its reports, 1.471 G MAC."""
    net = load(SCALESIM / "Resnet18.csv")
    assert {g.name: (g.m, g.n, g.k) for g in gemms(net)} == SCALESIM_GEMMS
    assert len(net.layers) == 21
    assert total_macs(net) == 1_471_181_568
    assert net.source == "SCALE-Sim table Resnet18.csv"


@pytest.mark.parametrize(
    ("file", "layers", "last"),
    [
        ("Resnet50", 54, ("FC6", 1, 1000, 2048)),
        ("gpt2", 6, ("PW-FF-L2", 1024, 1600, 3072)),
        ("mobilenet", 27, ("Conv27", 49, 1024, 1024)),
        ("test_mnk_input", 1, ("Test 1", 256, 128, 256)),
        ("vit_b", 5, ("L4", 196, 768, 3072)),
        ("vit_s", 5, ("L4", 196, 384, 1536)),
        ("yolo_tiny", 9, ("Conv9", 49, 125, 1024)),
    ],
)
def test_other_scalesim_tables_read_as_they_are(file, layers, last):
    net = load(str(SCALESIM / f"{file}.csv"))
    assert (net.name, len(net.layers)) == (file, layers)
    g = gemms(net)[-1]
    assert (g.name, g.m, g.n, g.k) == last
    assert all(not layer.inputs for layer in net.layers)


def test_dense_ratios_notes_and_line_ends_are_accepted():
    text = (
        "layer,M,N,K,Sparsity\r\n\r\na, 1,2 ,3,4:4\r\nb,1,2,3\r\nc,1,2,3,,a note,7\r\n,,,\r\nd,+1,02,3,1 : 1,"
    )
    assert [layer.gemm for layer in parse_scalesim(text, "t.csv").layers] == [(1, 3, 2)] * 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "t.csv is empty; expected a header line and at least one layer"),
        ("\n ,,\n", "t.csv is empty"),
        ("Layer,M,N,K\n", "t.csv has a header line but no layer"),
        (
            "a,1,2,3\n",
            "t.csv, line 1 is not a header of SCALE-Sim; expected 'Layer, M, N, K' or 'Layer name, ",
        ),
        ("Layer,M,K,N\na,1,2,3\n", "t.csv, line 1 is not a header"),
        ("Layer,M,N,K\na,1,2\n", r"t.csv, line 2: column 4 \(K\) is missing; complete the row"),
        ("Layer,M,N,K\n\na,1,,2\n", r"t.csv, line 3: column 3 \(N\) is missing"),
        (
            "Layer,M,N,K\na,1,x,2\n",
            r"t.csv, line 2: column 3 \(N\) must be a whole number of at least 1, not 'x'",
        ),
        ("Layer,M,N,K\na,1,-4,2\n", r"line 2: column 3 \(N\) must be a whole number of at least 1, not '-4'"),
        ("Layer,M,N,K\na,0,4,2\n", r"line 2: column 2 \(M\) must be a whole number of at least 1, not '0'"),
        ("Layer,M,N,K\na,1.0,4,2\n", r"line 2: column 2 \(M\) must be a whole number"),
        ("Layer,M,N,K\na,99999999,4,2\n", r"line 2: gemm of layer 'a' must be 3 integers in 1\.\.2\^24"),
        ("Layer,M,N,K\n,1,4,2\n", "line 2: name of a layer must not be empty"),
        ("Layer,M,N,K\na,1,4,2\na,1,4,2\n", "t.csv, line 3: layer 'a' is there already"),
        ("Layer,M,N,K\na,1,4,2,3:4\n", "line 2: column 5 asks for 3:4 sparsity; the patterns are 0:16, 1:16"),
        (
            "Layer,M,N,K\na,1,4,2,4\n",
            "line 2: column 5 must be an N:M sparsity such as 4:4, or empty, not '4'",
        ),
        (f"{CONV_HEADER}a,8,8,3,3,4\n", r"line 2: column 7 \(Num Filter\) is missing"),
        (f"{CONV_HEADER}a,8,8,3,3,4,5,1,1:2\n", "line 2: column 9 asks for 1:2 sparsity"),
        (
            f"{CONV_HEADER}a,8,8,9,3,4,5,1\n",
            "line 2: kernel of layer 'a' is 9 high, but its padded input is only 8",
        ),
    ],
)
def test_a_scalesim_table_is_refused_with_its_place(text, message):
    with pytest.raises(BadInput, match=message):
        parse_scalesim(text, "t.csv")


@given(
    rows=st.lists(st.tuples(*[st.integers(1, 1 << 24)] * 3), min_size=1, max_size=5),
    space=st.sampled_from(["", " ", "\t", "   "]),
    end=st.sampled_from(["", ",", ",,,", ",1:1", ",4:4,"]),
    line_end=st.sampled_from(["\n", "\r\n", "\n\n", "\n,,,\n"]),
)
def test_scalesim_gemms_survive_their_spelling(rows, space, end, line_end):
    lines = ["Layer,M,N,K,"]
    for i, (m, k, n) in enumerate(rows):
        lines.append(f",{space}".join([f"L{i}", str(m), str(n), str(k)]) + end)
    assert [layer.gemm for layer in parse_scalesim(line_end.join(lines), "t.csv").layers] == rows


@given(
    size=st.integers(1, 40), kernel=st.integers(1, 12), stride=st.integers(1, 9), channels=st.integers(1, 9)
)
def test_scalesim_counts_windows_that_begin_inside_or_reach_the_edge(size, kernel, stride, channels):
    text = f"{CONV_HEADER}a,{size},{size},{kernel},{kernel},{channels},5,{stride}\n"
    if kernel > size:
        with pytest.raises(BadInput, match="line 2: kernel of layer 'a'"):
            parse_scalesim(text, "t.csv")
        return
    side = 1 + len(
        [start for start in range(1, size + stride) if start % stride == 0 and start - stride < size - kernel]
    )
    assert shapes(parse_scalesim(text, "t.csv"))["a"] == (side, side, 5)


TOML = """
name = "tiny"
source = "by hand"
licence = "MIT"
input = [8, 6, 3]

[[layer]]
name = "c"
kind = "conv"
inputs = "input"
out_channels = 4
kernel = 3
stride = 2
pad = 1
relu = true
lut_share = 0.5

[[layer]]
name = "fc"
kind = "gemm"
inputs = ["c"]
gemm = [1, 48, 10]
act_bits = 4
weight_bits = 2
"""


def test_a_toml_table_with_short_forms():
    net = parse_toml(TOML, "file.toml")
    assert net == Workload(
        name="tiny",
        source="by hand",
        licence="MIT",
        input_shape=(8, 6, 3),
        layers=(
            Layer(
                "c", "conv", inputs=("input",), out_channels=4, kernel=(3, 3), stride=(2, 2), pad=(1, 1, 1, 1),
                relu=True, lut_share=0.5,
            ),
            Layer("fc", "gemm", inputs=("c",), gemm=(1, 48, 10), act_bits=4, weight_bits=2),
        ),
    )  # fmt: skip


def test_a_toml_list_of_gemms_is_named_after_its_file():
    text = "[[gemm]]\nname='a'\nm=1\nn=2\nk=3\n[[gemm]]\nname='b'\nm=4\nn=5\nk=6\nrepeat=7\nact_bits=4\n"
    assert parse_toml(text, "some/list.toml") == Workload(
        name="list",
        layers=(
            Layer("a", "gemm", gemm=(1, 3, 2)),
            Layer("b", "gemm", gemm=(4, 6, 5), groups=7, act_bits=4),
        ),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = \n", r"t.toml is not TOML: .*line 1"),
        ("x = " + "[" * 5000, "t.toml is not TOML"),
        ("", r"t.toml: the table has neither \[\[layer\]\] nor \[\[gemm\]\]"),
        ("[[layer]]\n[[gemm]]\n", r"t.toml: the table has both"),
        ("layer = []", "t.toml: layers of workload 't' must not be empty"),
        ("layer = 3", r"t.toml: layer must be an array of tables; write \[\[layer\]\] before each"),
        ("nmae = 'x'\n[[gemm]]", "t.toml: the table has an unknown field 'nmae'; expected only name, "),
        ("[[layer]]\nkind = 'add'", r"t.toml: \[\[layer\]\] number 1 lacks the field 'name'"),
        ("[[gemm]]\nname='a'\nm=1\nk=1", "t.toml: gemm 'a' lacks the field 'n'; give name, m, n, k"),
        ("[[gemm]]\nname='a'\nm=1\nk=1\nn='x'", "t.toml: gemm of layer 'a' must be 3 integers in"),
        ("[[layer]]\nname='a'\nkind='conv'\nwide=1", "t.toml: layer 'a' has an unknown field 'wide'"),
        ("[[layer]]\nname='a'\nkind=[1]", r"t.toml: kind of layer 'a' must be one of .*, not \(1,\)"),
        ("[[layer]]\nname=1\nkind='add'", "t.toml: name of a layer must be one line of printable text"),
        ("name=1\n[[gemm]]\nname='a'\nm=1\nn=1\nk=1", "t.toml: name of a workload must be one line"),
        ("input=1\n[[gemm]]\nname='a'\nm=1\nn=1\nk=1", "t.toml: input_shape of workload 't' must be"),
    ],
)
def test_a_toml_table_is_refused_with_its_place(text, message):
    with pytest.raises(BadInput, match=message):
        parse_toml(text, "t.toml")


@pytest.mark.parametrize("name", KNOWN)
def test_writing_and_reading_a_network_is_the_identity(name):
    net = load(name)
    assert parse_toml(dumps(net), "other.toml") == net


PRINTABLE = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=8)
NAMES = st.tuples(PRINTABLE, PRINTABLE).map(" ".join).filter(lambda name: name != INPUT)
BITS = st.integers(1, 8)
COMMON = {
    "groups": st.integers(1, 3),
    "relu": st.booleans(),
    "act_bits": BITS,
    "weight_bits": BITS,
    "lut_share": st.none() | st.floats(0, 1),
}


@st.composite
def workloads(draw):
    layers = []
    for name in draw(st.lists(NAMES, min_size=1, max_size=4, unique=True)):
        common = {key: draw(values) for key, values in COMMON.items()}
        if draw(st.booleans()):
            size = draw(st.tuples(*[st.integers(1, 99)] * 3))
            layers.append(Layer(name, "gemm", gemm=size, **common))
        else:
            channels = common["groups"] * draw(st.integers(1, 5))
            kernel, stride = (draw(st.tuples(*[st.integers(1, 3)] * 2)) for _ in range(2))
            pad = draw(st.tuples(*[st.integers(0, 3)] * 4))
            layers.append(
                Layer(
                    name, "conv", out_channels=channels, kernel=kernel, stride=stride, pad=pad,
                    input_shape=(3, draw(st.integers(3, 9)), channels), **common,
                )
            )  # fmt: skip
    return Workload(name=draw(NAMES), layers=tuple(layers), source=draw(st.just("") | NAMES))


@given(workloads())
def test_writing_and_reading_any_workload_is_the_identity(workload):
    assert parse_toml(dumps(workload), "other.toml") == workload


@given(st.text(max_size=80) | st.text("conv:gem,x0123456789knspMNKLayr \n[]={}'", max_size=80))
def test_any_text_is_a_workload_or_refused(text):
    for reader in (parse_toml, parse_scalesim):
        for prefix in ("", CONV_HEADER, "Layer,M,N,K\n", "[[gemm]]\nname='a'\n"):
            _read_or_refused(reader, prefix + text, "t")
    for prefix in ("", "conv:", "gemm:", "conv:5x5x5,", "conv:5x5x5,k3,n4"):
        _read_or_refused(parse_layer, prefix + text)


def _read_or_refused(reader, *arguments):
    with suppress(BadInput):
        assert isinstance(reader(*arguments), Workload)


@pytest.mark.parametrize(
    ("text", "layer", "work"),
    [
        (
            "conv:56x56x64,k3,s1,p1,n64",
            {"out_channels": 64, "kernel": (3, 3), "pad": (1, 1, 1, 1), "input_shape": (56, 56, 64)},
            56 * 56 * 9 * 64 * 64,
        ),
        (
            "conv:9x8x4,n8,g4,k3x1,s2x3",
            {"out_channels": 8, "kernel": (3, 1), "stride": (2, 3), "groups": 4, "input_shape": (9, 8, 4)},
            4 * 3 * 3 * 8,
        ),
    ],
)
def test_a_convolution_on_one_line(text, layer, work):
    net = load(text)
    assert net == Workload(name=text, layers=(Layer("conv", "conv", **layer),))
    assert total_macs(net) == work


def test_a_gemm_on_one_line():
    assert load("gemm:128x384x1536").layers == (Layer("gemm", "gemm", gemm=(128, 384, 1536)),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "gemm:128x384",
            "'gemm:128x384' is not a layer, because '128x384' is not 3 numbers joined by x; expected",
        ),
        ("gemm:1x2x3,k3", "because 'k3' has no meaning for a GEMM"),
        ("gemm:0x2x3", "gemm of layer 'gemm' must be 3 integers in"),
        ("conv:8x8x3,k3", "because 'n' is missing"),
        ("conv:8x8x3,k3,n4,k3", "because 'k3' is unknown or there twice"),
        ("conv:8x8x3,k3,n4,", "because '' is unknown or there twice"),
        ("conv:8x8x3,k3,n", "because '' is not 1 number;"),
        ("conv:8x8x3,k3x3x3,n4", "because '3x3x3' is not 2 numbers joined by x"),
        ("conv:8x8x3,k9,n4", "kernel of layer 'conv' is 9 high, but its padded input is only 8"),
    ],
)
def test_a_line_is_refused(text, message):
    with pytest.raises(BadInput, match=message):
        load(text)


def test_parse_layer_refuses_another_kind():
    with pytest.raises(BadInput, match="because 'pool' is no kind of layer"):
        parse_layer("pool:1x1x1")


def test_load_says_what_it_takes(tmp_path):
    with pytest.raises(
        BadInput, match=r"workload 'resnet19' is neither a known network \(minilm, mobilenet_v2, resnet18"
    ):
        load("resnet19")
    with pytest.raises(
        BadInput, match=r"none\.csv cannot be read \(No such file or directory\); give a readable"
    ):
        load(tmp_path / "none.csv")
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe")
    with pytest.raises(BadInput, match=r"bytes\.csv cannot be read \(not UTF-8 text\)"):
        load(tmp_path / "bytes.csv")
    with pytest.raises(BadInput, match=r"cannot be read \(embedded null"):
        load("a\0.csv")


def test_a_file_is_read_with_its_byte_order_mark(tmp_path):
    (tmp_path / "T.CSV").write_bytes(b"\xef\xbb\xbfLayer,M,N,K\na,1,2,3\n")
    assert load(tmp_path / "T.CSV").layers[0].gemm == (1, 3, 2)
    (tmp_path / "net.toml").write_text(TOML)
    assert load(str(tmp_path / "net.toml")).name == "tiny"


def test_a_file_whose_name_is_no_name_for_a_workload_is_refused():
    with pytest.raises(BadInput, match="name of a workload must be one line of printable text"):
        parse_scalesim("Layer,M,N,K\na,1,2,3\n", "a\tb.csv")

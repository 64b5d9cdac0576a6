"""MDX-Net: an ONNX file between two transforms, against the same arithmetic in torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from core.errors import UnbakeError
from models import mdxnet, protobuf, registry
from models.registry import Card

CONFIG: dict[str, Any] = {
    "mdx_dim_f_set": 96,
    "mdx_dim_t_set": 4,
    "mdx_n_fft_scale_set": 2048,
    "compensate": 1.02,
    "primary_stem": "Vocals",
}
CHUNK = 15 * 1024
GENERATOR = torch.Generator().manual_seed(2)
KERNEL = 0.1 * torch.randn(4, 4, 3, 3, generator=GENERATOR)
BIAS = 0.1 * torch.randn(4, generator=GENERATOR)


def card(**changes: Any) -> Card:
    fields = {"stems": ("vocals",), "sample_rate": 44_100, "chunk": CHUNK, "config": CONFIG, **changes}
    return Card(name="tiny", architecture="mdxnet", about="A test.", licence="none", source="nowhere", **fields)


def model(batch: int | str = "batch_size", bins: int = 96, kind: int = TensorProto.FLOAT) -> onnx.ModelProto:
    """A convolution and a ReLU, in the shapes of an MDX-Net."""
    nodes = [
        helper.make_node("Conv", ["input", "kernel", "bias"], ["between"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["between"], ["output"]),
    ]
    weights = [numpy_helper.from_array(KERNEL.numpy(), "kernel"), numpy_helper.from_array(BIAS.numpy(), "bias")]
    shape = [batch, 4, bins, 16]
    inputs = [helper.make_tensor_value_info("input", kind, shape)]
    outputs = [helper.make_tensor_value_info("output", kind, shape)]
    graph = helper.make_graph(nodes, "net", inputs, outputs, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


@pytest.fixture
def path(tmp_path) -> Path:
    onnx.save(model(), tmp_path / "net.onnx")
    return tmp_path / "net.onnx"


def expected(mix: torch.Tensor) -> torch.Tensor:
    """The public programs' arithmetic, written once more: left and right, real before imaginary, three bins silent."""
    window = torch.hann_window(2048)
    stems = []
    for sound in mix:
        spectra = torch.stft(sound, 2048, 1024, window=window, return_complex=True)[:, :96]
        rows = [spectra[0].real, spectra[0].imag, spectra[1].real, spectra[1].imag]
        picture = torch.stack(rows)
        picture[:, :3] = 0
        answer = torch.relu(torch.nn.functional.conv2d(picture[None], KERNEL, BIAS, padding=1))[0]
        whole = torch.zeros(2, 1025, 16, dtype=torch.complex64)
        whole[0, :96], whole[1, :96] = torch.complex(answer[0], answer[1]), torch.complex(answer[2], answer[3])
        stems.append(1.02 * torch.istft(whole, 2048, 1024, window=window, length=CHUNK))
    return torch.stack(stems)[:, None]


def sound(batch: int = 2) -> torch.Tensor:
    return 0.1 * torch.randn(batch, 2, CHUNK, generator=torch.Generator().manual_seed(1))


def decibels(given: torch.Tensor, reference: torch.Tensor) -> float:
    return 20 * float(torch.log10((given - reference).abs().max() / reference.square().mean().sqrt()))


@pytest.mark.parametrize("batch", ["batch_size", 1])
def test_the_file_runs_between_the_transforms(tmp_path, batch):
    onnx.save(model(batch), tmp_path / "net.onnx")
    network = mdxnet.build(card(), [tmp_path / "net.onnx"]).eval()
    with torch.inference_mode():
        given = network(sound())
        assert given.shape == (2, 1, 2, CHUNK)
        assert given.dtype == torch.float32
        assert decibels(given, expected(sound())) < -100
        assert torch.equal(network(sound()), given)
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(network(sound()), given)


def test_the_registry_gives_the_path_of_a_pinned_file(path):
    import hashlib

    data = path.read_bytes()
    item = {"url": f"file:{path}", "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data), "format": "onnx"}
    network = registry.load(card(weights=(registry.Weights(**item),)))
    with torch.inference_mode():
        assert network(sound(1)).shape == (1, 1, 2, CHUNK)
    path.write_bytes(data[:-1] + b"x")
    with pytest.raises(UnbakeError, match="SHA-256 is not the card's"):
        registry.load(card(weights=(registry.Weights(**item),)))


def test_a_gpu_that_onnxruntime_has_no_part_for_is_said_so(path):
    with pytest.raises(UnbakeError, match="the installed onnxruntime can't use cuda") as caught:
        mdxnet.open_session(path, torch.device("cuda:0"))
    assert caught.value.remedy == "install onnxruntime-gpu, or use --device cpu"


def test_the_session_follows_the_module(path, monkeypatch):
    network = mdxnet.build(card(), [path])
    asked = []
    monkeypatch.setattr(mdxnet, "open_session", lambda _path, device: asked.append(device))
    network.to("cpu").float()
    assert asked == []
    network.to("meta")
    assert asked == [torch.device("meta")]


def test_without_onnxruntime_the_extra_is_named(path):
    code = (
        "import sys; sys.modules['onnxruntime'] = None\n"
        "from pathlib import Path\nimport torch\nfrom models import mdxnet\n"
        f"try: mdxnet.open_session(Path({str(path)!r}), torch.device('cpu'))\n"
        "except Exception as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "onnxruntime, which runs networks in ONNX files, is not installed" in done.stdout


def outside(tensor: onnx.TensorProto) -> onnx.TensorProto:
    """The tensor as one whose numbers lie in another file."""
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")
    return tensor


def in_initializer(net: onnx.ModelProto) -> None:
    outside(net.graph.initializer[0])


def in_constant(net: onnx.ModelProto) -> None:
    tensor = outside(numpy_helper.from_array(np.zeros(4, np.float32), "more"))
    net.graph.node.append(helper.make_node("Constant", [], ["more"], value=tensor))


def in_sparse_initializer(net: onnx.ModelProto) -> None:
    values, indices = (numpy_helper.from_array(np.zeros(1, kind), "s") for kind in (np.float32, np.int64))
    net.graph.sparse_initializer.append(helper.make_sparse_tensor(outside(values), indices, [4]))


def in_branch(net: onnx.ModelProto) -> None:
    inner = model().graph
    outside(inner.initializer[1])
    net.graph.node.append(helper.make_node("If", ["c"], ["d"], then_branch=inner, else_branch=model().graph))


def in_function(net: onnx.ModelProto) -> None:
    node = helper.make_node("Constant", [], ["more"], value=outside(numpy_helper.from_array(np.zeros(4, np.float32))))
    net.functions.append(helper.make_function("mine", "f", [], ["more"], [node], [helper.make_opsetid("", 13)]))


@pytest.mark.parametrize("place", [in_initializer, in_constant, in_sparse_initializer, in_branch, in_function])
def test_weights_in_other_files_are_refused_wherever_they_hide(tmp_path, place):
    net = model()
    place(net)
    (tmp_path / "net.onnx").write_bytes(net.SerializeToString())
    with pytest.raises(UnbakeError, match="keeps its weights in other files, which nothing vouches for"):
        mdxnet.build(card(), [tmp_path / "net.onnx"])


@pytest.mark.parametrize("data", [b"", b"no network", b"\x0a\xff\xff\xff\xff\x0f", model().SerializeToString()[:-40]])
def test_a_damaged_file_is_refused(tmp_path, data):
    (tmp_path / "net.onnx").write_bytes(data)
    with pytest.raises(UnbakeError, match="not a readable file of weights") as caught:
        mdxnet.build(card(), [tmp_path / "net.onnx"])
    assert caught.value.where == str(tmp_path / "net.onnx")


@pytest.mark.parametrize(
    ("net", "says"),
    [
        (model(bins=128), "takes .* 128, 16.* where its config says .*96, 16"),
        (model(batch=2), "a network that takes 2 chunks at a time"),
        (model(kind=TensorProto.DOUBLE), r"not a readable file of weights|takes tensor\(double\)"),
    ],
)
def test_a_network_of_other_shapes_is_refused(tmp_path, net, says):
    onnx.save(net, tmp_path / "net.onnx")
    with pytest.raises(UnbakeError, match=says):
        mdxnet.build(card(), [tmp_path / "net.onnx"])


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"config": CONFIG | {"dim_f": 3}}, "config: Object contains unknown field `dim_f`"),
        ({"config": {"mdx_dim_f_set": 96}}, "config: Object missing required field"),
        ({"config": CONFIG | {"mdx_dim_t_set": "8"}}, r"config\.mdx_dim_t_set: Expected `int`, got `str`"),
        ({"config": CONFIG | {"compensate": 0.0}}, r"config\.compensate: Expected `float` > 0"),
        ({"config": CONFIG | {"mdx_dim_f_set": 1026}}, r"config\.mdx_dim_f_set: 1026 bins of 1025"),
        ({"chunk": CHUNK + 1}, "chunk: 15361 frames where this network hears 15360"),
        ({"stems": ("vocals", "other")}, "stems: 2 where this network gives 1"),
    ],
)
def test_a_wrong_card_is_named(path, changes, says):
    with pytest.raises(UnbakeError, match=says) as caught:
        mdxnet.build(card(**changes), [path])
    assert caught.value.where == "model card tiny"
    with pytest.raises(UnbakeError, match="weights: 2 files where this network has one"):
        mdxnet.build(card(), [path, path])


@pytest.mark.parametrize("name", ["mdx-inst-hq-3", "mdx-kim-vocal-2", "mdx-voc-ft"])
def test_the_public_cards_are_consistent(name):
    found = registry.find(name)
    config = mdxnet.config_of(found, mdxnet.Config)
    assert found.chunk == config.chunk == 261_120
    assert config.mdx_dim_f_set <= config.mdx_n_fft_scale_set // 2 + 1


def test_fields_of_a_message():
    # 150 as field 1, "testing" as field 2, and fixed fields: the examples of the format's own documentation
    data = memoryview(b"\x08\x96\x01\x12\x07testing\x1d\x01\x00\x00\x00\x21\x02" + bytes(7))
    assert list(protobuf.fields(data)) == [(1, 150), (2, b"testing"), (3, 1), (4, 2)]


@pytest.mark.parametrize("data", [b"\x08", b"\x08" + b"\xff" * 10, b"\x12\x05ab", b"\x1d\x01", b"\x0b", b"\x02\x00"])
def test_what_is_no_message_is_refused(data):
    with pytest.raises(ValueError, match=r"a number that|a field"):
        list(protobuf.fields(memoryview(data)))

"""Checkpoints of TensorFlow: what a file in the documented format holds, and what is wrong with others."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from core.errors import UnbakeError
from models import registry, spleeter, weights
from models import tensorflow_checkpoint as checkpoint
from models.registry import Card

NUMBERS = {np.dtype(name): number for number, name in checkpoint.DTYPES.items()}
Arrays = dict[str, np.ndarray]


def varint(value: int) -> bytes:
    return (bytes([value & 127 | 128]) + varint(value >> 7)) if value > 127 else bytes([value])


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def entry(array: np.ndarray, start: int, **changes: int) -> bytes:
    """A BundleEntryProto."""
    said = {"dtype": NUMBERS[array.dtype], "shard": 0, "offset": start, "size": array.nbytes, **changes}
    shape = b"".join(field(2, field(1, size)) for size in array.shape)
    data = field(1, said["dtype"]) + field(2, shape)
    data += b"".join(field(number, said[name]) for number, name in ((3, "shard"), (4, "offset"), (5, "size")))
    return data + varint(6 << 3 | 5) + bytes(4)


def block(pairs: list[tuple[bytes, bytes]], *, kind: int = 0) -> bytes:
    """A block of a table, with a restart every 16 keys and the trailer."""
    data, restarts, before = b"", [], b""
    for count, (key, value) in enumerate(pairs):
        shared = 0
        if count % 16 == 0:
            restarts.append(len(data))
        else:
            while shared < min(len(key), len(before)) and key[shared] == before[shared]:
                shared += 1
        data += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        before = key
    restarts = restarts or [0]
    data += b"".join(place.to_bytes(4, "little") for place in restarts) + len(restarts).to_bytes(4, "little")
    data += bytes([kind])
    return data + checkpoint.masked_crc32c(data).to_bytes(4, "little")


def table(pairs: list[tuple[bytes, bytes]], *, kind: int = 0, keys: int = 20) -> bytes:
    """A table of as many blocks as it takes, the index of them, and the footer."""
    data, index = b"", []
    for start in range(0, len(pairs), keys):
        some = pairs[start : start + keys]
        made = block(some, kind=kind)
        index.append((some[-1][0], varint(len(data)) + varint(len(made) - 5)))
        data += made
    places = []
    for made in (block([]), block(index)):
        places.append(varint(len(data)) + varint(len(made) - 5))
        data += made
    return data + b"".join(places).ljust(40, b"\0") + checkpoint.MAGIC.to_bytes(8, "little")


def header(**changes: int) -> bytes:
    said = {"shards": 1, "endianness": 0, **changes}
    return field(1, said["shards"]) + field(2, said["endianness"]) + field(3, field(1, 1))


def files(arrays: Arrays, head: bytes | None = None, **changes: int) -> dict[str, bytes]:
    """The files of a checkpoint, as TensorFlow lays them out."""
    pairs, data = [(b"", header() if head is None else head)], b""
    for name in sorted(arrays):
        pairs.append((name.encode(), entry(arrays[name], len(data), **changes)))
        data += arrays[name].tobytes()
    text = b'model_checkpoint_path: "model"\n'
    return {"checkpoint": text, "model.index": table(pairs), "model.data-00000-of-00001": data, "model.meta": b"graph"}


def archive(path: Path, contents: dict[str, bytes]) -> Path:
    with gzip.open(path, "wb", compresslevel=1) as stream, tarfile.open(fileobj=stream, mode="w") as tar:
        for name, data in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def some_arrays(count: int = 50) -> Arrays:
    generator = np.random.default_rng(0)
    arrays: Arrays = {
        f"layer_{number}/kernel": generator.normal(size=(number % 3, 2, 3)).astype(np.float32)
        for number in range(count)
    }
    return arrays | {"global_step": np.asarray(7, np.int64), "half": generator.normal(size=5).astype(np.float16)}


def test_tensors_come_back_as_they_were_saved(tmp_path):
    arrays = some_arrays()
    found = weights.parse(archive(tmp_path / "net.tar.gz", files(arrays)), "tensorflow")
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name].numpy(), array, strict=True)


def test_other_files_of_the_archive_are_passed_over(tmp_path):
    made = files(some_arrays(3))
    strange = {"../../evil": b"x", "/etc/passwd": b"x", "sub/._model.index": b"mac", ".model.index": b"hidden"}
    path = archive(tmp_path / "net.tar.gz", strange | {f"4stems/{name}": data for name, data in made.items()})
    assert len(weights.parse(path, "tensorflow")) == 5
    assert sorted(item.name for item in tmp_path.iterdir()) == ["net.tar.gz"]


def test_texts_are_left_out(tmp_path):
    made = files({"a": np.zeros(3, np.float32)})
    pairs = [
        (b"", header()),
        (b"a", entry(np.zeros(3, np.float32), 0)),
        (b"b", entry(np.zeros(3, np.float32), 0, dtype=7)),
    ]
    path = archive(tmp_path / "net.tar.gz", made | {"model.index": table(pairs)})
    assert weights.parse(path, "tensorflow").keys() == {"a"}


def test_two_shards_are_one_checkpoint(tmp_path):
    first, second = np.arange(3, dtype=np.float32), np.arange(4, dtype=np.float32)
    pairs = [(b"", header(shards=2)), (b"a", entry(first, 0)), (b"b", entry(second, 0, shard=1))]
    contents = {
        "model.data-00001-of-00002": second.tobytes(),
        "model.index": table(pairs),
        "model.data-00000-of-00002": first.tobytes(),
    }
    found = weights.parse(archive(tmp_path / "net.tar.gz", contents), "tensorflow")
    assert found["b"].tolist() == [0, 1, 2, 3]
    del contents["model.data-00000-of-00002"]
    with pytest.raises(UnbakeError, match="no whole checkpoint in it"):
        weights.parse(archive(tmp_path / "net.tar.gz", contents), "tensorflow")


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :]


ARRAYS = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.ones(4, np.float32)}
GOOD = files(ARRAYS)
INDEX = GOOD["model.index"]
DAMAGED: dict[str, tuple[dict[str, bytes], str]] = {
    "no index": ({"model.data-00000-of-00001": b"1234"}, "no whole checkpoint"),
    "no data": ({"model.index": INDEX}, "no whole checkpoint"),
    "two": (GOOD | {"other.index": INDEX}, "more than one checkpoint"),
    "other shards": (GOOD | {"model.data-00001-of-00003": b""}, "more than one checkpoint"),
    "empty index": (GOOD | {"model.index": b""}, "an index that is no table"),
    "magic": (GOOD | {"model.index": flipped(INDEX, len(INDEX) - 1)}, "an index that is no table"),
    "handle": (GOOD | {"model.index": INDEX[:-48] + b"\xff" * 40 + INDEX[-8:]}, "does not end|beyond the end"),
    "flipped": (GOOD | {"model.index": flipped(INDEX, 9)}, "a block of the index is corrupt"),
    "short data": (GOOD | {"model.data-00000-of-00001": bytes(39)}, "lies beyond the end"),
    "compressed": (GOOD | {"model.index": table([(b"", header())], kind=1)}, "an index that is compressed"),
    "no header": (GOOD | {"model.index": table([(b"a", entry(ARRAYS["a"], 0))])}, "without tensors"),
    "no tensors": (files({}), "without tensors"),
    "shards": (files(ARRAYS, header(shards=2)), "more shards than are here"),
    "endianness": (files(ARRAYS, header(endianness=1)), "big-endian"),
    "size": (files(ARRAYS, size=20), "has 20 bytes for the shape"),
    "shard": (files(ARRAYS, shard=1), "lies beyond the end"),
    "offset": (files(ARRAYS, offset=1 << 62), "lies beyond the end"),
    "slices": (GOOD | {"model.index": table([(b"", header()), (b"a", field(7, b""))])}, "a tensor in slices"),
    "rank": (GOOD | {"model.index": table([(b"", header()), (b"a", field(2, field(3, 1)))])}, "unknown rank"),
    "shape": (
        GOOD | {"model.index": table([(b"", header()), (b"a", field(2, field(2, field(1, (1 << 64) - 1))))])},
        "no sensible shape",
    ),
    "key": (GOOD | {"model.index": table([(b"", header()), (b"\xff", entry(ARRAYS["a"], 0))])}, "utf-8"),
}


@pytest.mark.parametrize("what", DAMAGED)
def test_a_damaged_checkpoint_is_refused_with_the_reason(tmp_path, what):
    contents, says = DAMAGED[what]
    path = archive(tmp_path / "net.tar.gz", contents)
    with pytest.raises(UnbakeError, match=f"not a readable file of weights: .*({says})") as caught:
        weights.parse(path, "tensorflow")
    assert caught.value.where == str(path)


def test_archives_that_are_none_are_refused(tmp_path):
    path = archive(tmp_path / "net.tar.gz", GOOD)
    whole = path.read_bytes()
    for data in (
        b"",
        b"no archive",
        whole[: len(whole) // 2],
        flipped(whole, len(whole) - 6),
        gzip.compress(b"no tar" * 99),
    ):
        path.write_bytes(data)
        with pytest.raises(UnbakeError, match="not a readable file of weights"):
            weights.parse(path, "tensorflow")


def test_every_truncation_and_every_flipped_byte_of_an_index_is_an_error(tmp_path):
    shards = [bytearray(GOOD["model.data-00000-of-00001"])]
    for place in range(len(INDEX)):
        for data in (INDEX[:place], flipped(INDEX, place)):
            try:
                found = checkpoint.entries(memoryview(data), 1)
                for name, item in found.items():
                    checkpoint.tensor(name, item, shards)
            except ValueError:
                continue
            # only the footer's padding may be anything
            assert len(data) == len(INDEX)
            assert found == checkpoint.entries(memoryview(INDEX), 1)


def test_an_archive_that_swells_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "LARGEST_BYTES", 100_000)
    path = archive(tmp_path / "net.tar.gz", GOOD | {"zeros.bin": bytes(200_000)})
    with pytest.raises(UnbakeError, match="more than a gigabyte"):
        weights.parse(path, "tensorflow")


def test_checksums_are_those_of_the_standard():
    # the examples of RFC 3720, masked as LevelDB documents it
    for data, crc in ((bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43), (bytes(range(32)), 0x46DD794E)):
        assert checkpoint.masked_crc32c(data) == ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


class Namer:
    """Names layers the way Keras does: by their kind, and from the second on by a number."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def __call__(self, kind: str) -> str:
        count = self.counts[kind] = self.counts.get(kind, -1) + 1
        return f"{kind}_{count}" if count else kind


def variables(networks: Sequence[torch.nn.Module]) -> dict[str, torch.Tensor]:
    """The networks' arrays as TensorFlow would have them: layers made in the order of the paper's figure."""
    name = Namer()
    found: dict[str, torch.Tensor] = {}

    def kernel(layer: str, module: Any) -> None:
        found[f"{layer}/kernel"] = module.weight.permute(2, 3, 1, 0)
        found[f"{layer}/bias"] = module.bias

    def norm(layer: str, module: Any) -> None:
        found[f"{layer}/gamma"], found[f"{layer}/beta"] = module.weight, module.bias
        found[f"{layer}/moving_mean"], found[f"{layer}/moving_variance"] = module.running_mean, module.running_var

    for network in networks:
        for stage in range(1, 7):
            kernel(name("conv2d"), network.get_submodule(f"down{stage}_conv.1"))
            norm(name("batch_normalization"), network.get_submodule(f"down{stage}_act.0"))
        for stage in range(1, 7):
            kernel(name("conv2d_transpose"), network.get_submodule(f"up{stage}.0"))
            norm(name("batch_normalization"), network.get_submodule(f"up{stage}.3"))
        kernel(name("conv2d"), network.get_submodule("up7.0"))
    return found


def card(stems: tuple[str, ...], **config: str) -> Card:
    fields = {
        "sample_rate": 44_100,
        "chunk": spleeter.CHUNK,
        "about": "A test.",
        "licence": "none",
        "source": "nowhere",
    }
    return Card(name="tf", architecture="spleeter", stems=stems, config=config, **fields)


def test_the_two_stem_network_is_the_same_from_tensorflow_s_layout():
    theirs = registry.load(registry.find("spleeter-2stems"))
    given = variables(list(theirs.get_submodule("instruments").children())) | {
        "global_step": torch.tensor(1),
        "conv2d/kernel/Adam": torch.zeros(2),
    }
    ours = spleeter.build(card(("vocals", "accompaniment")), [given])
    state = theirs.state_dict()
    assert ours.state_dict().keys() == state.keys()
    assert all(
        torch.equal(tensor, state[name]) for name, tensor in ours.state_dict().items() if "num_batches" not in name
    )


@pytest.mark.parametrize("stems", [4, 5])
def test_variables_of_four_and_five_stems_find_their_places(stems):
    with torch.device("meta"):
        networks = [spleeter.UNet() for _ in range(stems)]
    given = variables(networks)
    assert {f"conv2d_{7 * stems - 1}/bias", f"batch_normalization_{12 * stems - 1}/gamma"} <= given.keys()
    found = spleeter.from_tensorflow(given, stems, "here")
    for network, arrays in zip(networks, found, strict=True):
        expected = {name: value for name, value in network.state_dict().items() if "num_batches" not in name}
        assert {name: value.shape for name, value in arrays.items()} == {n: v.shape for n, v in expected.items()}
    with pytest.raises(UnbakeError, match=f"the weights are of more than {stems - 1} stems"):
        spleeter.from_tensorflow(given, stems - 1, "here")
    with pytest.raises(UnbakeError, match=f"they have no conv2d_{7 * stems}/kernel"):
        spleeter.from_tensorflow(given, stems + 1, "here")


def test_stems_of_an_exclusive_network_share_out_every_cell():
    torch.manual_seed(4)
    config = spleeter.Config(type="unet.softmax_unet", conv_activation="ELU", deconv_activation="ELU")
    network = spleeter.Spleeter(config, 2).eval()
    magnitudes = torch.rand(1, 2, 2049, 64)
    segments = torch.nn.functional.pad(magnitudes[:, :, :1024], (0, 448)).permute(0, 1, 3, 2)
    with torch.inference_mode():
        logits = torch.stack([unet(segments) for unet in network.instruments.children()])
        power = (logits.softmax(dim=0) * segments) ** 2
        expected = ((power + 5e-11) / (power.sum(dim=0) + 1e-10))[:, 0, :, :64].permute(0, 1, 3, 2)
        found = network.masks(magnitudes)[0, :, :, :1024]
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found.sum(dim=0), torch.ones_like(found[0]))
    assert {type(module) for unet in network.instruments for module in unet.modules()} >= {torch.nn.ELU}


def test_a_wrong_spleeter_card_is_named():
    for config, says in (
        ({"type": "unet.other"}, r"config\.type: Invalid enum value 'unet\.other'"),
        ({"conv_activation": "GELU"}, r"config\.conv_activation: Invalid enum value 'GELU'"),
        ({"params": ""}, "config: Object contains unknown field `params`"),
    ):
        with pytest.raises(UnbakeError, match=says):
            spleeter.build(card(("vocals", "accompaniment"), **config), [])
    with pytest.raises(UnbakeError, match="weights: 0 files where Spleeter wants one for each of 4 stems"):
        spleeter.build(card(("a", "b", "c", "d")), [])

"""`headway fetch`, the only command that downloads weights."""

import http.client
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

import tyro
from tqdm import tqdm

from headway.encoders.cache import published_path
from headway.errors import CheckpointError
from headway.files import replacing

CHUNK = 1 << 20
TIMEOUT = 30
NEXT = "next: headway train sarm DATASET --encoder {name} --out RUN"


@dataclass(frozen=True)
class Published:
    """A checkpoint that its authors publish as one file.

    Attributes:
        address: where it lies.
        licence: as its authors state it.
    """

    address: str
    licence: str


# the addresses that the authors' own loaders use; LIV's at the commit their loader was written for
PUBLISHED = {
    "vip": Published("https://pytorch.s3.amazonaws.com/models/rl/vip/model.pt", "CC BY-NC 4.0: no commercial use"),
    "r3m": Published(
        "https://drive.usercontent.google.com/download?id=1Xu0ssuG0N1zjZS54wmWzJ7-nb0-7XzbA&export=download&confirm=t",
        "MIT, as its repository facebookresearch/r3m",
    ),
    "liv": Published(
        "https://huggingface.co/jasonyma/LIV/resolve/5a29adb8f796b0f91fdd9bc284b31a1829c1eb91/model.pt",
        "MIT, as its repository penn-pal-lab/LIV; the weights state none of their own",
    ),
}


def fetch(
    name: Annotated[str, tyro.conf.arg(metavar="NAME", help="a model of the Hugging Face hub, or vip, r3m or liv")],
    /,
    *,
    yes: bool = False,
) -> int:
    """Download a pretrained model, after showing its size and licence.

    For example:

        headway fetch facebook/dinov2-small

    Args:
        yes: download without asking
    """
    if name in PUBLISHED:
        return fetch_published(name, PUBLISHED[name], published_path(name), yes)
    return fetch_from_hub(name, yes)


def fetch_published(name: str, published: Published, path: Path, yes: bool) -> int:
    """Download one file to `path`. Raises CheckpointError or OutputError; then nothing is left behind."""
    if path.is_file():
        print(f"{name} is here already: {path}")
        print(NEXT.format(name=name))
        return 0
    _show(name, published.licence, _size_of(name, published.address), 1)
    if not _agreed(yes):
        return 1
    with replacing(path) as beside, beside.open("wb") as file:
        for chunk in _download(name, published.address):
            file.write(chunk)
    print(f"kept as {path}")
    print(NEXT.format(name=name))
    return 0


def fetch_from_hub(name: str, yes: bool) -> int:
    """Download a model of the hub into its cache. Raises CheckpointError, in one line."""
    import httpx
    import huggingface_hub

    failures = (httpx.HTTPError, OSError, ValueError)
    try:
        info = huggingface_hub.model_info(name, files_metadata=True, timeout=TIMEOUT)
    except failures as error:
        raise _hub_error(name, error) from error
    sizes = {file.rfilename: file.size for file in info.siblings or [] if needed(file.rfilename)}
    if not any(file.endswith(".safetensors") for file in sizes):
        raise CheckpointError(f"{name} holds no weights as .safetensors, the only kind read; choose another model")
    unknown = any(size is None for size in sizes.values())
    _show(name, _licence(info), None if unknown else sum(size or 0 for size in sizes.values()), len(sizes))
    if info.gated:
        print(f"  gated    accept the licence at {huggingface_hub.constants.ENDPOINT}/{name} and run hf auth login")
    if not _agreed(yes):
        return 1
    try:
        folder = huggingface_hub.snapshot_download(name, allow_patterns=sorted(sizes))
    except failures as error:
        raise _hub_error(name, error) from error
    print(f"kept in {folder}")
    print(NEXT.format(name=name))
    return 0


def needed(file: str) -> bool:
    """Whether a file of a hub model is one that loading reads: one copy of the weights, settings, the tokenizer."""
    path = PurePosixPath(file)
    if file == "1_Pooling/config.json" or path.parts[0] == "2_Dense":
        return path.suffix == ".json"
    if len(path.parts) > 1:
        return False
    if path.suffix == ".safetensors":
        return path.name == "model.safetensors" or path.name.startswith("model-0")
    return path.suffix in (".json", ".txt", ".model")


def _licence(info: Any) -> str:
    card = info.card_data
    stated = getattr(card, "license", None) if card is not None else None
    if stated == "other":
        stated = getattr(card, "license_name", None) or getattr(card, "license_link", None) or "other: see its page"
    return str(stated or "none stated: see its page")


def _hub_error(name: str, error: Exception) -> Exception:
    """One line for what the hub's client raised; the error itself where it is none of the network's or the hub's."""
    import httpx
    from huggingface_hub import constants, errors

    page = f"{constants.ENDPOINT}/{name}"
    causes = (error, error.__cause__)
    if any(isinstance(cause, errors.GatedRepoError) for cause in causes):
        return CheckpointError(f"{name} is gated: accept its licence at {page}, run: hf auth login, then fetch again")
    if any(isinstance(cause, errors.RepositoryNotFoundError | errors.HFValidationError) for cause in causes):
        return CheckpointError(f"the hub has no model called {name} (or it is private); look the name up at {page}")
    if any(isinstance(cause, httpx.HTTPError | OSError) for cause in causes):
        reason = _first_line(error.__cause__ or error)
        return CheckpointError(f"{name} could not be fetched from {constants.ENDPOINT} ({reason}); try again later")
    return error


def _size_of(name: str, address: str) -> int | None:
    """Bytes of a file, by a HEAD request; None where the server does not say."""
    try:
        with urllib.request.urlopen(urllib.request.Request(address, method="HEAD"), timeout=TIMEOUT) as answer:
            length = answer.headers.get("Content-Length")
    except (OSError, http.client.HTTPException) as error:
        raise CheckpointError(f"{name} could not be found at {address} ({_first_line(error)})") from error
    return int(length) if length and length.isdecimal() else None


def _download(name: str, address: str) -> Iterator[bytes]:
    """The bytes of a file, with a bar. Raises CheckpointError when they break off, or are a web page."""
    failed = f"{name} could not be fetched from {address}"
    try:
        with urllib.request.urlopen(address, timeout=TIMEOUT) as answer:
            if answer.headers.get_content_type() == "text/html":
                raise CheckpointError(
                    f"{failed}: a web page came instead; download it by hand to {published_path(name)}"
                )
            length = answer.headers.get("Content-Length")
            total = int(length) if length and length.isdecimal() else None
            with tqdm(desc=name, total=total, unit="B", unit_scale=True, dynamic_ncols=True) as bar:
                while chunk := answer.read(CHUNK):
                    bar.update(len(chunk))
                    yield chunk
                done = bar.n
    except (OSError, http.client.HTTPException) as error:
        raise CheckpointError(f"{failed} ({_first_line(error)}); nothing was kept, so run it again") from error
    if total is not None and done != total:
        raise CheckpointError(
            f"{failed}: it broke off after {done} of {total} bytes; nothing was kept, so run it again"
        )


def _show(name: str, licence: str, size: int | None, files: int) -> None:
    print(name)
    print(f"  licence  {licence}")
    told = "size unknown" if size is None else f"{size / 1e6:.1f} MB"
    print(f"  files    {files}, {told}", flush=True)


def _agreed(yes: bool) -> bool:
    if yes:
        return True
    try:
        answer = input("download? [y/N] ")
    except EOFError:
        answer = ""
        print()
    if answer.strip().lower() in ("y", "yes"):
        return True
    print("nothing was downloaded; --yes downloads without asking")
    return False


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]

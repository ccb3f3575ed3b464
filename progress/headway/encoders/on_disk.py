"""Which well-known pretrained encoder is here already; nothing is downloaded and the network is not asked."""

from huggingface_hub import try_to_load_from_cache

# good frame encoders, the fastest first; what `headway fetch` puts into the hub's cache
KNOWN = (
    "facebook/dinov2-small",
    "facebook/dinov3-vits16-pretrain-lvd1689m",
    "openai/clip-vit-base-patch32",
    "google/siglip2-base-patch32-256",
    "google/siglip2-base-patch16-224",
    "google/siglip-base-patch16-224",
    "facebook/dinov2-base",
    "openai/clip-vit-base-patch16",
)
NEEDED = ("config.json", "preprocessor_config.json", "model.safetensors")


def pretrained_on_disk() -> str | None:
    """The first of KNOWN that lies whole in the hub's local cache, as a spec of an encoder; None when none does."""
    return next((name for name in KNOWN if _is_whole(name)), None)


def _is_whole(name: str) -> bool:
    return all(isinstance(try_to_load_from_cache(name, file), str) for file in NEEDED)

"""Whether an adapter's values are finite."""

from pathlib import Path

from policies.store.errors import BrokenPolicy


def check_finite(adapter: Path) -> None:
    """Raises BrokenPolicy unless an adapter's file can be read and all of its tensors are finite."""
    import torch
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(adapter, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 - no dictionary
                if not torch.isfinite(tensors.get_tensor(name).float()).all():
                    raise BrokenPolicy(
                        f"{adapter}: {name} has values that are not finite; restore the adapter or train the policy "
                        f"again."
                    )
    except (OSError, SafetensorError) as error:
        raise BrokenPolicy(f"{adapter} cannot be read ({error}); restore it or train the policy again.") from None

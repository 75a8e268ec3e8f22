"""Addresses that only this machine reaches."""

import ipaddress


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


MODEL_NAME = "a name in addresses has a character, and neither slash nor colon; choose another"


def is_model_name(name: str) -> bool:
    """Whether a model of this name can be reached: it is a part of paths."""
    return bool(name) and not set(name) & set("/:")

"""Crafting adversarial samples with the Adversarial Robustness Toolbox (ART)."""

from tinyedge.attacks.settings import ATTACKS, AttackSettings

__all__ = ["ATTACKS", "AttackSettings"]

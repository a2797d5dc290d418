"""Groups and udev's rules, on machines that are made up."""

from __future__ import annotations

import grp
import os
from pathlib import Path

import pytest

from tinyedge.boards import board_names, load_board
from tinyedge.targets import permissions

BOARDS = [load_board(name) for name in board_names()]


def test_the_devices_that_boards_need() -> None:
    needed = permissions.usb_ids(BOARDS)
    assert {"nucleo-f446re", "nucleo-l476rg"} <= set(needed["0483:374b"])
    assert needed["0483:3748"] == ["blackpill-f411ce", "bluepill-f103c8", "stm32f4-discovery"]
    assert "netduinoplus2" in needed["0483:df11"]
    assert "microbit" in needed["0d28:0204"]
    assert not any("mps2" in name for names in needed.values() for name in names)


def test_our_own_rules_are_enough(tmp_path: Path) -> None:
    needed = permissions.usb_ids(BOARDS)
    assert permissions.without_rule(needed, [tmp_path]) == list(needed)
    (tmp_path / "60-tinyedge.rules").write_text(permissions.udev_rules(BOARDS))
    assert permissions.without_rule(needed, [tmp_path / "none", tmp_path]) == []
    assert permissions.without_rule(["0483:374c"], [tmp_path]) == ["0483:374c"]


@pytest.mark.parametrize(
    ("rule", "covers"),
    [
        ('ATTRS{idVendor}=="0483", ATTRS{idProduct}=="374b", MODE="660"', True),
        ('SUBSYSTEMS=="usb", ATTRS{idVendor}=="0483", \\\n  ATTR{idProduct}=="374[ab]"', True),
        ('ATTRS{idVendor}=="1366|0483", MODE="0666"', True),
        ('ATTRS{idVendor}=="0483", ATTRS{idProduct}=="374B"', True),
        ('# ATTRS{idVendor}=="0483", ATTRS{idProduct}=="374b"', False),
        ('ATTRS{idVendor}=="0483", ATTRS{idProduct}=="df11"', False),
        ('ATTRS{idProduct}=="374b"', False),
        ('KERNEL=="sda"', False),
    ],
)
def test_rules_of_others(rule: str, covers: bool, tmp_path: Path) -> None:  # noqa: FBT001
    (tmp_path / "49-probes.rules").write_text(f"{rule}\n")
    (tmp_path / "README").write_text('ATTRS{idVendor}=="0483"')
    assert (permissions.without_rule(["0483:374b"], [tmp_path]) == []) is covers


def test_rules_name_the_group_that_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def groups(*names: str) -> list[grp.struct_group]:
        return [grp.struct_group((name, "x", 20, [])) for name in names]

    monkeypatch.setattr(grp, "getgrall", lambda: groups("root", "uucp"))
    rules = permissions.udev_rules(BOARDS)
    assert 'GROUP="uucp"' in rules
    assert "dialout" not in rules
    serial = [line for line in rules.splitlines() if line.startswith('SUBSYSTEM=="tty"')]
    assert all(line.endswith('ENV{ID_MM_DEVICE_IGNORE}="1"') for line in serial)
    assert len(serial) == len(permissions.usb_ids(BOARDS))
    assert permissions.INSTALL_RULES in rules


def test_who_is_in_the_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grp, "getgrnam", lambda name: {"dialout": grp.getgrgid(0)}[name])
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(os, "getgroups", lambda: [0, 100])
    assert permissions.in_group("dialout")
    monkeypatch.setattr(os, "getgroups", lambda: [100])
    assert not permissions.in_group("dialout")
    assert not permissions.in_group("uucp")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert permissions.in_group("dialout")


def test_modem_manager_is_noticed(tmp_path: Path) -> None:
    for process, name in (("1", "init"), ("self", "ModemManager")):
        (tmp_path / process).mkdir()
        (tmp_path / process / "comm").write_text(f"{name}\n")
    assert not permissions.modem_manager_runs(tmp_path)
    (tmp_path / "77").mkdir()
    (tmp_path / "77" / "comm").write_text("ModemManager\n")
    assert permissions.modem_manager_runs(tmp_path)

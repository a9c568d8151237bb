"""`facegpt doctor` and `facegpt assets`: what is installed, and how to bring what is not."""

from pathlib import Path

import tyro

assets_app = tyro.extras.SubcommandApp()


def doctor() -> int:
    """Every asset: present, missing or damaged, its licence, and how to get it."""
    from facegpt.doctor import doctor_report

    report, exit_code = doctor_report()
    print(report)
    return exit_code


@assets_app.command(name="add")
def add_asset(name: tyro.conf.Positional[str], path: tyro.conf.Positional[Path]) -> int:
    """Give facegpt a file that it may not ship, such as the Basel Face Model.

    Args:
        name: Name of the asset, as `facegpt doctor` lists it.
        path: The file or folder you downloaded; it is copied.
    """
    from facegpt.assets import add_asset as add

    print(f"{name} is now at {add(name, path)}")
    return 0

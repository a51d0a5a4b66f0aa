"""Builds the Java gateway into the package, beside the handlers and the configuration it ships."""

from __future__ import annotations

import runpy
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent


class BuildWithBundle(build_py):
    """Adds ``torchserve_rollout/bundle``: the plugin jar, the handlers, the configuration."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        bundle = Path(self.build_lib) / "torchserve_rollout" / "bundle"
        build_jar = runpy.run_path(str(ROOT / "plugins" / "gateway" / "build_jar.py"))["build_jar"]
        (bundle / "plugins").mkdir(parents=True, exist_ok=True)
        build_jar(bundle / "plugins" / "torchserve-rollout-gateway.jar")
        for name in ("handlers", "config"):
            shutil.copytree(
                ROOT / name, bundle / name, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__")
            )


setup(
    version=runpy.run_path(str(ROOT / "plugins" / "torchserve_rollout" / "__init__.py"))["__version__"],
    package_dir={"": "plugins"},
    packages=find_packages("plugins", include=["torchserve_rollout", "torchserve_rollout.*"]),
    package_data={"torchserve_rollout": ["py.typed", "store/migrations/*", "store/migrations/**/*"]},
    cmdclass={"build_py": BuildWithBundle},
)

"""``python -m torchserve_rollout`` is ``ts-rollout``."""

from torchserve_rollout.cli.main import main

if __name__ == "__main__":
    main()

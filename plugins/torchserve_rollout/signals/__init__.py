"""Where measurements come from: the gateway's metrics and probes. A new metric signal is one file in ``metrics/``."""

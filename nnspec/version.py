"""The version, also in model metadata and manifests."""

VERSION = "0.1.0"

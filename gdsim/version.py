"""The version of gdsim: what a store notes beside the hashes of its experiment."""

VERSION = "0.1.0"

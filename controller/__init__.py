"""The canary controller: pydantic API, pure core, thin shell, command line."""

__version__ = "0.1.0"

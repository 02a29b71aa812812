"""The canary controller: pydantic API, pure core, thin shell, command line."""

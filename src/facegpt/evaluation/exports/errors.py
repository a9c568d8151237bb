"""What can be wrong with an export."""


class ExportError(ValueError):
    """The input of an export is not what the benchmark gives, or its folder holds another one."""

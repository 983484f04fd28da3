"""Writing checkpoints: the plan of a mapping carried out on files, at the speed of the disk, whole or not at all."""

from wmtui.files.writing.write import Written, check_write, output_size, representable, warnings_of, write_checkpoint

__all__ = ["Written", "check_write", "output_size", "representable", "warnings_of", "write_checkpoint"]

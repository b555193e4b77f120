"""An .npy file that grows batch by batch, for arrays that do not fit into memory."""

from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray


class NpyWriter:
    """Writes uint8 arrays one below the other; with `with`, the file is complete at the end.

    The bytes are those that `np.save` writes for the whole array.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._shape: tuple[int, ...] | None = None

    def append(self, rows: NDArray[np.uint8]) -> None:
        """Write rows [n, ...]; raises ValueError unless they are like those before."""
        if self._shape is None:
            self._shape = (0, *rows.shape[1:])
            self._write_header()
        num_rows, *rest = self._shape
        if rows.dtype != np.uint8 or list(rows.shape[1:]) != rest:
            raise ValueError(f"{rows.dtype} rows {rows.shape[1:]} after uint8 rows {tuple(rest)}")
        self._file.write(rows.tobytes())
        self._shape = (num_rows + len(rows), *rest)

    def __enter__(self) -> "NpyWriter":
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._file:
            if error is None:
                if self._shape is None:
                    raise ValueError(f"{self._file.name}: no rows were written")
                # NumPy pads a header so that the first axis may grow without moving the data.
                self._file.seek(0)
                self._write_header()

    def _write_header(self) -> None:
        np.lib.format.write_array_header_1_0(
            self._file, {"shape": self._shape, "fortran_order": False, "descr": "|u1"}
        )

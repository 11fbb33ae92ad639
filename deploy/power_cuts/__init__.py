"""What survives a power cut: the disk's own log of an afternoon's exams, cut at any moment, opened by the product.

A virtual machine performs exams with the real service (`recording.py`; in it `guest.py`, `exams.py`, `operator.py`),
its data disk below QEMU's blklogwrites filter. What the operator was told is in the same log (`acknowledgements.py`).
The host reads the log (`write_log.py`), makes what the disk may hold after a cut (`cut_states.py`), repairs it and
copies the state folder out (`file_system.py`), opens that with the product's own records and looks for all that had
been promised (`survivors.py`, `examination.py`, `verdict.py`).
"""

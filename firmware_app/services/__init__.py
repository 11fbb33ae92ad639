"""One task each: hardware, capture, analysis, worklist, delivery, health."""

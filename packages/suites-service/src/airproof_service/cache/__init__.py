"""What a read that may be answered from a cache promises."""

"""Quality of the signals on labelled data, beside what users would pick instead."""

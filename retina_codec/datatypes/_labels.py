"""What axes are called in figures and files, where several records have them."""

RATE = {"long_name": "firing rate", "units": "Hz"}
CONTRIBUTION = {"long_name": "contribution", "units": "units of the target"}
SAMPLE = {"long_name": "time or number of the sample", "units": "s"}

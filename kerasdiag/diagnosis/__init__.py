"""From what a run measured to a judgement: estimates with intervals, the truth table, confidence, findings, words."""

from kerasdiag.diagnosis.confidence import Confidence, Level
from kerasdiag.diagnosis.estimates import Estimate
from kerasdiag.diagnosis.judgement import Diagnosis, diagnose
from kerasdiag.diagnosis.verdict import (
    INPUT_BOUND_FRACTION,
    MIN_MEASURED_STEPS,
    PARTLY_INPUT_BOUND_FRACTION,
    Shares,
    Verdict,
    judge,
)

__all__ = [
    "INPUT_BOUND_FRACTION",
    "MIN_MEASURED_STEPS",
    "PARTLY_INPUT_BOUND_FRACTION",
    "Confidence",
    "Diagnosis",
    "Estimate",
    "Level",
    "Shares",
    "Verdict",
    "diagnose",
    "judge",
]

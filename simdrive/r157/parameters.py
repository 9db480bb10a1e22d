"""Figures that the reference drivers and the scenarios share, each with its public source.

Sources: [R] UN Regulation No. 157, Annex 4 Appendix 3; [F] Mattas et al., Fuzzy Surrogate Safety Metrics, Accident
Analysis & Prevention 148 (2020) 105794; [J] the Joint Research Centre's public simulation of the four drivers (JRC-FSM).
"""

from __future__ import annotations

LENGTH_M, WIDTH_M = 4.3, 1.9  # [J] ego and every moving vehicle
STOPPED_LENGTH_M = 5.0  # [J] the stopped car that a cut-out reveals
CUT_IN_CLEARANCE_M = 1.6  # [J] free width between the two bodies when the cut-in begins: 3.5 m between lane centres
CUT_IN_LATERAL_MPS2 = 1.5  # [J] sideways acceleration before the cut-in begins
LANE_CHANGE_M = 4.0  # [J] how far a vehicle moves that cuts out
WANDERING_M = 0.375  # [R] deviation from the lane centre beyond which another vehicle is perceived as changing lane

FREQUENCY_HZ = 10.0  # [J] the published verdicts are made at this step; docs/r157.md has the sensitivity
HORIZON_S = 35.0  # [J]

JERK_MPS3 = 12.65  # [R] 0.774 g within 0.6 s
FULL_BRAKE_MPS2 = 0.774 * 9.81  # [R]

CUT_IN, CUT_OUT, DECELERATION = 0, 1, 2
SCENARIOS = ("cut_in", "cut_out", "deceleration")
CC_HUMAN, REG157, RSS, FSM = 0, 1, 2, 3
MODELS = ("CC_human_driver", "Reg157", "RSS", "FSM")

SAFE, UNSAFE, OVER = 0, 1, 2  # what a driver says of one sample; OVER: the driver takes the situation as ended

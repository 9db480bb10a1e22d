"""The play of a world: the tables that tell its scripted actors what to do, one small table per idea.

Beside the frame of simdrive.sim.kernel_frame (all actors as two tables) the kernels of scenario worlds work on the
tables below. Few arrays keep compiling fast.
"""

from __future__ import annotations

# Columns of the event rows: numbers ...
THRESHOLD, DELAY_S, MAGNITUDE, RATE, UNTIL = range(5)
EVENT_NUMBERS = 5
# ... and codes; actor -1 marks an unused row.
ACTOR, TRIGGER, SUBJECT, AFTER_ROW, CHANNEL, ACTION = range(6)
EVENT_CODES = 6
# Columns of event times: when the condition first held and when the row fired, s, NaN before.
ARMED_S, FIRED_S = range(2)

# Columns of the motion of an actor (scripted unless stated).
PATH_S, PATH_R = 0, 1  # path coordinates, m
PATH_SPEED, PATH_LATERAL = 2, 3  # speed along and across the path, m/s
FREE_X, FREE_Y, FREE_HEADING, FREE_S = 4, 5, 6, 7  # a free path: through this point, in this direction, from this s
TURN_GOAL = 8  # direction that a free path turns to, rad
OFFSET = 9  # heading of the body against the direction of the path, rad
GOAL_R = 10  # path_r where OFFSET and LANE_CHANGE end, m
USED_ACCELERATION = 11  # any actor: acceleration of the last tick, m/s2
GAP_LIMIT = 12  # reactive: what the traffic ahead allows, m/s2
SIGNALLING = 13  # stock drivers: 1 while a lane change has set the indicator
PATH_LANE = 14  # lane row within the map, -1 on a free path
MOTION_NUMBERS = 15

# Columns of the record of a world: numbers ...
APPLIED_ACCELERATION, APPLIED_STEERING, ROUTE_S, ROUTE_R, OUTSIDE_M = range(5)
CONTACT_EGO_SPEED, CONTACT_ACTOR_SPEED, CONTACT_IMPACT_SPEED = range(5, 8)
RECORD_NUMBERS = 8
# ... and whole numbers.
TICK, ROUTE_INDEX, CONTACT_TICK, CONTACT_ACTOR = range(4)
RECORD_CODES = 4

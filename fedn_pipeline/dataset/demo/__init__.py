"""The demo data set: long videos rendered from two real faces, with exact labels. This page holds its rules.

**People.** Two public-domain photographs (scikit-image's astronaut, matplotlib's grace_hopper) become
`subjects_per_photograph` people each: proportions of the face, mirror image, skin and hair tone, colour balance, light,
background, sharpness and noise are drawn per subject. The astronaut's smile is removed first. All subjects descend from
two photographs, so leave-one-subject-out on the demo is *not* a test on strangers; `photograph` is a column of
videos.csv, so that one photograph can be held out with all its subjects, and stills name theirs, so that the backbone
can be trained without it.

**Labelled** (`annotated`, all `macro`): expressions of four emotions built from facial action units (FACS): happiness
6+12 (25), surprise 1+2+5+26, anger 4+7+23+24 (5), disgust 9+10+17 (15). Weights are drawn per event, those in brackets
may be near zero, and the two sides differ. Lengths are log-uniform in `duration_s`; the strength at the apex is uniform
in `strength`, where 1 is a full but natural movement. Every emotion occurs equally often, give or take one per subject,
in random order. Expressions never overlap: at least `min_gap_s` of unlabelled face lies between them, and the rest of
the time is shared among the gaps at random.

**Exact frames.** The intensity of an event is that of its leading action unit, as a share of its apex; others may lag.
The onset is the first frame and the offset the last with more than 5 % intensity, the apex the frame of the maximum.
Intensity rises on a minimum-jerk curve in 20-40 % of the interval, holds while relaxing by 8 %, and falls for longer
than it rose.

**Not labelled**: at all times, slow drifts of head, gaze, light and muscle tone; `distractors_per_minute` times a
minute a blink, a burst of talking, a nod, turn, tilt or lean of the head, a change of light, or a glance away with the
eyes alone or with the head. They share much with expressions: talking opens the jaw (26) and parts the lips (25) as
surprise and happiness do, and some words are stressed by raised brows (1+2); blinks close the lids more than anger
narrows them; a nod moves every pixel more than a weak smile. What tells them apart is the combination of units and its
course in time. Talking comes between expressions only (it may touch them); all else happens during expressions too.

**Fairness.** Weak, short or lopsided expressions are as likely as clear ones, the camera is noisy and compresses.
No label depends on anything that is not in the picture, and nothing else in the picture depends on a label: identities,
distractors and noise come from random streams of their own. A video depends on the settings and its own number only.

**Stills** for the pretrain rule show other people, drawn from another random stream: neutral (with the distractors) or
one of the emotions at 0.2-1 of its strength, cropped as the faces stage crops, with an aligner's errors.
"""

from .planning import plan
from .rendering import render_video
from .stills import render_stills, still_plan

__all__ = ["plan", "render_stills", "render_video", "still_plan"]

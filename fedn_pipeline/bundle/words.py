"""What a bundle says of its training data, its quality and its licence, in sentences that name no person. No torch."""

RENDERED = "people rendered from two photographs in the public domain (demo)"
DATA = {
    "demo": RENDERED,
    "casme2": "the data set CAS(ME)^2",
    "casme3": "the data set CAS(ME)^3",
    "samm": "the data set SAMM Long Videos",
    "custom": "somebody's own videos",
}
RESEARCH = "research only, by the agreement with the owners of the data set; it may not be passed on"
LICENCES = {
    "demo": "MIT: the training videos are rendered from two photographs in the public domain",
    "casme2": RESEARCH,
    "casme3": RESEARCH,
    "samm": RESEARCH,
    "custom": "trained on somebody's own videos, personal data of the people in them: theirs to allow; ask who made it",
}
ORIGINS = {  # of the backbone's weights
    "demo stills": "the backbone learnt from renderings of the same two photographs (MIT)",
    "AffectNet": "the backbone learnt from AffectNet: research only",
    "blendshapes": "the features are those of MediaPipe's face landmark model (Apache-2.0)",
}
IMAGENET = "it started from ImageNet's weights (BSD-3-Clause), whose pictures are for non-commercial research"
THRESHOLD = (
    "median of the folds' thresholds, each the one of best strict spotting F1 (IoU {iou}) on training subjects that "
    "gave its fold no gradient; no test subject had a say in any"
)


def licence(reader, network, origin, initial):
    """What may be done with a bundle. `network`, `origin`: the backbone's; `initial`: what it started from."""
    unknown = f"the backbone's weights are `{origin}`: their terms apply"
    said = [LICENCES[reader], ORIGINS.get(network if network in ORIGINS else origin, unknown)]
    if "imagenet" in str(initial).lower():
        said.append(IMAGENET)
    return "; ".join(said) + ". See docs/licences.md of fedn-pipeline."


def data(reader, dataset, learnt, weights):
    """Who has taught the detector; `learnt`: of final.json; `weights`: the backbone's, as the table names them."""
    named = ", ".join(f"{emotion} {count}" for emotion, count in learnt["expressions"].items())
    unnamed = learnt["expressions_without_emotion"]
    named = ", ".join(filter(None, [named, f"without emotion {unnamed}" if unnamed else ""]))
    return (
        f"FEDN, trained on all {learnt['subjects']} subjects of `{dataset}`, {DATA[reader]}: {learnt['videos']} "
        f"videos, {learnt['minutes']:g} minutes, {sum(learnt['expressions'].values()) + unnamed} expressions "
        f"({named}). Backbone: {weights}."
    )


def quality(folds):
    """What the numbers of the table's row are of; `folds`: section of the configuration."""
    own = "not of this detector, which has learnt from all of them and was tested on nobody"
    if folds["held_out"]:
        return f"a plain split by `{folds['group']}`: of a detector of the same recipe, {own}"
    return (
        f"leave-one-{folds['group']}-out on the same data set: of detectors of the same recipe, each tested on the "
        f"{folds['group']} that it had not learnt from; {own}"
    )

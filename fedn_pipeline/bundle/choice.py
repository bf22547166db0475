"""Which experiments can become a final model and a bundle: the workflow asks before anything is computed. No torch."""

from fedn_pipeline.files import InputError
from fedn_pipeline.peers import needs

ALIGNER = "builtin"
OTHER_ALIGNER = f"`detect` aligns faces by the one that is {ALIGNER}, so the model would see others than it learnt from"


def check_final(experiment, every):
    """Raise InputError if no final model can be trained of an experiment, whose settings are `every`."""
    method, backbone = every["folds"]["method"], every["backbone"]["name"]
    if method != "fedn":
        raise InputError(f"{experiment}: folds.method {method}: only FEDN's own networks become final models")
    if "{" in backbone:
        raise InputError(
            f"{experiment}: backbone.name {backbone}: each fold has a backbone of its own, so that no one cache "
            "has all subjects to train a final model on; choose an experiment with one backbone"
        )


def check_bundle(experiment, every):
    """The same for a bundle, which also needs the experiment's row in the table."""
    check_final(experiment, every)
    if every["dataset"]["reader"] == "rehearsal":
        raise InputError(f"{experiment}: a rehearsal's features are made up: nothing of it is a model")
    if every["faces"]["aligner"] != ALIGNER:
        raise InputError(f"{experiment}: faces.aligner {every['faces']['aligner']}: {OTHER_ALIGNER}")
    if every["model"]["clip_features"]:
        raise InputError(f"{experiment}: model.clip_features: a bundle carries a ResNet18 or nothing, no I3D")
    if needs.AS_FEATURES.fullmatch(every["backbone"]["name"]):
        raise InputError(
            f"{experiment}: backbone.name {every['backbone']['name']}: `detect` computes no optical flow, which such a "
            "model reads; choose an experiment on a ResNet18 or on blendshapes"
        )
    if experiment not in every["run"]["experiments"]:
        raise InputError(
            f"{experiment}: not among run.experiments ({', '.join(every['run']['experiments'])}), so that no row "
            "of the table says how good it is; add it there, or choose another with bundle.experiment"
        )

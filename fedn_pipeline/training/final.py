"""The final model: one network trained on all subjects of a data set, by the recipe of an experiment (rule `final`).

Nothing is held out and nothing is chosen: the number of steps is the configuration's, the last step is the model. It
has no test of its own; its expected quality is that of the experiment's folds (bundle/). Writes
`checkpoint.safetensors`, `training_log.csv` and, last, `final.json`.
"""

from fedn_pipeline import sources
from fedn_pipeline.dataset.tables import emotions
from fedn_pipeline.features import cache
from fedn_pipeline.files import write_json
from fedn_pipeline.model import outputs
from fedn_pipeline.training import learn
from fedn_pipeline.training.split import Split

EMBEDDING = ("input_size", "mean", "std")  # attributes of a cache that say how its pictures were given to the backbone


def taught_by(videos, folds, left_out):
    """The Split of a final model: it learns from every video but those `left_out`, and, in a plain split
    (`folds.held_out`), from none of the groups that are only predicted, for nobody has said what they show."""
    predicted = videos[folds["group"]].isin(folds["held_out"]) if folds["held_out"] else videos.video_id.isin([])
    teaches = ~predicted & ~videos.video_id.isin(list(left_out))
    return Split(tuple(videos.video_id[teaches]), (), ())


def run(videos, events, others, features_path, folder, settings, seed):
    """Train on all subjects; arguments as of `fold.run`."""
    left_out = cache.left_out(features_path, videos.video_id)
    parts = taught_by(videos, settings["folds"], left_out)
    tables = videos, events, others
    trained = learn.train(tables, features_path, parts, None, "the final model", folder, settings, seed)
    seen = cache.read(features_path, parts.train[0]).attributes
    code = "training/final.py"
    record = {
        "classes": trained.classes,
        "names": outputs.names(trained.classes, settings["model"]),
        "seed": seed,
        "training": trained.recipe,
        "learnt_from": _described(videos[videos.video_id.isin(parts.train)], events),
        "left_out": left_out,
        "feature_width": trained.loaded["train"].features.shape[1],
        "embedding": {name: _plain(seen[name]) for name in EMBEDDING if name in seen},
        "code": code,
        "code_sha256": sources.digest(code),
        **cache.provenance(features_path),
    }
    write_json(folder / "final.json", record)
    trained.saved.remove()


def _described(videos, events):
    """How much a model has learnt from, in numbers that name nobody."""
    theirs = events[events.video_id.isin(videos.video_id)]
    return {
        "subjects": int(videos.subject.nunique()),
        "videos": len(videos),
        "minutes": round(float((videos.n_frames / videos.fps).sum()) / 60, 2),
        "expressions": {emotion: int((theirs.emotion == emotion).sum()) for emotion in emotions(theirs)},
        "expressions_without_emotion": int((theirs.emotion == "").sum()),
    }


def _plain(value):
    """An attribute of HDF5 as JSON has it."""
    return value.tolist() if hasattr(value, "tolist") else value

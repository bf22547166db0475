# Functions of stage folds: which caches and files the folds of an experiment read, and which experiments cannot run.


def by_method(*methods):
    """Experiments of these methods, as a wildcard constraint."""
    return "|".join(re.escape(name) for name in EXPERIMENTS if method(name) in methods)


def _gap(wildcards, every):
    """The gap of the flow cache that a fold reads, by its training subjects' ground truth."""
    known, _ = truth(wildcards.dataset, wildcards.labels)
    return gap_of(videos(wildcards.dataset), known, wildcards.held_out, every)


def cascade_sources(wildcards):
    """Files that a cascade or STR reads: features, the spotter's fold, optical flow, crops and weights, by name."""
    dataset, every = wildcards.dataset, resolved(wildcards.dataset, wildcards.experiment)
    features, found = fold_features(wildcards), {}
    whole, cascade = every["folds"]["method"] == "str", every["cascade"]
    if whole or cascade["recogniser"] == "str":
        found["flow"] = f"data/{dataset}/flow/gap{_gap(wildcards, every)}.h5"
    if not whole:
        found["features"] = features
        spotter = FOLD.format(**{**wildcards, "experiment": cascade["spotter"]})
        found["spotter"] = [f"{spotter}/{name}" for name in ("detections.csv", "threshold.json", "fold.json")]
        if cascade["recogniser"] == "cefl" and every["cefl"]["end_to_end"]:
            found["crops"] = expand(f"data/{dataset}/crops/{{video}}.mp4", video=videos(dataset).video_id)
            found["weights"] = f"data/{dataset}/backbones/{Path(features).stem}.safetensors"
    return found


def cascade_arguments(wildcards, input):
    """The same as arguments of the command `folds`."""
    given = [["--features", input.get("features")], ["--flow", input.get("flow")], ["--weights", input.get("weights")]]
    given += [["--spotter", Path(input.spotter[0]).parent]] if input.get("spotter") else []
    given += [["--faces", f"data/{wildcards.dataset}"]] if input.get("weights") else []
    return [str(word) for pair in given if pair[1] for word in pair]


def _peer_motion(wildcards):
    """The flow or region caches that a peer's fold reads."""
    dataset, every = wildcards.dataset, resolved(wildcards.dataset, wildcards.experiment)
    found = needs.gaps(videos(dataset), *truth(dataset, wildcards.labels), wildcards.held_out, every)
    return [f"data/{dataset}/{needs.INPUT[every['folds']['method']]}/gap{gap}.h5" for gap in found]


def peer_sources(wildcards):
    """What a peer's fold reads beside the tables."""
    method = resolved(wildcards.dataset, wildcards.experiment)["folds"]["method"]
    if needs.INPUT[method] == needs.SEGMENTS:
        return {"features": fold_features(wildcards)}
    return {"motion": _peer_motion(wildcards)}


def peer_arguments(wildcards, input):
    """The same as arguments of the command `folds`."""
    return ["--features", input.features] if input.get("features") else ["--motion", *input.get("motion", [])]


@cache
def lacking(dataset, experiment):
    """Why an experiment cannot run on a data set; None if it can."""
    every, own = resolved(dataset), resolved(dataset, experiment)
    method = own["folds"]["method"]
    if own["backbone"]["name"] == "i3d" and None in (every["i3d"]["rgb"], every["i3d"]["flow"]):
        return "weights missing"
    if not every["model"]["recognition"]:
        if method in ("cascade", "str") or own["model"]["confidence_branch"]:
            return "no emotions to learn (model.recognition: false)"
        if experiment != "fedn" and own == resolved(dataset, "fedn"):
            return "the same as fedn (model.recognition: false)"
    return lacking(dataset, own["cascade"]["spotter"]) if method == "cascade" else None


def not_run(dataset, experiments):
    """`{experiment + ending: why}` of those that cannot run: they become empty rows that say so.

    The ending (of expression_types.axis) says which ground truth: "" the data set's own, `.micro`.
    """
    every, found = resolved(dataset), {}
    for ending in expression_types.axis(every):
        for name in experiments:
            why = lacking(dataset, name)
            if not why and every["run"]["by_type"]:
                why = unlearnable(dataset, name, label_set(dataset) + ending)
            if why:
                found[name + ending] = why
    return found


def fold_features(wildcards):
    """The fold's feature cache; `{column}` in `backbone.name` is the held-out group's value in that column, `{gap}` the
    gap of its flow."""
    every = resolved(wildcards.dataset, wildcards.experiment)
    group = every["folds"]["group"]
    held_out = next(
        (row for row in rows(wildcards.dataset).values() if getattr(row, group) == wildcards.held_out), None
    )
    if held_out is None:
        raise WorkflowError(
            f"{wildcards.experiment}: no fold `{wildcards.held_out}`: its folds hold out `{group}`; a cascade and its "
            "spotter need the same folds.group"
        )
    name, columns = every["backbone"]["name"], held_out._asdict()
    if "{gap}" in name:
        columns["gap"] = _gap(wildcards, every)
    try:
        name = name.format(**columns)
    except KeyError as error:
        raise WorkflowError(f"backbone.name: videos.csv has no column {error}") from error
    if not SAFE_NAME.fullmatch(name):
        raise WorkflowError(
            f"backbone.name: {name!r} names a file: use columns of videos.csv with letters, digits, `.`, `_`, `-` only"
        )
    return f"data/{wildcards.dataset}/features/{name}.h5"
